package serve

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// registerTensorFlow registers TensorFlow Serving's REST API. Responses are those of a Keras classifier:
// the probabilities in the order of the classes. The acceptance has its own signature, so that
// existing clients are not affected.
func (s *Server) registerTensorFlow(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/models/{model}", s.protocolHandler(s.modelStatus))
	mux.HandleFunc("GET /v1/models/{model}/versions/{version}", s.protocolHandler(s.modelStatus))
	mux.HandleFunc("GET /v1/models/{model}/metadata", s.protocolHandler(s.modelSignature))
	mux.HandleFunc("GET /v1/models/{model}/versions/{version}/metadata", s.protocolHandler(s.modelSignature))
	// The last part is NAME:predict, and a wildcard of ServeMux is a whole part.
	mux.HandleFunc("POST /v1/models/{model}", s.protocolHandler(s.predict))
	mux.HandleFunc("POST /v1/models/{model}/versions/{version}", s.protocolHandler(s.predict))
}

func (s *Server) modelStatus(w http.ResponseWriter, r *http.Request) error {
	v, release, err := s.acquireRequested(r)
	if err != nil {
		return err
	}
	defer release()
	writeJSON(w, "application/json", http.StatusOK, map[string]any{"model_version_status": []any{map[string]any{
		"version": strconv.Itoa(v.number), "state": "AVAILABLE",
		"status": map[string]string{"error_code": "OK", "error_message": ""},
	}}})
	return nil
}

// The signatures of a model: that of Keras models, which takes values, one that takes pictures, and for
// a model with acceptance one with two outputs. Each accepts both values and pictures.
const (
	signatureValues     = "serving_default"
	signaturePictures   = "serving_pictures"
	signatureAcceptance = "serving_acceptance"
)

func (s *Server) modelSignature(w http.ResponseWriter, r *http.Request) error {
	v, release, err := s.acquireRequested(r)
	if err != nil {
		return err
	}
	defer release()
	info := func(name, dtype string, shape ...int) map[string]any {
		dim := []any{}
		for _, n := range shape {
			dim = append(dim, map[string]string{"size": strconv.Itoa(n), "name": ""})
		}
		return map[string]any{"dtype": dtype, "name": name + ":0",
			"tensor_shape": map[string]any{"dim": dim, "unknown_rank": false}}
	}
	probabilities := info(outputProbabilities, "DT_FLOAT", -1, len(v.Classes()))
	signature := func(name string, input, outputs map[string]any) map[string]any {
		return map[string]any{"inputs": map[string]any{name: input}, "outputs": outputs,
			"method_name": "tensorflow/serving/predict", "defaults": map[string]any{}}
	}
	alone, pictures := map[string]any{outputProbabilities: probabilities}, info("picture", "DT_STRING", -1)
	signatures := map[string]any{
		signatureValues: signature("input",
			info("input", "DT_FLOAT", -1, v.Spec().Height, v.Spec().Width, v.Spec().Channels()), alone),
		signaturePictures: signature("picture", pictures, alone),
	}
	if v.judges() {
		both := map[string]any{outputProbabilities: probabilities,
			outputAcceptance: info(outputAcceptance, "DT_FLOAT", -1)}
		signatures[signatureAcceptance] = signature("picture", pictures, both)
	}
	writeJSON(w, "application/json", http.StatusOK, map[string]any{
		"model_spec": map[string]string{"name": v.name, "signature_name": "", "version": strconv.Itoa(v.number)},
		"metadata":   map[string]any{"signature_def": map[string]any{"signature_def": signatures}},
	})
	return nil
}

// predict handles POST …:predict.
func (s *Server) predict(w http.ResponseWriter, r *http.Request) error {
	last := "model"
	if r.PathValue("version") != "" {
		last = "version"
	}
	name, ok := strings.CutSuffix(r.PathValue(last), ":predict")
	if !ok {
		return errNoRoute
	}
	r.SetPathValue(last, name)
	return s.handleBody(w, r, func(v *version, body []byte) error {
		q, err := s.inputSpec(v).parsePredictRequest(body)
		if err != nil {
			return err
		}
		answers, err := s.answerAll(r.Context(), v, q.inputs)
		if err != nil {
			return err
		}
		writeJSON(w, "application/json", http.StatusOK, q.response(answers))
		return nil
	})
}

