// Package inference is the Open Inference Protocol (KServe v2), which Triton and others use too: over
// REST, with the extension for binary tensors, and over gRPC.
package inference

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"garb/model"
	"garb/serve/engine"
	"garb/serve/registry"
	"garb/serve/request"
	"garb/serve/tensors"
)

// Handler handles the requests of the protocol.
type Handler struct{ backend *request.Backend }

// New returns the handler of a service.
func New(b *request.Backend) *Handler { return &Handler{b} }

// Register registers the paths of the protocol, over REST and over gRPC.
func (h *Handler) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /v2/health/live", h.inferenceLive)
	mux.HandleFunc("GET /v2/health/ready", h.inferenceReady)
	mux.HandleFunc("GET /v2", h.backend.ProtocolHandler(h.serverMetadata))
	mux.HandleFunc("GET /v2/models/{model}", h.backend.ProtocolHandler(h.modelMetadata))
	mux.HandleFunc("GET /v2/models/{model}/versions/{version}", h.backend.ProtocolHandler(h.modelMetadata))
	mux.HandleFunc("GET /v2/models/{model}/ready", h.backend.ProtocolHandler(h.modelReady))
	mux.HandleFunc("GET /v2/models/{model}/versions/{version}/ready", h.backend.ProtocolHandler(h.modelReady))
	mux.HandleFunc("POST /v2/models/{model}/infer", h.backend.ProtocolHandler(h.infer))
	mux.HandleFunc("POST /v2/models/{model}/versions/{version}/infer", h.backend.ProtocolHandler(h.infer))
	h.registerRepository(mux)
	h.registerGRPC(mux)
}

// inputSpec describes the inputs that a model takes.
type inputSpec struct{ tensors.InputSpec }

func (h *Handler) inputSpec(v *registry.Version) inputSpec {
	return inputSpec{tensors.NewInputSpec(v, h.backend.Bodies.MaxPictures())}
}

func (h *Handler) inferenceLive(w http.ResponseWriter, _ *http.Request) {
	request.WriteJSON(w, "application/json", http.StatusOK, map[string]bool{"live": true})
}

func (h *Handler) inferenceReady(w http.ResponseWriter, r *http.Request) {
	if err := h.backend.Ready(); err != nil {
		request.WriteProtocolError(w, r, err)
		return
	}
	request.WriteJSON(w, "application/json", http.StatusOK, map[string]bool{"ready": true})
}

// extensions are the supported extensions of the protocol, by their names in Triton.
var extensions = []string{"binary_tensor_data", "classification", "model_repository", "statistics",
	"model_configuration"}

func (h *Handler) serverMetadata(w http.ResponseWriter, _ *http.Request) error {
	request.WriteJSON(w, "application/json", http.StatusOK,
		map[string]any{"name": "garb", "version": model.Version, "extensions": extensions})
	return nil
}

func (h *Handler) modelMetadata(w http.ResponseWriter, r *http.Request) error {
	v, release, err := h.backend.AcquireRequested(r)
	if err != nil {
		return err
	}
	defer release()
	inputs, outputs := tensors.Describe(v)
	parameters := map[string]any{"classes": v.Classes()}
	if v.Judges() {
		parameters["threshold"] = v.AcceptanceThreshold()
	}
	request.WriteJSON(w, "application/json", http.StatusOK, map[string]any{
		"name": v.Name, "versions": h.backend.VersionNumbers(v.Name), "platform": "garb", "inputs": inputs,
		"outputs":    outputs,
		"parameters": parameters,
	})
	return nil
}

func (h *Handler) modelReady(w http.ResponseWriter, r *http.Request) error {
	v, release, err := h.backend.AcquireRequested(r)
	if err != nil {
		return err
	}
	defer release()
	if err := h.backend.Ready(); err != nil {
		return err
	}
	request.WriteJSON(w, "application/json", http.StatusOK, map[string]any{"name": v.Name, "ready": true})
	return nil
}

