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

// registerInference registers the Open Inference Protocol (KServe v2), which Triton and others use
// too: over REST, with the extension for binary tensors, and over gRPC.
func (s *Server) registerInference(mux *http.ServeMux) {
	mux.HandleFunc("GET /v2/health/live", s.inferenceLive)
	mux.HandleFunc("GET /v2/health/ready", s.inferenceReady)
	mux.HandleFunc("GET /v2", s.protocolHandler(s.serverMetadata))
	mux.HandleFunc("GET /v2/models/{model}", s.protocolHandler(s.modelMetadata))
	mux.HandleFunc("GET /v2/models/{model}/versions/{version}", s.protocolHandler(s.modelMetadata))
	mux.HandleFunc("GET /v2/models/{model}/ready", s.protocolHandler(s.modelReady))
	mux.HandleFunc("GET /v2/models/{model}/versions/{version}/ready", s.protocolHandler(s.modelReady))
	mux.HandleFunc("POST /v2/models/{model}/infer", s.protocolHandler(s.infer))
	mux.HandleFunc("POST /v2/models/{model}/versions/{version}/infer", s.protocolHandler(s.infer))
	s.registerInferenceGRPC(mux)
}

// protocolHandler returns a handler that requires an API key, if the service has any, and writes
// errors as {"error": …}.
func (s *Server) protocolHandler(handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := s.authorize(r.Header)
		if err == nil {
			err = handle(w, r)
		}
		if err != nil {
			writeProtocolError(w, r, err)
		}
	}
}

// acquire returns a version of a model, and a function to call after its use. number "" means the
// version that is being served.
func (s *Server) acquire(ctx context.Context, name, number string) (*version, func(), error) {
	n := 0
	if number != "" {
		var err error
		if n, err = strconv.Atoi(number); err != nil || n < 1 {
			return nil, nil, fmt.Errorf("%w: version %.20q of %.64s: versions are numbers from 1", errNoModel,
				number, name)
		}
	}
	v, release, err := s.models.acquire(name, n)
	if err == nil {
		requestFrom(ctx).model = v.name
	}
	return v, release, err
}

// acquireRequested returns the version that a request's path names.
func (s *Server) acquireRequested(r *http.Request) (*version, func(), error) {
	return s.acquire(r.Context(), r.PathValue("model"), r.PathValue("version"))
}

func (s *Server) inferenceLive(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, "application/json", http.StatusOK, map[string]bool{"live": true})
}

func (s *Server) inferenceReady(w http.ResponseWriter, r *http.Request) {
	if s.stopping.Load() {
		writeProtocolError(w, r, errStopping)
		return
	}
	writeJSON(w, "application/json", http.StatusOK, map[string]bool{"ready": true})
}

// extensions are the supported extensions of the protocol, by their names in Triton.
var extensions = []string{"binary_tensor_data", "classification"}

func (s *Server) serverMetadata(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, "application/json", http.StatusOK,
		map[string]any{"name": "garb", "version": model.Version, "extensions": extensions})
	return nil
}

// tensorMetadata describes a tensor; −1 in the shape stands for any number.
type tensorMetadata struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
}

