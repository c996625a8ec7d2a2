package serve

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"garb/accept"
	"garb/model"
	"garb/picture"
)

// classification is the answer about a picture, in the form of garb classify --json.
type classification struct {
	Picture     string                   `json:"picture"`
	Class       string                   `json:"class"`
	Probability float64                  `json:"probability"`
	Predictions []model.ListedPrediction `json:"predictions"`
	// Accepted, Acceptance and Refusal are set only for models with acceptance.
	Accepted   *bool    `json:"accepted,omitempty"`
	Acceptance *float64 `json:"acceptance,omitempty"`
	Refusal    string   `json:"refusal,omitempty"`
	// Labels are those with a probability above one half, of a multi-label model.
	Labels *[]string `json:"labels,omitempty"`
	// Set is the prediction set, of a model that has them.
	Set   []string      `json:"set,omitempty"`
	Model modelIdentity `json:"model"`
	// Explanation is the heat map of the class, as a data URL of a PNG.
	Explanation  string  `json:"explanation,omitempty"`
	Milliseconds timings `json:"milliseconds"`
}

type modelIdentity struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

type timings struct {
	Decode    float64 `json:"decode"`
	Queue     float64 `json:"queue"`
	Inference float64 `json:"inference"`
}

// failedPicture replaces the classification of one of several pictures that has none.
type failedPicture struct {
	Picture string        `json:"picture"`
	Error   failedMessage `json:"error"`
}

type failedMessage struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// upload is a picture of a request.
type upload struct {
	name string
	data []byte
}

const defaultTop = 3

// classifyOptions are the parameters of a classification.
type classifyOptions struct {
	top int // number of predictions
	explanation
	threshold *float64 // of acceptance; nil means the model's
}

// handleClassify handles POST /v1/classify.
func (s *Server) handleClassify(w http.ResponseWriter, r *http.Request) {
	options, err := parseOptions(r)
	if err != nil {
		writeError(w, r, err)
		return
	}
	v, release, err := s.models.acquire(r.URL.Query().Get("model"), 0)
	if err != nil {
		writeError(w, r, err)
		return
	}
	defer release()
	requestFrom(r.Context()).model = v.name
	if err = options.resolve(r, v); err != nil {
		writeError(w, r, err)
		return
	}
	body, free, err := s.readBody(w, r)
	if err != nil {
		writeError(w, r, err)
		return
	}
	defer free()
	pictures, err := s.parsePictures(r, body)
	if err != nil {
		writeError(w, r, err)
		return
	}
	answers, errs, err := s.classifyAll(r.Context(), v, pictures, options)
	if err == nil && len(pictures) == 1 {
		err = errs[0]
	}
	if err != nil {
		writeError(w, r, err)
		return
	}
	results := make([]any, len(pictures))
	for i, p := range pictures {
		if errs[i] != nil {
			_, kind := errorStatus(errs[i])
			results[i] = failedPicture{p.name, failedMessage{kind, publicMessage(errs[i])}}
			continue
		}
		results[i] = newClassification(p.name, v, answers[i], options.top)
	}
	if len(pictures) == 1 {
		writeJSON(w, "application/json", http.StatusOK, results[0])
		return
	}
	if err = errors.Join(errs...); err != nil {
		recordError(r.Context(), err)
	}
	writeJSON(w, "application/json", http.StatusOK, results)
}

// newClassification returns the answer about a picture with its top predictions.
func newClassification(picture string, v *version, a *answer, top int) classification {
	c := classification{
		Picture: picture, Class: a.Predictions[0].Class, Probability: a.Predictions[0].Probability,
		Predictions: v.List(a.Predictions[:min(top, len(a.Predictions))]), Set: a.Set,
		Model: modelIdentity{v.name, v.Digest()}, Explanation: a.heat,
		Milliseconds: timings{milliseconds(a.decode), milliseconds(a.wait), milliseconds(a.inference)},
	}
	if a.Labels != nil {
		c.Labels = &a.Labels
	}
	if a.Judged {
		c.Accepted, c.Acceptance = &a.Accepted, &a.Acceptance
	}
	if a.refused() {
		c.Refusal = a.Refusal
	}
	return c
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}

// parseOptions parses the parameters in a request's URL.
func parseOptions(r *http.Request) (options classifyOptions, err error) {
	options.top, options.class = defaultTop, -1
	q := r.URL.Query()
	if text := q.Get("top"); text != "" {
		if options.top, err = strconv.Atoi(text); err != nil || options.top < 1 {
			return options, fmt.Errorf("%w: top=%s is not a number of classes", errBadRequest, text)
		}
	}
	if text := q.Get("explain"); text != "" {
		if options.explain, err = strconv.ParseBool(text); err != nil {
			return options, fmt.Errorf("%w: explain=%s is neither true nor false", errBadRequest, text)
		}
	}
	if text := q.Get("accept"); text != "" {
		var threshold float64
		if threshold, err = accept.ParseThreshold(text); err != nil {
			return options, fmt.Errorf("%w: accept=%.40s: %w", errBadRequest, text, err)
		}
		options.threshold = &threshold
	}
	return options, nil
}

// resolve resolves the class to explain, and checks that the model supports the options.
func (o *classifyOptions) resolve(r *http.Request, v *version) error {
	q := r.URL.Query()
	if name := q.Get("class"); name != "" {
		if o.class = slices.Index(v.model.Classes(), name); o.class < 0 || !o.explain {
			return fmt.Errorf("%w: class=%.40q needs explain=true, and must be one of the model's classes",
				errBadRequest, name)
		}
	}
	if o.threshold != nil && *o.threshold > 0 && !v.judges() {
		return fmt.Errorf("%w: accept=%.40s: the model %s has no acceptance", errBadRequest, q.Get("accept"), v.name)
	}
	return nil
}

