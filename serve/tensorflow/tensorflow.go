// Package tensorflow is TensorFlow Serving's API, over REST with what KServe's v1 adds, and over gRPC.
package tensorflow

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"garb/serve/classify"
	"garb/serve/engine"
	"garb/serve/registry"
	"garb/serve/request"
	"garb/serve/tensors"
)

// Handler handles the requests of the protocol.
type Handler struct{ backend *request.Backend }

// New returns the handler of a service.
func New(b *request.Backend) *Handler { return &Handler{b} }

// inputSpec describes the inputs that a model takes.
type inputSpec struct{ tensors.InputSpec }

func (h *Handler) inputSpec(v *registry.Version) inputSpec {
	return inputSpec{tensors.NewInputSpec(v, h.backend.Bodies.MaxPictures())}
}

// Register registers the paths of the REST API, and the procedures of gRPC. Responses have the output of the
// model's signature, for most models the probabilities in the order of the classes. The acceptance has its
// own signature, so that existing clients are not affected.
func (h *Handler) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/models/{model}", h.backend.ProtocolHandler(h.modelStatus))
	mux.HandleFunc("GET /v1/models/{model}/versions/{version}", h.backend.ProtocolHandler(h.modelStatus))
	mux.HandleFunc("GET /v1/models/{model}/metadata", h.backend.ProtocolHandler(h.modelSignature))
	mux.HandleFunc("GET /v1/models/{model}/versions/{version}/metadata", h.backend.ProtocolHandler(h.modelSignature))
	// The last part is NAME:VERB, and a wildcard of ServeMux is a whole part.
	mux.HandleFunc("POST /v1/models/{model}", h.backend.ProtocolHandler(h.call))
	mux.HandleFunc("POST /v1/models/{model}/versions/{version}", h.backend.ProtocolHandler(h.call))
	mux.HandleFunc("/v1/models/{model}", refuseMethod)
	mux.HandleFunc("/v1/models/{model}/versions/{version}", refuseMethod)
	h.registerModels(mux)
	h.registerGRPC(mux)
}

// refuseMethod refuses a request whose method neither the state of a model nor a verb has.
func refuseMethod(w http.ResponseWriter, r *http.Request) {
	request.WriteProtocolError(w, r, methodError(w, cutVerb(r)))
}

// methodError returns the error of a method that a path with a verb, or with none, does not support. It
// sets the header with those that it does.
func methodError(w http.ResponseWriter, verb string) error {
	switch verb {
	case "":
		w.Header().Set("Allow", "GET, HEAD")
	case verbPredict, verbClassify, verbRegress, verbExplain:
		w.Header().Set("Allow", http.MethodPost)
	default:
		return request.ErrNoRoute
	}
	return request.ErrMethod
}

// cutVerb cuts the verb from the last part of a request's path, NAME:VERB, and returns it. It returns "" if
// the part has no verb.
func cutVerb(r *http.Request) string {
	last := "model"
	if r.PathValue("version") != "" {
		last = "version"
	}
	part := r.PathValue(last)
	i := strings.LastIndexByte(part, ':')
	if i < 0 {
		return ""
	}
	r.SetPathValue(last, part[:i])
	return part[i+1:]
}

// The verbs of the protocol.
const (
	verbPredict  = "predict"
	verbClassify = "classify"
	verbRegress  = "regress"
	verbExplain  = "explain" // of KServe
)

// modelStatus returns the state of a version of a model as TensorFlow Serving does, and beside it what
// KServe says about a model.
func (h *Handler) modelStatus(w http.ResponseWriter, r *http.Request) error {
	if verb := cutVerb(r); verb != "" {
		return methodError(w, verb)
	}
	if err := h.backend.Ready(); err != nil {
		return err
	}
	versions, err := h.backend.FindVersions(r.Context(), r.PathValue("model"), r.PathValue("version"))
	if err != nil {
		return err
	}
	var all []any
	for _, v := range slices.Backward(versions) { // the highest first
		all = append(all, map[string]any{
			"version": strconv.Itoa(v.Number), "state": "AVAILABLE",
			"status": map[string]string{"error_code": "OK", "error_message": ""},
		})
	}
	request.WriteJSON(w, "application/json", http.StatusOK, map[string]any{
		"name": versions[0].Name, "ready": true, "model_version_status": all,
	})
	return nil
}

