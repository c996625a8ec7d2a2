package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"garb/model"
)

// inference registers the Open Inference Protocol (KServe v2), which Triton and others
// speak too: over REST, with its extension for tensors in binary, and over gRPC.
func (s *Server) inference(mux *http.ServeMux) {
	mux.HandleFunc("GET /v2/health/live", s.inferenceLive)
	mux.HandleFunc("GET /v2/health/ready", s.inferenceReady)
	mux.HandleFunc("GET /v2", s.bare(s.serverMetadata))
	mux.HandleFunc("GET /v2/models/{model}", s.bare(s.modelMetadata))
	mux.HandleFunc("GET /v2/models/{model}/versions/{version}", s.bare(s.modelMetadata))
	mux.HandleFunc("GET /v2/models/{model}/ready", s.bare(s.modelReady))
	mux.HandleFunc("GET /v2/models/{model}/versions/{version}/ready", s.bare(s.modelReady))
	mux.HandleFunc("POST /v2/models/{model}/infer", s.bare(s.infer))
	mux.HandleFunc("POST /v2/models/{model}/versions/{version}/infer", s.bare(s.infer))
	s.inferenceGRPC(mux)
}

// bare lets those in who have a key, and writes errors as {"error": …}.
func (s *Server) bare(handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := s.permit(r.Header)
		if err == nil {
			err = handle(w, r)
		}
		if err != nil {
			writeBareError(w, r, err)
		}
	}
}

// acquire returns the version that a request names, and what to call when its use ends.
// number may be "".
func (s *Server) acquire(ctx context.Context, name, number string) (*version, func(), error) {
	n := 0
	if number != "" {
		var err error
		if n, err = strconv.Atoi(number); err != nil || n < 1 {
			return nil, nil, fmt.Errorf("%w as version %.20q of %.64s: versions are numbers from 1", errNoModel,
				number, name)
		}
	}
	v, release, err := s.models.acquire(name, n)
	if err == nil {
		of(ctx).model = v.name
	}
	return v, release, err
}

func (s *Server) acquireOf(r *http.Request) (*version, func(), error) {
	return s.acquire(r.Context(), r.PathValue("model"), r.PathValue("version"))
}

func (s *Server) inferenceLive(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, "application/json", http.StatusOK, map[string]bool{"live": true})
}

func (s *Server) inferenceReady(w http.ResponseWriter, r *http.Request) {
	if s.stopping.Load() {
		writeBareError(w, r, errStopping)
		return
	}
	writeJSON(w, "application/json", http.StatusOK, map[string]bool{"ready": true})
}

// extensions are those of the protocol that garb has, as Triton names them.
var extensions = []string{"binary_tensor_data", "classification"}

func (s *Server) serverMetadata(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, "application/json", http.StatusOK,
		map[string]any{"name": "garb", "version": model.Version, "extensions": extensions})
	return nil
}

// tensorMetadata describes a tensor; −1 is any number.
type tensorMetadata struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
}

// tensorsOf are what a model takes, one or the other, and what it gives.
func tensorsOf(v *version) (inputs, outputs []tensorMetadata) {
	spec, classes := v.Spec(), len(v.Classes())
	inputs = []tensorMetadata{{"picture", typeBytes, []int{-1}},
		{"input", typeFP32, []int{-1, spec.Height, spec.Width, spec.Channels()}}}
	outputs = []tensorMetadata{{outputLogits, typeFP32, []int{-1, classes}},
		{outputProbabilities, typeFP32, []int{-1, classes}}, {outputClass, typeBytes, []int{-1}}}
	if v.judges() {
		outputs = append(outputs, tensorMetadata{outputAcceptance, typeFP32, []int{-1}})
	}
	return inputs, outputs
}

func (s *Server) modelMetadata(w http.ResponseWriter, r *http.Request) error {
	v, release, err := s.acquireOf(r)
	if err != nil {
		return err
	}
	defer release()
	inputs, outputs := tensorsOf(v)
	parameters := map[string]any{"classes": v.Classes()}
	if v.judges() {
		parameters["threshold"] = v.AcceptanceThreshold()
	}
	writeJSON(w, "application/json", http.StatusOK, map[string]any{
		"name": v.name, "versions": []string{strconv.Itoa(v.number)}, "platform": "garb", "inputs": inputs,
		"outputs":    outputs,
		"parameters": parameters,
	})
	return nil
}

func (s *Server) modelReady(w http.ResponseWriter, r *http.Request) error {
	v, release, err := s.acquireOf(r)
	if err != nil {
		return err
	}
	defer release()
	if s.stopping.Load() {
		return errStopping
	}
	writeJSON(w, "application/json", http.StatusOK, map[string]any{"name": v.name, "ready": true})
	return nil
}

// asked calls answer with the version that a request names, and with its body.
func (s *Server) asked(w http.ResponseWriter, r *http.Request, answer func(*version, []byte) error) error {
	v, release, err := s.acquireOf(r)
	if err != nil {
		return err
	}
	defer release()
	body, free, err := s.body(w, r)
	if err != nil {
		return err
	}
	defer free()
	return answer(v, body)
}

// infer is POST …/infer.
func (s *Server) infer(w http.ResponseWriter, r *http.Request) error {
	return s.asked(w, r, func(v *version, body []byte) error {
		q, err := s.expects(v).inferRequest(body, r.Header.Get(headerLength))
		if err != nil {
			return err
		}
		answers, err := s.answers(r.Context(), v, q.batch)
		if err != nil {
			return err
		}
		q.write(w, v, answers)
		return nil
	})
}

// headerLength is of the extension for tensors in binary: the length of the JSON that they
// come after.
const headerLength = "Inference-Header-Content-Length"

