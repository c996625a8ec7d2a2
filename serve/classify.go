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
	// Of models that judge whether a picture shows any of their classes.
	Accepted   *bool    `json:"accepted,omitempty"`
	Acceptance *float64 `json:"acceptance,omitempty"`
	Refusal    string   `json:"refusal,omitempty"`
	// Labels are those above one half, of a multi-label model.
	Labels *[]string `json:"labels,omitempty"`
	// Set is that of the classes that hold the right one with the probability asked for.
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

// failedPicture stands in for the answer about one of several pictures.
type failedPicture struct {
	Picture string        `json:"picture"`
	Error   failedMessage `json:"error"`
}

type failedMessage struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// sent is a picture as a request has it.
type sent struct {
	name string
	data []byte
}

const defaultTop = 3

// question is what a request asks about its pictures.
type question struct {
	top int // classes to answer with
	explanation
	threshold *float64 // of acceptance; nil: none is asked for
}

// classifyPictures is POST /v1/classify.
func (s *Server) classifyPictures(w http.ResponseWriter, r *http.Request) {
	asked, err := questionOf(r)
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
	of(r.Context()).model = v.name
	if name := r.URL.Query().Get("class"); name != "" {
		if asked.class = slices.Index(v.model.Classes(), name); asked.class < 0 || !asked.explain {
			writeError(w, r, fmt.Errorf("%w: class=%.40q goes with explain=true, and is one of the model's classes",
				errBadRequest, name))
			return
		}
	}
	if t := asked.threshold; t != nil && *t > 0 && !v.judges() {
		writeError(w, r,
			fmt.Errorf("%w: accept=%.40s is for models that judge whether a picture shows any of their classes, "+
				"and %s does not: "+
				"ask without accept", errBadRequest, r.URL.Query().Get("accept"), v.name))
		return
	}
	body, free, err := s.body(w, r)
	if err != nil {
		writeError(w, r, err)
		return
	}
	defer free()
	pictures, err := s.picturesOf(r, body)
	if err != nil {
		writeError(w, r, err)
		return
	}
	answers, errs, err := s.classifyAll(r.Context(), v, pictures, asked)
	if err != nil {
		writeError(w, r, err)
		return
	}
	one := func(i int) any {
		if errs[i] != nil {
			_, kind := statusOf(errs[i])
			return failedPicture{pictures[i].name, failedMessage{kind, messageOf(errs[i])}}
		}
		a := answers[i]
		c := classification{
			Picture: pictures[i].name, Class: a.Predictions[0].Class, Probability: a.Predictions[0].Probability,
			Predictions: v.List(a.Predictions[:min(asked.top, len(a.Predictions))]), Set: a.Set,
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
	if len(pictures) == 1 {
		if errs[0] != nil {
			writeError(w, r, errs[0])
			return
		}
		writeJSON(w, "application/json", http.StatusOK, one(0))
		return
	}
	all := make([]any, len(pictures))
	for i := range pictures {
		all[i] = one(i)
	}
	if errors.Join(errs...) != nil {
		note(r.Context(), errors.Join(errs...))
	}
	writeJSON(w, "application/json", http.StatusOK, all)
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}

// questionOf reads what an address asks for.
func questionOf(r *http.Request) (asked question, err error) {
	asked.top, asked.class = defaultTop, -1
	q := r.URL.Query()
	if text := q.Get("top"); text != "" {
		if asked.top, err = strconv.Atoi(text); err != nil || asked.top < 1 {
			return asked, fmt.Errorf("%w: top=%s is no number of classes", errBadRequest, text)
		}
	}
	if text := q.Get("explain"); text != "" {
		if asked.explain, err = strconv.ParseBool(text); err != nil {
			return asked, fmt.Errorf("%w: explain=%s is neither true nor false", errBadRequest, text)
		}
	}
	if text := q.Get("accept"); text != "" {
		threshold, err := accept.ParseThreshold(text)
		if err != nil {
			return asked, fmt.Errorf("%w: accept=%.40s: %w", errBadRequest, text, err)
		}
		asked.threshold = &threshold
	}
	return asked, nil
}

// classifyAll classifies pictures, as many at a time as the service has room for. There
// is an error for each picture that has no answer, and one for all if none was begun or
// the request has ended.
func (s *Server) classifyAll(ctx context.Context, v *version, pictures []sent, asked question) ([]*answer, []error,
	error) {
	release, err := s.admit(len(pictures))
	if err != nil {
		return nil, nil, err
	}
	defer release()
	answers, errs := make([]*answer, len(pictures)), make([]error, len(pictures))
	var wait sync.WaitGroup
	for i := range pictures {
		work := func() {
			errs[i] = v.guarded(func() (err error) {
				answers[i], err = s.classify(ctx, v, pictures[i].data, asked)
				return err
			})
		}
		if len(pictures) == 1 {
			work()
		} else {
			wait.Go(work)
		}
	}
	wait.Wait()
	return answers, errs, ctx.Err()
}

// picturesOf finds the pictures of a request.
func (s *Server) picturesOf(r *http.Request, body []byte) ([]sent, error) {
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && r.Header.Get("Content-Type") != "" {
		return nil, fmt.Errorf("%w: %q", errMediaType, r.Header.Get("Content-Type"))
	}
	switch {
	case kind == "multipart/form-data":
		return s.partsOf(body, parameters["boundary"])
	case kind == "application/json":
		return s.jsonPicture(r.Context(), body)
	case kind == "" || kind == "application/octet-stream" || kind == "application/x-www-form-urlencoded" ||
		strings.HasPrefix(kind, "image/"):
		// The second to last is what curl --data-binary says of anything.
		return []sent{{"picture", body}}, nil
	}
	return nil, fmt.Errorf("%w: %s; send a picture, multipart/form-data with fields named picture, or JSON",
		errMediaType, kind)
}

// partsOf are the fields named picture of a form.
func (s *Server) partsOf(body []byte, boundary string) ([]sent, error) {
	if boundary == "" {
		return nil, fmt.Errorf("%w: its multipart body has no boundary", errBadRequest)
	}
	var all []sent
	form := multipart.NewReader(bytes.NewReader(body), boundary)
	for fields := 0; ; fields++ {
		part, err := form.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: its multipart body is broken", errBadRequest)
		}
		if fields >= 2*s.config.MaxPictures || len(all) >= s.config.MaxPictures && part.FormName() == "picture" {
			return nil, fmt.Errorf("%w: it has more than %d pictures, or fields that are none", errTooLarge,
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
			return nil, fmt.Errorf("%w: its multipart body is broken", errBadRequest)
		}
		name := part.FileName()
		if name == "" {
			name = fmt.Sprintf("picture %d", len(all)+1)
		}
		all = append(all, sent{name, data})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: its form has no field named picture", errBadRequest)
	}
	return all, nil
}

// jsonPicture is {"picture": base64} or {"url": address}.
func (s *Server) jsonPicture(ctx context.Context, body []byte) ([]sent, error) {
	var q struct {
		Picture *string `json:"picture"`
		URL     *string `json:"url"`
	}
	if err := decodeJSON(body, &q); err != nil {
		return nil, err
	}
	switch {
	case q.Picture != nil && q.URL != nil || q.Picture == nil && q.URL == nil:
		return nil, fmt.Errorf(`%w: its JSON has either "picture", in base64, or "url"`, errBadRequest)
	case q.URL != nil:
		data, err := s.fetch.get(ctx, *q.URL)
		return []sent{{*q.URL, data}}, err
	}
	data, err := decodeBase64(*q.Picture)
	if err != nil {
		return nil, err
	}
	return []sent{{"picture", data}}, nil
}

// decodeJSON reads one JSON value.
func decodeJSON(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: its JSON is wrong: %w", errBadRequest, err)
	}
	return nil
}

// decodeBase64 reads a picture's bytes, with or without the beginning of a data URL, in
// the standard alphabet or that of addresses.
func decodeBase64(text string) ([]byte, error) {
	if strings.HasPrefix(text, "data:") {
		_, rest, ok := strings.Cut(text, ";base64,")
		if !ok {
			return nil, fmt.Errorf("%w: its data URL is not in base64", errBadRequest)
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
		return nil, fmt.Errorf("%w: its picture is not in base64", errBadRequest)
	}
	return data, nil
}