// infer handles POST …/infer.
func (h *Handler) infer(w http.ResponseWriter, r *http.Request) error {
	return h.backend.HandleBody(w, r, func(v *registry.Version, body []byte) error {
		q, err := h.inputSpec(v).parseInferRequest(body, r.Header.Values(HeaderLength))
		if err != nil {
			return err
		}
		if q.model != "" && q.model != v.Name {
			return fmt.Errorf("%w: model_name is %.64q, but the path names the model %s", request.ErrInvalid, q.model,
				v.Name)
		}
		ctx, cancel := q.parameters.withTimeout(r.Context())
		defer cancel()
		answers, err := tensors.Answer(ctx, h.backend, v, q.inputs, engine.Options{})
		if err != nil {
			return err
		}
		q.write(w, v, answers)
		return nil
	})
}

// HeaderLength is the header that has the length of the JSON before binary tensors.
const HeaderLength = "Inference-Header-Content-Length"

// inferRequest is a request of the Open Inference Protocol.
type inferRequest struct {
	id         string
	model      string // that the body names; "" if it names none
	parameters requestParameters
	inputs     tensors.Inputs
	outputs    []tensors.Output
}

// parseInferRequest parses a request. lengths are the values of HeaderLength; without one, all of the body
// is JSON.
func (e inputSpec) parseInferRequest(body []byte, lengths []string) (q inferRequest, err error) {
	text, tail := body, []byte(nil)
	if length := strings.Join(lengths, ", "); len(lengths) > 0 {
		var n int
		if n, err = strconv.Atoi(length); err != nil || n < 0 || n > len(body) {
			return q, fmt.Errorf("%w: %s is %.20q, but the body has %d bytes", request.ErrInvalid, HeaderLength, length,
				len(body))
		}
		text, tail = body[:n], body[n:]
	}
	v, err := tensors.ParseJSON(text)
	if err != nil {
		return q, err
	}
	// Clients of KServe repeat the model's name in the body.
	fields, err := v.Fields("the request", "id", "model_name", "parameters", "inputs", "outputs")
	if err != nil {
		return q, err
	}
	if q.id, err = fields["id"].OptionalText("id"); err != nil {
		return q, err
	}
	if q.model, err = fields["model_name"].OptionalText("model_name"); err != nil {
		return q, err
	}
	p, err := parseParameters(fields["parameters"])
	if err != nil {
		return q, err
	}
	if q.parameters, err = p.request(); err != nil {
		return q, err
	}
	if q.outputs, err = e.parseOutputs(fields["outputs"], q.parameters.binary); err != nil {
		return q, err
	}
	input := fields["inputs"].Only()
	if input == nil {
		return q, errInputs
	}
	q.inputs, err = e.parseInput(input, tail)
	return q, err
}

// errInputs is the error of a request with both inputs, or none.
var errInputs = fmt.Errorf("%w: it must have one input: BYTES, for pictures, or FP32, for values", request.ErrInvalid)

// parseOutputs parses the outputs that a request asks for; the default is all. They are binary by default
// if binary is true.
func (e inputSpec) parseOutputs(v tensors.JSON, binary bool) (all []tensors.Output, err error) {
	if v != nil && !v.Is('[') {
		return nil, fmt.Errorf(`%w: "outputs" must be an array`, request.ErrInvalid)
	}
	for o := range v.Elements() {
		output, err := parseOutput(o, binary)
		if err != nil {
			return nil, err
		}
		all = append(all, output)
		if err = e.CheckOutputs(all); err != nil { // now, so that a request cannot ask for many
			return nil, err
		}
	}
	if all == nil {
		all = e.AllOutputs(binary)
	}
	return all, nil
}

// parseOutput parses an output that a request asks for.
func parseOutput(v tensors.JSON, binary bool) (o tensors.Output, err error) {
	fields, err := v.Fields("an output", "name", "parameters")
	if err != nil {
		return o, err
	}
	if o.Name, err = fields["name"].OptionalText("name"); err != nil {
		return o, err
	}
	p, err := parseParameters(fields["parameters"])
	if err != nil {
		return o, err
	}
	if err = p.check("an output", "binary_data", "classification"); err != nil {
		return o, err
	}
	if o.Binary, err = p.boolean("binary_data", binary); err != nil {
		return o, err
	}
	o.Top, err = p.classification()
	return o, err
}

