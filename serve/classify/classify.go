// Package classify is the protocol of garb itself: POST /v1/classify.
package classify

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image/png"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"garb/accept"
	"garb/explain"
	"garb/model"
	"garb/picture"
	"garb/serve/engine"
	"garb/serve/registry"
	"garb/serve/request"
)

// Classification is the answer about a picture, in the form of garb classify --json.
type Classification struct {
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
	Model ModelIdentity `json:"model"`
	// Explanation is the heat map of the class, as a data URL of a PNG.
	Explanation  string  `json:"explanation,omitempty"`
	Milliseconds Timings `json:"milliseconds"`
}

// ModelIdentity names a model.
type ModelIdentity struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	Digest  string `json:"digest"`
}

// Timings are the times of the parts of a classification.
type Timings struct {
	Decode    float64 `json:"decode"`
	Queue     float64 `json:"queue"`
	Inference float64 `json:"inference"`
}

// failedPicture replaces the classification of one of several pictures that has none.
type failedPicture struct {
	Picture string        `json:"picture"`
	Error   FailedMessage `json:"error"`
}

// FailedMessage says why a picture has no classification.
type FailedMessage struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// upload is a picture of a request.
type upload struct {
	name string
	data []byte
}

// DefaultTop is the number of predictions of a classification by default.
const DefaultTop = 3

// options are the parameters of a classification.
type options struct {
	engine.Options
	top int // number of predictions
}

// Handler handles POST /v1/classify.
type Handler struct{ backend *request.Backend }

// New returns the handler of a service.
func New(b *request.Backend) *Handler { return &Handler{b} }

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.classify(w, r); err != nil {
		request.WriteError(w, r, err)
	}
}

// classify classifies the pictures of a request and writes the response, unless it fails.
func (h *Handler) classify(w http.ResponseWriter, r *http.Request) error {
	if err := h.backend.Authorize(r); err != nil {
		return err
	}
	query := r.URL.Query()
	o, err := parseOptions(query)
	if err != nil {
		return err
	}
	v, release, err := h.backend.Acquire(r.Context(), query.Get("model"), query.Get("version"))
	if err != nil {
		return err
	}
	defer release()
	if err = o.resolve(query, v); err != nil {
		return err
	}
	body, free, err := h.backend.ReadBody(w, r)
	if err != nil {
		return err
	}
	defer free()
	uploads, err := h.parsePictures(r, body)
	if err != nil {
		return err
	}
	pictures := make([][]byte, len(uploads))
	for i, u := range uploads {
		pictures[i] = u.data
	}
	answers, errs, err := h.backend.Classify(r.Context(), v, pictures, o.Options)
	if err != nil {
		return err
	}
	results := make([]any, len(uploads))
	for i, u := range uploads {
		if errs[i] == nil {
			results[i], errs[i] = NewClassification(u.name, v, answers[i], o.top)
		}
		if errs[i] != nil {
			_, kind := request.Status(errs[i])
			results[i] = failedPicture{u.name, FailedMessage{kind, request.PublicMessage(errs[i])}}
		}
	}
	err = errors.Join(errs...)
	if len(uploads) > 1 {
		request.From(r.Context()).Err = err
		request.WriteJSON(w, "application/json", http.StatusOK, results)
		return nil
	}
	if err == nil {
		request.WriteJSON(w, "application/json", http.StatusOK, results[0])
	}
	return err
}

// NewClassification returns the answer about a picture with its top predictions. Its error is one of
// drawing the heat map.
func NewClassification(name string, v *registry.Version, a *engine.Answer, top int) (c Classification, err error) {
	c = Classification{
		Picture: name, Class: a.Predictions[0].Class, Probability: a.Predictions[0].Probability,
		Predictions: v.List(a.Predictions[:min(top, len(a.Predictions))]), Set: a.Set,
		Model:        ModelIdentity{v.Name, v.Number, v.Digest()},
		Milliseconds: Timings{milliseconds(a.Decode), milliseconds(a.Wait), milliseconds(a.Inference)},
	}
	if a.Labels != nil {
		c.Labels = &a.Labels
	}
	if a.Judged {
		c.Accepted, c.Acceptance = &a.Accepted, &a.Acceptance
	}
	if a.Refused() {
		c.Refusal = a.Refusal
	}
	c.Explanation, err = encodeHeat(a, v.Spec())
	return c, err
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}

// QueryParameters are the query parameters of POST /v1/classify.
var QueryParameters = []string{"top", "model", "version", "explain", "class", "accept"}

// parseOptions parses the parameters in a request's URL.
func parseOptions(q url.Values) (o options, err error) {
	o.top, o.Class = DefaultTop, -1
	for _, name := range QueryParameters {
		if q.Has(name) && q.Get(name) == "" {
			return o, fmt.Errorf("%w: the query parameter %s is empty", request.ErrInvalid, name)
		}
	}
	if text := q.Get("top"); text != "" {
		if o.top, err = strconv.Atoi(text); err != nil || o.top < 1 {
			return o, fmt.Errorf("%w: top=%.40s is not a number of classes", request.ErrInvalid, text)
		}
	}
	if text := q.Get("explain"); text != "" {
		if o.Explain, err = strconv.ParseBool(text); err != nil {
			return o, fmt.Errorf("%w: explain=%.40s is neither true nor false", request.ErrInvalid, text)
		}
	}
	if text := q.Get("accept"); text != "" {
		var threshold float64
		if threshold, err = accept.ParseThreshold(text); err != nil {
			return o, fmt.Errorf("%w: accept=%.40s: %w", request.ErrInvalid, text, err)
		}
		o.Threshold = &threshold
	}
	return o, nil
}