func (h *Handler) modelSignature(w http.ResponseWriter, r *http.Request) error {
	v, release, err := h.backend.AcquireRequested(r)
	if err != nil {
		return err
	}
	defer release()
	signatures := map[string]any{}
	for name, s := range describeSignatures(v) {
		signatures[name] = encodeSignatureJSON(s)
	}
	request.WriteJSON(w, "application/json", http.StatusOK, map[string]any{
		"model_spec": map[string]string{"name": v.Name, "signature_name": "", "version": strconv.Itoa(v.Number)},
		"metadata":   map[string]any{"signature_def": map[string]any{"signature_def": signatures}},
	})
	return nil
}

// call handles POST …:VERB.
func (h *Handler) call(w http.ResponseWriter, r *http.Request) error {
	var answer func(http.ResponseWriter, *http.Request, *registry.Version, []byte) error
	verb := cutVerb(r)
	switch verb {
	case verbPredict:
		answer = h.predict
	case verbClassify:
		answer = h.classify
	case verbExplain:
		answer = h.explain
	case verbRegress:
		return fmt.Errorf("%w: models of this service classify and have no signature for regress; use :classify or "+
			":predict", request.ErrInvalid)
	default:
		return methodError(w, verb)
	}
	return h.backend.HandleBody(w, r, func(v *registry.Version, body []byte) error { return answer(w, r, v, body) })
}

// predict answers with the outputs of the model.
func (h *Handler) predict(w http.ResponseWriter, r *http.Request, v *registry.Version, body []byte) error {
	q, err := h.inputSpec(v).parsePredictRequest(body)
	if err != nil {
		return err
	}
	answers, err := tensors.Answer(r.Context(), h.backend, v, q.inputs, engine.Options{})
	if err != nil {
		return err
	}
	request.WriteJSON(w, "application/json", http.StatusOK, q.response(v, answers))
	return nil
}

// classify answers with the label and the score of each class, in the order of the classes.
func (h *Handler) classify(w http.ResponseWriter, r *http.Request, v *registry.Version, body []byte) error {
	inputs, err := h.inputSpec(v).parseClassifyRequest(body)
	if err != nil {
		return err
	}
	answers, err := tensors.Answer(r.Context(), h.backend, v, inputs, engine.Options{})
	if err != nil {
		return err
	}
	results := make([][][2]any, len(answers))
	for i, a := range answers {
		for class, p := range a.Probabilities() {
			results[i] = append(results[i], [2]any{v.Classes()[class], p})
		}
	}
	request.WriteJSON(w, "application/json", http.StatusOK, map[string]any{"results": results})
	return nil
}

// explain answers with classifications that have heat maps, in the form of POST /v1/classify.
func (h *Handler) explain(w http.ResponseWriter, r *http.Request, v *registry.Version, body []byte) error {
	q, err := h.inputSpec(v).parsePredictRequest(body)
	if err != nil {
		return err
	}
	if q.inputs.Pictures == nil {
		return fmt.Errorf(`%w: values cannot be explained; send pictures, each {"b64": …}`, request.ErrInvalid)
	}
	answers, err := tensors.Answer(r.Context(), h.backend, v, q.inputs,
		engine.Options{Explain: true, Class: -1})
	if err != nil {
		return err
	}
	explanations, errs := make([]classify.Classification, len(answers)), make([]error, len(answers))
	for i, a := range answers {
		explanations[i], errs[i] = classify.NewClassification(fmt.Sprintf("picture %d", i+1), v, a, classify.DefaultTop)
	}
	if err = errors.Join(errs...); err != nil {
		return err
	}
	request.WriteJSON(w, "application/json", http.StatusOK, map[string]any{"explanations": explanations})
	return nil
}

// predictRequest is a request of TensorFlow Serving's API.
type predictRequest struct {
	inputs    tensors.Inputs
	columns   bool   // "inputs" and "outputs" instead of "instances" and "predictions"
	signature string // its name, "" if there is none
}

// response returns the response to a request. With two outputs, each row is an object with a value of
// each output, and columns are an object with all values of each output.
func (q predictRequest) response(v *registry.Version, answers []*engine.Answer) map[string]any {
	outputs := listOutputs(v, q.signature)
	rows, columns := make([]any, len(answers)), map[string][]any{}
	for i, a := range answers {
		row := map[string]any{}
		for _, o := range outputs {
			row[o.name] = o.value(a)
			columns[o.name] = append(columns[o.name], row[o.name])
		}
		rows[i] = row
		if len(outputs) == 1 {
			rows[i] = row[outputs[0].name]
		}
	}
	switch {
	case !q.columns:
		return map[string]any{"predictions": rows}
	case len(outputs) > 1:
		return map[string]any{"outputs": columns}
	}
	return map[string]any{"outputs": rows}
}