// describeTensors describes a model's inputs, of which a request has one, and its outputs.
func describeTensors(v *version) (inputs, outputs []tensorMetadata) {
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
	v, release, err := s.acquireRequested(r)
	if err != nil {
		return err
	}
	defer release()
	inputs, outputs := describeTensors(v)
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
	v, release, err := s.acquireRequested(r)
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

// handleBody calls answer with the version that a request's path names and the request's body.
func (s *Server) handleBody(w http.ResponseWriter, r *http.Request, answer func(*version, []byte) error) error {
	v, release, err := s.acquireRequested(r)
	if err != nil {
		return err
	}
	defer release()
	body, free, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	defer free()
	return answer(v, body)
}

// infer handles POST …/infer.
func (s *Server) infer(w http.ResponseWriter, r *http.Request) error {
	return s.handleBody(w, r, func(v *version, body []byte) error {
		q, err := s.inputSpec(v).parseInferRequest(body, r.Header.Get(headerLength))
		if err != nil {
			return err
		}
		answers, err := s.answerAll(r.Context(), v, q.inputs)
		if err != nil {
			return err
		}
		q.write(w, v, answers)
		return nil
	})
}

// headerLength is the header that has the length of the JSON before binary tensors.
const headerLength = "Inference-Header-Content-Length"

// inferRequest is a request of the Open Inference Protocol.
type inferRequest struct {
	id      string
	inputs  inputs
	outputs []requestedOutput
}

// parseInferRequest parses a request. length is the length of its JSON, "" if nothing follows it.
func (e inputSpec) parseInferRequest(body []byte, length string) (q inferRequest, err error) {
	text, tail := body, []byte(nil)
	if length != "" {
		var n int
		if n, err = strconv.Atoi(length); err != nil || n < 0 || n > len(body) {
			return q, fmt.Errorf("%w: %s is %.20q, but the body has %d bytes", errBadRequest, headerLength, length,
				len(body))
		}
		text, tail = body[:n], body[n:]
	}
	v, err := parseJSON(text)
	if err != nil {
		return q, err
	}
	if !v.is('{') {
		return q, fmt.Errorf("%w: the JSON is not an object", errBadRequest)
	}
	q.id = v.member("id").text()
	if q.outputs, err = e.parseOutputs(v); err != nil {
		return q, err
	}
	input := v.member("inputs").only()
	if input == nil {
		return q, errInputs
	}
	q.inputs, err = e.parseInput(input, tail)
	return q, err
}

// errInputs is the error of a request with both inputs, or none.
var errInputs = fmt.Errorf("%w: it must have one input: BYTES, for pictures, or FP32, for values", errBadRequest)

// parseOutputs parses the outputs that a request asks for; the default is all.
func (e inputSpec) parseOutputs(v jsonValue) (all []requestedOutput, err error) {
	standard := string(v.member("parameters").member("binary_data_output")) == "true"
	for o := range v.member("outputs").elements() {
		w := requestedOutput{name: o.member("name").text(), binary: standard}
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
		if err = e.checkOutputs(all); err != nil { // now, so that a request cannot ask for many
			return nil, err
		}
	}
	if all == nil {
		all = e.allOutputs(standard)
	}
	return all, nil
}

// parseInput parses a tensor whose data are in the JSON or after it. Its name does not matter: clients
// may use the names that other servers expect.
func (e inputSpec) parseInput(v jsonValue, tail []byte) (in inputs, err error) {
	datatype, shape, data := v.member("datatype").text(), []int{}, v.member("data")
	for d := range v.member("shape").elements() {
		var n int
		if n, err = d.integer(); err != nil {
			return in, err
		}
		if shape = append(shape, n); len(shape) > 4 {
			break // it is invalid, however long it is
		}
	}
	size := v.member("parameters").member("binary_data_size")
	if size != nil {
		n, sizeErr := size.integer()
		if sizeErr != nil || n != len(tail) || data != nil {
			return in, fmt.Errorf("%w: binary_data_size is %.20s, with %d bytes after the JSON; the data must be "+
				"either there or in \"data\"", errBadRequest, size, len(tail))
		}
		return e.decodeRaw(datatype, shape, tail)
	}
	if len(tail) > 0 {
		return in, fmt.Errorf("%w: %d bytes follow the JSON, without binary_data_size", errBadRequest, len(tail))
	}
	n, err := e.countPictures(datatype, shape)
	if err != nil {
		return in, err
	}
	if datatype == typeFP32 {
		in.values, err = data.numbers(shape...)
		return in, err
	}
	for element := range data.elements() {
		if len(shape) == 2 && element.is('[') { // the data may be nested or flat
			element = element.only()
		}
		if len(in.pictures) == n || !element.is('"') {
			return inputs{}, errTexts(shape)
		}
		var picture []byte
		if picture, err = decodeBase64(element.text()); err != nil {
			return inputs{}, err
		}
		in.pictures = append(in.pictures, upload{data: picture})
	}
	if len(in.pictures) < n {
		return inputs{}, errTexts(shape)
	}
	return in, nil
}

func errTexts(shape []int) error {
	return fmt.Errorf("%w: the data are not strings of shape %v", errBadRequest, shape)
}

// outputTensor is an output in JSON, with its data here or after the JSON.
type outputTensor struct {
	Name       string         `json:"name"`
	Datatype   string         `json:"datatype"`
	Shape      []int          `json:"shape"`
	Parameters map[string]int `json:"parameters,omitempty"`
	Data       any            `json:"data,omitempty"`
}

// write writes the response with the requested outputs.
func (q inferRequest) write(w http.ResponseWriter, v *version, answers []*answer) {
	var outputs []outputTensor
	var tail []byte
	for _, o := range q.outputs {
		t := makeTensor(v, answers, o)
		out := outputTensor{Name: t.name, Datatype: t.datatype, Shape: t.shape}
		switch {
		case o.binary:
			data := t.encodeRaw()
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
	if !slices.ContainsFunc(q.outputs, func(o requestedOutput) bool { return o.binary }) {
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