// resolve resolves the class to explain, and checks that the model supports the options.
func (o *options) resolve(q url.Values, v *registry.Version) error {
	if name := q.Get("class"); name != "" {
		if o.Class = slices.Index(v.Classes(), name); o.Class < 0 || !o.Explain {
			return fmt.Errorf("%w: class=%.40q needs explain=true, and must be one of the model's classes",
				request.ErrInvalid, name)
		}
	}
	if o.Threshold != nil && *o.Threshold > 0 && !v.Judges() {
		return fmt.Errorf("%w: accept=%.40s: the model %s has no acceptance", request.ErrInvalid, q.Get("accept"),
			v.Name)
	}
	return nil
}

// parsePictures returns the pictures in a request's body. A form needs its content type, which has the
// boundary. Otherwise the body decides: a picture is one whatever the content type says, and an object of
// JSON is taken as JSON. The content type decides only which error the rest has.
func (h *Handler) parsePictures(r *http.Request, body []byte) ([]upload, error) {
	header := r.Header.Get("Content-Type")
	kind, parameters, err := mime.ParseMediaType(header)
	if kind == "multipart/form-data" {
		return h.parseForm(body, parameters["boundary"])
	}
	_, notPicture := picture.Identify(body)
	switch {
	case !errors.Is(notPicture, picture.ErrNotPicture):
		return []upload{{"picture", body}}, nil
	case kind == "application/json", strings.HasSuffix(kind, "+json"),
		bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")):
		return h.parseJSONPicture(r.Context(), body)
	case header == "", kind == "application/octet-stream", kind == "application/x-www-form-urlencoded",
		strings.HasPrefix(kind, "image/"):
		// application/x-www-form-urlencoded is what curl --data-binary sends by default.
		return []upload{{"picture", body}}, nil // the model says what is wrong with it
	case err != nil:
		return nil, fmt.Errorf("%w: %.80q", request.ErrMediaType, header)
	}
	return nil, fmt.Errorf("%w: %.80s, and the body is no picture; send a picture, multipart/form-data with fields "+
		"named picture, or JSON", request.ErrMediaType, kind)
}

// fieldNames are the names of a form's fields that have pictures. Others are ignored.
var fieldNames = []string{"picture", "image", "file", "files", "data", "upload"}

// parseForm returns the pictures in the fields of a form.
func (h *Handler) parseForm(body []byte, boundary string) ([]upload, error) {
	if boundary == "" {
		return nil, fmt.Errorf("%w: the multipart body has no boundary", request.ErrInvalid)
	}
	var all []upload
	form := multipart.NewReader(bytes.NewReader(body), boundary)
	for fields := 0; ; fields++ {
		part, err := form.NextPart()
		if err == io.EOF { //nolint:errorlint // a body that was cut off is an error that wraps io.EOF
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: the multipart body is malformed", request.ErrInvalid)
		}
		isPicture := slices.Contains(fieldNames, part.FormName())
		if fields >= 2*h.backend.Bodies.MaxPictures() || len(all) >= h.backend.Bodies.MaxPictures() && isPicture {
			return nil, fmt.Errorf("%w: it has more than %d pictures, or too many other fields", request.ErrTooLarge,
				h.backend.Bodies.MaxPictures())
		}
		if !isPicture {
			continue
		}
		data, err := picture.Read(part, h.backend.Scheduler.Limits())
		if err != nil {
			if errors.Is(err, picture.ErrTooLarge) {
				return nil, err
			}
			return nil, fmt.Errorf("%w: the multipart body is malformed", request.ErrInvalid)
		}
		name := part.FileName()
		if name == "" {
			name = fmt.Sprintf("picture %d", len(all)+1)
		}
		all = append(all, upload{name, data})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: the form has no picture: no field is named %s", request.ErrInvalid,
			strings.Join(fieldNames, ", "))
	}
	return all, nil
}

// parseJSONPicture returns the picture of {"picture": base64}, or fetches that of {"url": address}.
func (h *Handler) parseJSONPicture(ctx context.Context, body []byte) ([]upload, error) {
	var q struct {
		Picture *string `json:"picture"`
		URL     *string `json:"url"`
	}
	if err := request.DecodeJSON(body, &q); err != nil {
		return nil, err
	}
	switch {
	case q.Picture != nil && q.URL != nil || q.Picture == nil && q.URL == nil:
		return nil, fmt.Errorf(`%w: the JSON must have either "picture", in base64, or "url"`, request.ErrInvalid)
	case q.URL != nil:
		data, err := h.backend.Fetcher().Get(ctx, *q.URL)
		return []upload{{*q.URL, data}}, err
	}
	data, err := request.DecodeBase64(*q.Picture)
	if err != nil {
		return nil, err
	}
	return []upload{{"picture", data}}, nil
}

// encodeHeat returns the heat map of an answer as a data URL of a PNG, "" if there is none.
func encodeHeat(a *engine.Answer, spec picture.Spec) (string, error) {
	if a.Heat == nil {
		return "", nil
	}
	var b bytes.Buffer
	b.WriteString("data:image/png;base64,")
	to := base64.NewEncoder(base64.StdEncoding, &b)
	if err := png.Encode(to, explain.DrawHeat(a.Heat, spec, a.Width, a.Height)); err != nil {
		return "", err
	}
	err := to.Close()
	return b.String(), err
}