// parsePredictRequest parses a request with rows ("instances") or columns ("inputs"). Both are an array
// of pictures. The columns, or each of the rows, may be wrapped in an object with one member.
func (e inputSpec) parsePredictRequest(body []byte) (q predictRequest, err error) {
	v, err := tensors.ParseJSON(body)
	if err != nil {
		return q, err
	}
	fields, err := v.Fields("the request", "signature_name", "instances", "inputs")
	if err != nil {
		return q, err
	}
	if q.signature, err = e.parseSignature(fields["signature_name"]); err != nil {
		return q, err
	}
	all, columns := fields["instances"], fields["inputs"]
	switch {
	case (all == nil) == (columns == nil):
		return q, fmt.Errorf(`%w: the JSON must have either "instances" or "inputs"`, request.ErrInvalid)
	case all == nil:
		q.columns, all = true, unwrap(columns)
	}
	q.inputs, err = e.parseInstances(all)
	return q, err
}

// parseSignature parses the name of a signature, "" if there is none.
func (e inputSpec) parseSignature(v tensors.JSON) (string, error) {
	name, err := v.OptionalText("signature_name")
	if err == nil && name != "" {
		err = e.checkSignature(name)
	}
	return name, err
}

// parseClassifyRequest parses a request with examples. Each has one feature: a picture, or values.
func (e inputSpec) parseClassifyRequest(body []byte) (in tensors.Inputs, err error) {
	v, err := tensors.ParseJSON(body)
	if err != nil {
		return in, err
	}
	fields, err := v.Fields("the request", "signature_name", "examples", "context")
	if err != nil {
		return in, err
	}
	name, err := e.parseSignature(fields["signature_name"])
	if err != nil {
		return in, err
	}
	switch {
	case name == signatureAcceptance:
		return in, errNotClassifying
	case fields["context"] != nil:
		return in, errContext
	case fields["examples"] == nil:
		return in, fmt.Errorf(`%w: the JSON must have "examples"`, request.ErrInvalid)
	}
	return e.parseInstances(fields["examples"])
}

// Errors of requests to classify.
var (
	errNotClassifying = fmt.Errorf("%w: the signature %s does not classify", request.ErrInvalid, signatureAcceptance)
	errContext        = fmt.Errorf("%w: the context: a model has one feature, which is in each example",
		request.ErrInvalid)
)

// parseInstances parses an array of pictures or of values.
func (e inputSpec) parseInstances(all tensors.JSON) (in tensors.Inputs, err error) {
	if !all.Is('[') {
		return in, errInstances
	}
	for instance := range all.Elements() {
		if err = e.CheckCount(len(in.Pictures) + len(in.Values)/e.Spec.ValueCount() + 1); err != nil {
			return tensors.Inputs{}, err
		}
		instance = unwrap(instance)
		var fields map[string]tensors.JSON
		if instance.Is('{') {
			if fields, err = instance.Fields("a picture", "b64"); err != nil {
				return tensors.Inputs{}, err
			}
		}
		text := fields["b64"]
		switch {
		case instance.Is('[') && in.Pictures == nil:
			var values []float32
			if values, err = instance.Numbers(e.Shape()...); err != nil {
				return tensors.Inputs{}, err
			}
			in.Values = append(in.Values, values...)
		case text.Is('"') && in.Values == nil:
			var data []byte
			if data, err = request.DecodeBase64(text.Text()); err != nil {
				return tensors.Inputs{}, err
			}
			in.Pictures = append(in.Pictures, data)
		default:
			return tensors.Inputs{}, errInstances
		}
	}
	if in.Pictures == nil && in.Values == nil {
		return in, errInstances
	}
	return in, nil
}

var errInstances = fmt.Errorf(`%w: "instances", "inputs" or "examples" must be an array of pictures, each `+
	`{"b64": …}, or of values, each of shape [height width 3]`, request.ErrInvalid)

// unwrap returns the value of an object with one member of any name, such as {"picture": …}. It returns
// other values, and {"b64": …}, as they are.
func unwrap(v tensors.JSON) tensors.JSON {
	count, last := 0, v
	for name, m := range v.Members() {
		if name == "b64" {
			return v
		}
		count, last = count+1, m
	}
	if count > 1 {
		return nil
	}
	return last
}
