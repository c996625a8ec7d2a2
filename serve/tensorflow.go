package serve

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// tensorFlow registers TensorFlow Serving's REST API: garb answers as a Keras classifier
// behind it does, with the probabilities in the order of the classes. Clients that expect
// nothing else get nothing else; the acceptance has a signature of its own.
func (s *Server) tensorFlow(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/models/{model}", s.bare(s.modelStatus))
	mux.HandleFunc("GET /v1/models/{model}/versions/{version}", s.bare(s.modelStatus))
	mux.HandleFunc("GET /v1/models/{model}/metadata", s.bare(s.modelSignature))
	mux.HandleFunc("GET /v1/models/{model}/versions/{version}/metadata", s.bare(s.modelSignature))
	// The last part is NAME:predict, and a ServeMux knows no wildcards in parts.
	mux.HandleFunc("POST /v1/models/{model}", s.bare(s.predict))
	mux.HandleFunc("POST /v1/models/{model}/versions/{version}", s.bare(s.predict))
}

func (s *Server) modelStatus(w http.ResponseWriter, r *http.Request) error {
	v, release, err := s.acquireOf(r)
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

// Signatures, as TensorFlow Serving calls what a model can be asked: that of Keras models,
// of values, one of pictures, and one with two outputs of models that judge. Values and
// pictures may be sent under each name.
const (
	signatureValues     = "serving_default"
	signaturePictures   = "serving_pictures"
	signatureAcceptance = "serving_acceptance"
)

func (s *Server) modelSignature(w http.ResponseWriter, r *http.Request) error {
	v, release, err := s.acquireOf(r)
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

// predict is POST …:predict.
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
	return s.asked(w, r, func(v *version, body []byte) error {
		q, err := s.expects(v).predictRequest(body)
		if err != nil {
			return err
		}
		answers, err := s.answers(r.Context(), v, q.batch)
		if err != nil {
			return err
		}
		writeJSON(w, "application/json", http.StatusOK, q.answer(answers))
		return nil
	})
}

// predictRequest is a request of TensorFlow Serving's API.
type predictRequest struct {
	batch      batch
	columns    bool // "inputs", which are answered as "outputs", instead of "instances" and "predictions"
	acceptance bool // whether it asks for the acceptance, too
}

// answer is what a request is answered. With two outputs, rows are objects that have a value
// of each, and columns are an object that has all values of each.
func (q predictRequest) answer(answers []*answer) map[string]any {
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

// signatures are the names that a model can be asked under.
func (e expected) signatures() []string {
	names := []string{signatureValues, signaturePictures}
	if e.judges {
		names = append(names, signatureAcceptance)
	}
	return names
}

// predictRequest reads a request, in rows ("instances") or in columns ("inputs"). Both are
// an array of pictures here, but in columns it may have a name, and in rows each of its
// elements.
func (e expected) predictRequest(body []byte) (q predictRequest, err error) {
	v, err := parseJSON(body)
	if err != nil {
		return q, err
	}
	name := v.member("signature_name").text()
	if name != "" && !slices.Contains(e.signatures(), name) {
		return q, fmt.Errorf("%w: there is no signature %.40q; there are %s", errBadRequest, name,
			strings.Join(e.signatures(), ", "))
	}
	q.acceptance = name == signatureAcceptance
	all, columns := v.member("instances"), v.member("inputs")
	switch {
	case (all == nil) == (columns == nil):
		return q, fmt.Errorf(`%w: its JSON has either "instances" or "inputs"`, errBadRequest)
	case all == nil:
		q.columns, all = true, columns.unnamed()
	}
	q.batch, err = e.instances(all)
	return q, err
}

// instances reads an array of pictures, or of values.
func (e expected) instances(all value) (b batch, err error) {
	if !all.is('[') {
		return b, errInstances
	}
	for instance := range all.elements() {
		if err := e.few(len(b.pictures) + len(b.values)/e.spec.ValueCount() + 1); err != nil {
			return batch{}, err
		}
		instance = instance.unnamed()
		text := instance.member("b64")
		switch {
		case instance.is('[') && b.pictures == nil:
			values, err := instance.numbers(e.shape()...)
			if err != nil {
				return batch{}, err
			}
			b.values = append(b.values, values...)
		case text.is('"') && b.values == nil:
			data, err := decodeBase64(text.text())
			if err != nil {
				return batch{}, err
			}
			b.pictures = append(b.pictures, sent{data: data})
		default:
			return batch{}, errInstances
		}
	}
	if b.pictures == nil && b.values == nil {
		return b, errInstances
	}
	return b, nil
}

var errInstances = fmt.Errorf(`%w: its "instances" or "inputs" are an array of pictures, {"b64": …} each, or of values, of shape [height width 3] each`, errBadRequest)

// unnamed is the value of an object that gives it a name, such as {"picture": …}, and a
// value without one as it is. Any name will do: clients may keep theirs.
func (v value) unnamed() value {
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