// inferRequest is a request of the Open Inference Protocol.
type inferRequest struct {
	id      string
	batch   batch
	outputs []wanted
}

// inferRequest reads a request. length is that of its JSON, "" if it has nothing else.
func (e expected) inferRequest(body []byte, length string) (q inferRequest, err error) {
	text, tail := body, []byte(nil)
	if length != "" {
		n, err := strconv.Atoi(length)
		if err != nil || n < 0 || n > len(body) {
			return q, fmt.Errorf("%w: %s is %.20q, and its body has %d bytes", errBadRequest, headerLength, length,
				len(body))
		}
		text, tail = body[:n], body[n:]
	}
	v, err := parseJSON(text)
	if err != nil {
		return q, err
	}
	if !v.is('{') {
		return q, fmt.Errorf("%w: its JSON is no object", errBadRequest)
	}
	q.id = v.member("id").text()
	if q.outputs, err = e.wantedOf(v); err != nil {
		return q, err
	}
	input := v.member("inputs").only()
	if input == nil {
		return q, errInputs
	}
	q.batch, err = e.input(input, tail)
	return q, err
}

// errInputs is told those who send both inputs, or none.
var errInputs = fmt.Errorf("%w: it has one input: BYTES, of pictures, or FP32, of values", errBadRequest)

// wantedOf reads the outputs that a request asks for; all if it names none.
func (e expected) wantedOf(v value) (all []wanted, err error) {
	standard := string(v.member("parameters").member("binary_data_output")) == "true"
	for o := range v.member("outputs").elements() {
		w := wanted{name: o.member("name").text(), binary: standard}
		parameters := o.member("parameters")
		if b := parameters.member("binary_data"); b != nil {
			w.binary = string(b) == "true"
		}
		if k := parameters.member("classification"); k != nil {
			if w.top, err = k.integer(); err != nil {
				return nil, err
			}
		}
		all = append(all, w)
		if err = e.checkWanted(all); err != nil { // at once: then there are few
			return nil, err
		}
	}
	if all == nil {
		all = e.everything(standard)
	}
	return all, nil
}

// input reads a tensor whose data are in its JSON or after it. Its name does not matter:
// clients may keep those that they know from other servers.
func (e expected) input(v value, tail []byte) (b batch, err error) {
	datatype, shape, data := v.member("datatype").text(), []int{}, v.member("data")
	for d := range v.member("shape").elements() {
		n, err := d.integer()
		if err != nil {
			return b, err
		}
		if shape = append(shape, n); len(shape) > 4 {
			break // it is wrong, however long it is
		}
	}
	size := v.member("parameters").member("binary_data_size")
	if size != nil {
		if n, err := size.integer(); err != nil || n != len(tail) || data != nil {
			return b,
				fmt.Errorf("%w: binary_data_size %.20s with %d bytes after the JSON; the data are there or in \"data\"", errBadRequest, size, len(tail))
		}
		return e.raw(datatype, shape, tail)
	}
	if len(tail) > 0 {
		return b, fmt.Errorf("%w: %d bytes after the JSON, and no binary_data_size", errBadRequest, len(tail))
	}
	n, err := e.count(datatype, shape)
	if err != nil {
		return b, err
	}
	if datatype == typeFP32 {
		b.values, err = data.numbers(shape...)
		return b, err
	}
	for element := range data.elements() {
		if len(shape) == 2 && element.is('[') { // nested as its shape is, or flat
			element = element.only()
		}
		if len(b.pictures) == n || !element.is('"') {
			return batch{}, errTexts(shape)
		}
		picture, err := decodeBase64(element.text())
		if err != nil {
			return batch{}, err
		}
		b.pictures = append(b.pictures, sent{data: picture})
	}
	if len(b.pictures) < n {
		return batch{}, errTexts(shape)
	}
	return b, nil
}

func errTexts(shape []int) error {
	return fmt.Errorf("%w: its data are no texts of shape %v", errBadRequest, shape)
}

// outputTensor is an output, with its data here or after the JSON.
type outputTensor struct {
	Name       string         `json:"name"`
	Datatype   string         `json:"datatype"`
	Shape      []int          `json:"shape"`
	Parameters map[string]int `json:"parameters,omitempty"`
	Data       any            `json:"data,omitempty"`
}

// write writes the outputs that a request asks for.
func (q inferRequest) write(w http.ResponseWriter, v *version, answers []*answer) {
	var outputs []outputTensor
	var tail []byte
	for _, o := range q.outputs {
		t := tensorOf(v, answers, o)
		out := outputTensor{Name: t.name, Datatype: t.datatype, Shape: t.shape}
		switch {
		case o.binary:
			data := t.raw()
			out.Parameters = map[string]int{"binary_data_size": len(data)}
			tail = append(tail, data...)
		case t.datatype == typeFP32:
			out.Data = t.floats
		default:
			out.Data = t.texts
		}
		outputs = append(outputs, out)
	}
	answer := struct {
		ModelName    string         `json:"model_name"`
		ModelVersion string         `json:"model_version"`
		ID           string         `json:"id,omitempty"`
		Outputs      []outputTensor `json:"outputs"`
	}{v.name, strconv.Itoa(v.number), q.id, outputs}
	if !slices.ContainsFunc(q.outputs, func(o wanted) bool { return o.binary }) {
		writeJSON(w, "application/json", http.StatusOK, answer)
		return
	}
	text, err := json.Marshal(answer)
	if err != nil {
		panic("serve: " + err.Error()) // our own values
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set(headerLength, strconv.Itoa(len(text)))
	_, _ = w.Write(append(text, tail...))
}