// classifyAll classifies pictures in parallel. It returns an answer or an error for each picture,
// and an error for all if the queue is full or ctx has ended.
func (s *Server) classifyAll(
	ctx context.Context, v *version, pictures []upload, options classifyOptions,
) ([]*answer, []error, error) {
	return s.answerEach(ctx, v, len(pictures), func(i int) (*answer, error) {
		return s.classify(ctx, v, pictures[i].data, options)
	})
}

// answerEach admits n pictures and calls do for each of them, in parallel if there are several. A
// panic of do becomes an error.
func (s *Server) answerEach(
	ctx context.Context, v *version, n int, do func(i int) (*answer, error),
) ([]*answer, []error, error) {
	release, err := s.admit(n)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	answers, errs := make([]*answer, n), make([]error, n)
	work := func(i int) {
		errs[i] = v.recoverPanic(func() (err error) {
			answers[i], err = do(i)
			return err
		})
	}
	if n == 1 {
		work(0)
		return answers, errs, ctx.Err()
	}
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { work(i) })
	}
	wait.Wait()
	return answers, errs, ctx.Err()
}

// parsePictures returns the pictures in a request's body.
func (s *Server) parsePictures(r *http.Request, body []byte) ([]upload, error) {
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && r.Header.Get("Content-Type") != "" {
		return nil, fmt.Errorf("%w: %q", errMediaType, r.Header.Get("Content-Type"))
	}
	switch {
	case kind == "multipart/form-data":
		return s.parseForm(body, parameters["boundary"])
	case kind == "application/json":
		return s.parseJSONPicture(r.Context(), body)
	case kind == "" || kind == "application/octet-stream" || kind == "application/x-www-form-urlencoded" ||
		strings.HasPrefix(kind, "image/"):
		// application/x-www-form-urlencoded is what curl --data-binary sends by default.
		return []upload{{"picture", body}}, nil
	}
	return nil, fmt.Errorf("%w: %s; send a picture, multipart/form-data with fields named picture, or JSON",
		errMediaType, kind)
}

// parseForm returns the pictures in the fields named picture of a form.
func (s *Server) parseForm(body []byte, boundary string) ([]upload, error) {
	if boundary == "" {
		return nil, fmt.Errorf("%w: the multipart body has no boundary", errBadRequest)
	}
	var all []upload
	form := multipart.NewReader(bytes.NewReader(body), boundary)
	for fields := 0; ; fields++ {
		part, err := form.NextPart()
		if err == io.EOF { //nolint:errorlint // a body that was cut off is an error that wraps io.EOF
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: the multipart body is malformed", errBadRequest)
		}
		if fields >= 2*s.config.MaxPictures || len(all) >= s.config.MaxPictures && part.FormName() == "picture" {
			return nil, fmt.Errorf("%w: it has more than %d pictures, or too many other fields", errTooLarge,
				s.config.MaxPictures)
		}
		if part.FormName() != "picture" {
			continue
		}
		data, err := picture.Read(part, s.config.Limits)
		if err != nil {
			if errors.Is(err, picture.ErrTooLarge) {
				return nil, err
			}
			return nil, fmt.Errorf("%w: the multipart body is malformed", errBadRequest)
		}
		name := part.FileName()
		if name == "" {
			name = fmt.Sprintf("picture %d", len(all)+1)
		}
		all = append(all, upload{name, data})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: the form has no field named picture", errBadRequest)
	}
	return all, nil
}

// parseJSONPicture returns the picture of {"picture": base64}, or fetches that of {"url": address}.
func (s *Server) parseJSONPicture(ctx context.Context, body []byte) ([]upload, error) {
	var q struct {
		Picture *string `json:"picture"`
		URL     *string `json:"url"`
	}
	if err := decodeJSON(body, &q); err != nil {
		return nil, err
	}
	switch {
	case q.Picture != nil && q.URL != nil || q.Picture == nil && q.URL == nil:
		return nil, fmt.Errorf(`%w: the JSON must have either "picture", in base64, or "url"`, errBadRequest)
	case q.URL != nil:
		data, err := s.fetch.get(ctx, *q.URL)
		return []upload{{*q.URL, data}}, err
	}
	data, err := decodeBase64(*q.Picture)
	if err != nil {
		return nil, err
	}
	return []upload{{"picture", data}}, nil
}

// decodeJSON decodes one JSON value.
func decodeJSON(body []byte, to any) error {
	if err := json.Unmarshal(body, to); err != nil {
		return fmt.Errorf("%w: invalid JSON: %w", errBadRequest, err)
	}
	return nil
}

// decodeBase64 decodes a picture in base64, with the standard or the URL alphabet, or as a data URL.
func decodeBase64(text string) ([]byte, error) {
	if strings.HasPrefix(text, "data:") {
		_, rest, ok := strings.Cut(text, ";base64,")
		if !ok {
			return nil, fmt.Errorf("%w: the data URL is not in base64", errBadRequest)
		}
		text = rest
	}
	text = strings.TrimRight(text, "=")
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		encoding = base64.RawURLEncoding
	}
	data, err := encoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: the picture is not in base64", errBadRequest)
	}
	return data, nil
}