// predictRequest is a request of TensorFlow Serving's API.
type predictRequest struct {
	inputs     inputs
	columns    bool // "inputs" and "outputs" instead of "instances" and "predictions"
	acceptance bool // the response has the acceptance too
}

// response returns the response to a request. With two outputs, each row is an object with a value of
// each output, and columns are an object with all values of each output.
func (q predictRequest) response(answers []*answer) map[string]any {
	probabilities, acceptances, rows := make([][]float32, len(answers)), make([]float32, len(answers)),
		make([]map[string]any, len(answers))
	for i, a := range answers {
		probabilities[i], acceptances[i] = a.probabilities(), float32(a.Acceptance)
		rows[i] = map[string]any{outputProbabilities: probabilities[i], outputAcceptance: acceptances[i]}
	}
	switch {
	case q.acceptance && q.columns:
		return map[string]any{"outputs": map[string]any{outputProbabilities: probabilities,
			outputAcceptance: acceptances}}
	case q.acceptance:
		return map[string]any{"predictions": rows}
	case q.columns:
		return map[string]any{"outputs": probabilities}
	}
	return map[string]any{"predictions": probabilities}
}

// signatures returns the names of a model's signatures.
func (e inputSpec) signatures() []string {
	names := []string{signatureValues, signaturePictures}
	if e.judges {
		names = append(names, signatureAcceptance)
	}
	return names
}

// parsePredictRequest parses a request with rows ("instances") or columns ("inputs"). Both are an array
// of pictures. The columns, or each of the rows, may be wrapped in an object with one member.
func (e inputSpec) parsePredictRequest(body []byte) (q predictRequest, err error) {
	v, err := parseJSON(body)
	if err != nil {
		return q, err
	}
	name := v.member("signature_name").text()
	if name != "" && !slices.Contains(e.signatures(), name) {
		return q, fmt.Errorf("%w: there is no signature %.40q; the signatures are %s", errBadRequest, name,
			strings.Join(e.signatures(), ", "))
	}
	q.acceptance = name == signatureAcceptance
	all, columns := v.member("instances"), v.member("inputs")
	switch {
	case (all == nil) == (columns == nil):
		return q, fmt.Errorf(`%w: the JSON must have either "instances" or "inputs"`, errBadRequest)
	case all == nil:
		q.columns, all = true, columns.unwrap()
	}
	q.inputs, err = e.parseInstances(all)
	return q, err
}

// parseInstances parses an array of pictures or of values.
func (e inputSpec) parseInstances(all jsonValue) (in inputs, err error) {
	if !all.is('[') {
		return in, errInstances
	}
	for instance := range all.elements() {
		if err = e.checkCount(len(in.pictures) + len(in.values)/e.spec.ValueCount() + 1); err != nil {
			return inputs{}, err
		}
		instance = instance.unwrap()
		text := instance.member("b64")
		switch {
		case instance.is('[') && in.pictures == nil:
			var values []float32
			if values, err = instance.numbers(e.shape()...); err != nil {
				return inputs{}, err
			}
			in.values = append(in.values, values...)
		case text.is('"') && in.values == nil:
			var data []byte
			if data, err = decodeBase64(text.text()); err != nil {
				return inputs{}, err
			}
			in.pictures = append(in.pictures, upload{data: data})
		default:
			return inputs{}, errInstances
		}
	}
	if in.pictures == nil && in.values == nil {
		return in, errInstances
	}
	return in, nil
}

var errInstances = fmt.Errorf(`%w: "instances" or "inputs" must be an array of pictures, each {"b64": …}, or of `+
	`values, each of shape [height width 3]`, errBadRequest)

// unwrap returns the value of an object with one member of any name, such as {"picture": …}. It returns
// other values, and {"b64": …}, as they are.
func (v jsonValue) unwrap() jsonValue {
	count, last := 0, v
	for name, m := range v.members() {
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