// parseInput parses a tensor whose data are in the JSON or after it. Its name does not matter: clients
// may use the names that other servers expect.
func (e inputSpec) parseInput(v tensors.JSON, tail []byte) (in tensors.Inputs, err error) {
	fields, err := v.Fields("an input", "name", "datatype", "shape", "parameters", "data")
	if err != nil {
		return in, err
	}
	if _, err = fields["name"].OptionalText("name"); err != nil {
		return in, err
	}
	datatype, err := fields["datatype"].OptionalText("datatype")
	if err != nil {
		return in, err
	}
	data := fields["data"]
	shape, err := parseShape(fields["shape"])
	if err != nil {
		return in, err
	}
	p, err := parseParameters(fields["parameters"])
	if err != nil {
		return in, err
	}
	if err = p.check("an input", "binary_data_size"); err != nil {
		return in, err
	}
	if _, ok := p["binary_data_size"]; ok {
		n, sizeErr := p.integer("binary_data_size")
		if sizeErr != nil || n != int64(len(tail)) || data != nil {
			return in, fmt.Errorf("%w: binary_data_size is %.20v, with %d bytes after the JSON; the data must be "+
				"either there or in \"data\"", request.ErrInvalid, p["binary_data_size"], len(tail))
		}
		return e.DecodeRaw(datatype, shape, tail)
	}
	if len(tail) > 0 {
		return in, fmt.Errorf("%w: %d bytes follow the JSON, without binary_data_size", request.ErrInvalid, len(tail))
	}
	n, err := e.CountPictures(datatype, shape)
	if err != nil {
		return in, err
	}
	if datatype == tensors.FP32 {
		in.Values, err = data.Numbers(shape...)
		return in, err
	}
	for element := range data.Elements() {
		if len(shape) == 2 && element.Is('[') { // the data may be nested or flat
			element = element.Only()
		}
		if len(in.Pictures) == n || !element.Is('"') {
			return tensors.Inputs{}, errTexts(shape)
		}
		var picture []byte
		if picture, err = request.DecodeBase64(element.Text()); err != nil {
			return tensors.Inputs{}, err
		}
		in.Pictures = append(in.Pictures, picture)
	}
	if len(in.Pictures) < n {
		return tensors.Inputs{}, errTexts(shape)
	}
	return in, nil
}

// parseShape parses the shape of a tensor. It ignores what follows the fifth dimension, as no tensor has so
// many.
func parseShape(v tensors.JSON) (shape []int, err error) {
	for d := range v.Elements() {
		n, err := d.Integer()
		if err != nil {
			return nil, err
		}
		if shape = append(shape, n); len(shape) > 4 {
			break
		}
	}
	return shape, nil
}

func errTexts(shape []int) error {
	return fmt.Errorf("%w: the data are not strings of shape %v", request.ErrInvalid, shape)
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
func (q inferRequest) write(w http.ResponseWriter, v *registry.Version, answers []*engine.Answer) {
	var outputs []outputTensor
	var tail []byte
	for _, o := range q.outputs {
		t := tensors.Collect(v, answers, o)
		out := outputTensor{Name: t.Name, Datatype: t.Datatype, Shape: t.Shape}
		switch {
		case o.Binary:
			data := t.EncodeRaw()
			out.Parameters = map[string]int{"binary_data_size": len(data)}
			tail = append(tail, data...)
		case t.Datatype == tensors.FP32:
			out.Data = t.Floats
		default:
			out.Data = t.Texts
		}
		outputs = append(outputs, out)
	}
	answer := struct {
		ModelName    string         `json:"model_name"`
		ModelVersion string         `json:"model_version"`
		ID           string         `json:"id,omitempty"`
		Outputs      []outputTensor `json:"outputs"`
	}{v.Name, strconv.Itoa(v.Number), q.id, outputs}
	if !slices.ContainsFunc(q.outputs, func(o tensors.Output) bool { return o.Binary }) {
		request.WriteJSON(w, "application/json", http.StatusOK, answer)
		return
	}
	text, err := json.Marshal(answer)
	if err != nil {
		panic("inference: " + err.Error()) // our own values
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set(HeaderLength, strconv.Itoa(len(text)))
	_, _ = w.Write(append(text, tail...))
}
