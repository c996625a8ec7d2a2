package serve

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"garb/model"
	pb "garb/serve/inferencepb"
	"garb/serve/request"
	"garb/serve/tensors"
)

// black is a picture that the fake calls dark and, if it judges, accepts.
func black() []byte {
	return []byte("GIF89a\x01\x00\x01\x00\x80\x01\x00\x00\x00\x00\x00\x00\x00," +
		"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")
}

// The acceptances of black and white pictures by the fake: 1/(1+e^-4) and 1/(1+e^4).
var ofBlack, ofWhite = 1 / (1 + math.Exp(-4)), 1 / (1 + math.Exp(4))

// judged is what an answer says of acceptance.
type judged struct {
	Class      string
	Accepted   *bool
	Acceptance *float64
	Refusal    string
}

// TestClassifyAcceptance: what is said of accepted and refused pictures, at every threshold.
func TestClassifyAcceptance(t *testing.T) {
	r := start(t, &fake{Judging: true}, nil)
	yes, no := true, false
	accepted, refused := judged{"dark", &yes, &ofBlack, ""}, judged{"light", &no, &ofWhite, "neither"}
	for _, c := range []struct {
		query   string
		picture []byte
		want    judged
	}{
		{"", black(), accepted},
		{"", white(), refused},
		{"?accept=0.5", white(), refused},
		{"?accept=all", white(), judged{"light", &yes, &ofWhite, ""}},
		{"?accept=0", white(), judged{"light", &yes, &ofWhite, ""}},
		{"?accept=0.01", white(), judged{"light", &yes, &ofWhite, ""}},
		{"?accept=0.02", white(), refused}, // it has 0.018
		{fmt.Sprint("?accept=", ofWhite), white(), judged{"light", &yes, &ofWhite, ""}},
		{"?accept=0.98", black(), accepted}, // it has 0.982
		{"?accept=0.99", black(), judged{"dark", &no, &ofBlack, "neither"}},
		{"?accept=1", black(), judged{"dark", &no, &ofBlack, "neither"}},
	} {
		answer, text := post(t, r.url+"/v1/classify"+c.query, "", c.picture)
		var got judged
		if err := json.Unmarshal(text, &got); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s: %s", c.query, answer.Status, text)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s\n%s", c.query, text, diff)
		}
	}

	// Of several pictures each is judged; what is no picture has no acceptance.
	kind, body := form(t, white(), []byte("text"), black())
	_, text := post(t, r.url+"/v1/classify", kind, body)
	var several []judged
	if err := json.Unmarshal(text, &several); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]judged{refused, {}, accepted}, several); diff != "" {
		t.Errorf("%s\n%s", text, diff)
	}

	// One that does not judge says nothing of it.
	r = start(t, &fake{}, nil)
	_, text = post(t, r.url+"/v1/classify", "", white())
	for _, word := range []string{"accept", "refusal"} {
		if strings.Contains(string(text), word) {
			t.Errorf("a model that does not judge says %s", text)
		}
	}
}

// TestClassifySet: a prediction set is a part of the answer, and of an answer only.
func TestClassifySet(t *testing.T) {
	f := &fake{}
	r := start(t, f, nil)
	if _, text := post(t, r.url+"/v1/classify", "", white()); strings.Contains(string(text), `"set"`) {
		t.Errorf("without a set: %s", text)
	}
	f.PredictionSet = []string{"light", "dark"}
	if _, text := post(t, r.url+"/v1/classify", "", white()); !strings.Contains(string(text),
		`"set":["light","dark"]`) {
		t.Errorf("with a set: %s", text)
	}
}

// TestClassifyBadThreshold: what is wrong with a threshold, and what it is told.
func TestClassifyBadThreshold(t *testing.T) {
	judging, other := start(t, &fake{Judging: true}, nil), start(t, &fake{}, nil)
	const range01 = "an acceptance threshold is a number from 0 to 1, or all to accept every picture"
	for _, c := range []struct {
		r      *running
		accept string
		detail string
	}{
		{judging, "most", "accept=most: " + range01},
		{judging, "ALL", range01},
		{judging, "NaN", range01},
		{judging, "-0.1", range01},
		{judging, "1.1", range01},
		{judging, "Inf", range01},
		{judging, "0.5,0.6", range01},
		{judging, "50%25", range01},
		{judging, strings.Repeat("9", 1000), range01},
		{other, "0.3", "accept=0.3: the model m has no acceptance"},
		{other, "most", range01},
	} {
		answer, text := post(t, c.r.url+"/v1/classify?accept="+c.accept, "", white())
		var p request.Problem
		if err := json.Unmarshal(text, &p); err != nil || answer.StatusCode != http.StatusBadRequest ||
			p.Kind != "bad_request" || !strings.Contains(p.Detail, c.detail) || len(p.Detail) > 300 {
			t.Errorf("accept=%.40s: %s %s", c.accept, answer.Status, text)
		}
	}
	// To accept all is what such a model does anyway.
	if answer, text := post(t, other.url+"/v1/classify?accept=all", "", white()); answer.StatusCode != http.StatusOK {
		t.Errorf("%s %s", answer.Status, text)
	}
}

// TestInferenceAcceptance: the output acceptance of the Open Inference Protocol.
//
//nolint:funlen // one request after another to one server
func TestInferenceAcceptance(t *testing.T) {
	r := start(t, &fake{Judging: true}, nil)
	input := fmt.Sprintf(`{"name": "x", "datatype": "FP32", "shape": [2, 8, 8, 3], "data": [%s192%s]}`,
		strings.Repeat("0,", 192), strings.Repeat(",0", 191))
	acceptances := fmt.Sprintf(`[%v,%v]`, float32(ofBlack), float32(ofWhite))
	const class = `{"name":"class","datatype":"BYTES","shape":[2],"data":["dark","light"]}`
	for outputs, want := range map[string]string{
		`[]`: `{"name":"logits","datatype":"FP32","shape":[2,2],"data":[-0,-1,-1,0]},{"name":"probabilities",` +
			`"datatype":"FP32","shape":[2,2],"data":[0.75,0.25,0.25,0.75]},` +
			class + `,{"name":"acceptance","datatype":"FP32","shape":[2],"data":` + acceptances + `}`,
		`[{"name": "acceptance"}, {"name": "class"}]`: `{"name":"acceptance","datatype":"FP32","shape":[2],"data":` +
			acceptances + `},` + class,
	} {
		_, text := post(t, r.url+"/v2/models/m/infer", "application/json",
			[]byte(`{"inputs": [`+input+`], "outputs": `+outputs+`}`))
		if want = `{"model_name":"m","model_version":"1","outputs":[` + want + "]}\n"; string(text) != want {
			t.Errorf("%s: %s\nwant %s", outputs, text, want)
		}
	}

	// In binary.
	answer, body := post(t, r.url+"/v2/models/m/infer", "application/json",
		[]byte(`{"inputs": [`+input+`], "outputs": [{"name": "acceptance", "parameters": {"binary_data": true}}]}`))
	raw := string(littleEndian([]float32{float32(ofBlack), float32(ofWhite)}))
	if answer.StatusCode != http.StatusOK ||
		!strings.HasSuffix(string(body), `"shape":[2],"parameters":{"binary_data_size":8}}]}`+raw) {
		t.Errorf("%s %q", answer.Status, body)
	}

	// By gRPC, in both forms, and in the metadata.
	metadata, err := call[pb.ModelMetadataRequest, pb.ModelMetadataResponse](t, r, "ModelMetadata",
		&pb.ModelMetadataRequest{Name: "m"})
	if err != nil || len(metadata.Outputs) != 4 || metadata.Outputs[3].Name != "acceptance" ||
		metadata.Outputs[3].Datatype != tensors.FP32 || !cmp.Equal(metadata.Outputs[3].Shape, []int64{-1}) {
		t.Errorf("%v, %v", metadata, err)
	}
	q := &pb.ModelInferRequest{
		ModelName: "m", Inputs: []*inputMessage{{Name: "picture", Datatype: tensors.Bytes, Shape: []int64{1},
			Contents: &pb.InferTensorContents{BytesContents: [][]byte{white()}}}},
		Outputs: []*outputMessage{{Name: "acceptance"}},
	}
	if a, err := inferGRPC(t, r, q); err != nil || len(a.Outputs) != 1 ||
		!cmp.Equal(a.Outputs[0].Contents.Fp32Contents, []float32{float32(ofWhite)}) ||
		!cmp.Equal(a.Outputs[0].Shape, []int64{1}) {
		t.Errorf("%v, %v", a, err)
	}
	q.Outputs = nil
	if a, err := inferGRPC(t, r, q); err != nil || len(a.Outputs) != 4 || a.Outputs[3].Name != "acceptance" {
		t.Errorf("%v, %v", a, err)
	}
	q.Inputs[0].Contents, q.RawInputContents = nil,
		[][]byte{tensors.Tensor{Texts: []string{string(white())}}.EncodeRaw()}
	if a, err := inferGRPC(t, r, q); err != nil || len(a.RawOutputContents) != 4 ||
		string(a.RawOutputContents[3]) != raw[4:] {
		t.Errorf("%v, %v", a, err)
	}

	_, text := ask(t, r, http.MethodGet, "/v2/models/m", "", nil)
	for _, part := range []string{`{"name":"class","datatype":"BYTES","shape":[-1]},{"name":"acceptance",` +
		`"datatype":"FP32","shape":[-1]}]`, `"parameters":{"classes":["dark","light"],"threshold":0.5}`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("the metadata: %s", text)
		}
	}
}

// TestInferenceBadAcceptance: what cannot be asked about acceptance.
func TestInferenceBadAcceptance(t *testing.T) {
	judging, other := start(t, &fake{Judging: true}, nil), start(t, &fake{}, nil)
	for _, c := range []struct {
		r            *running
		output, says string
	}{
		{judging, `{"name": "acceptance", "parameters": {"classification": 1}}`,
			"classification must be a number of classes"},
		{judging, `{"name": "acceptance"}, {"name": "acceptance"}`, "the output acceptance is requested twice"},
		{judging, `{"name": "accepted"}`, "the outputs are logits, probabilities, class, acceptance"},
		{other, `{"name": "acceptance"}`, "the model has no acceptance"},
		{other, `{"name": "accepted"}`, "the outputs are logits, probabilities, class\""},
	} {
		answer, text := post(t, c.r.url+"/v2/models/m/infer", "application/json",
			[]byte(`{"inputs": [`+pictureInput(white())+`], "outputs": [`+c.output+`]}`))
		if answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), c.says) {
			t.Errorf("%s: %s %s", c.output, answer.Status, text)
		}
	}
	q := &pb.ModelInferRequest{
		ModelName: "m", Inputs: []*inputMessage{{Datatype: tensors.Bytes, Shape: []int64{1},
			Contents: &pb.InferTensorContents{BytesContents: [][]byte{white()}}}},
		Outputs: []*outputMessage{{Name: "acceptance"}},
	}
	if a, err := inferGRPC(t, other, q); err == nil || !strings.Contains(err.Error(), "has no acceptance") {
		t.Errorf("gRPC: %v, %v", a, err)
	}
}

// TestPredictAcceptance: TensorFlow Serving's clients get what they always got, and the
// acceptance if they ask for it by its signature.
//
//nolint:funlen // mostly tables
func TestPredictAcceptance(t *testing.T) {
	judging, other := start(t, &fake{Judging: true}, nil), start(t, &fake{}, nil)
	var pictures []string
	for _, p := range [][]byte{black(), white()} {
		pictures = append(pictures, `{"b64": "`+base64.StdEncoding.EncodeToString(p)+`"}`)
	}
	all := "[" + strings.Join(pictures, ",") + "]"
	a, b := float32(ofBlack), float32(ofWhite)
	const rows = `[[0.75,0.25],[0.25,0.75]]`
	for request, want := range map[string]string{
		`{"instances": ` + all + `}`:                                      `{"predictions":` + rows + `}`,
		`{"signature_name": "serving_default", "instances": ` + all + `}`: `{"predictions":` + rows + `}`,
		`{"signature_name": "serving_pictures", "inputs": ` + all + `}`:   `{"outputs":` + rows + `}`,
		`{"signature_name": "serving_acceptance", "inputs": ` + all +
			`}`: fmt.Sprintf(`{"outputs":{"acceptance":[%v,%v],"probabilities":%s}}`, a, b, rows),
		`{"signature_name": "serving_acceptance", "instances": ` + all +
			`}`: fmt.Sprintf(`{"predictions":[{"acceptance":%v,"probabilities":[0.75,0.25]},{"acceptance":%v,`+
			`"probabilities":[0.25,0.75]}]}`, a, b),
		`{"signature_name": "serving_acceptances", "instances": ` + all + `}`: "",
	} {
		answer, text := post(t, judging.url+"/v1/models/m:predict", "application/json", []byte(request))
		if want == "" {
			if answer.StatusCode != http.StatusBadRequest ||
				!strings.Contains(string(text), "the signatures are serving_default, serving_pictures, "+
					"serving_acceptance") {
				t.Errorf("%.60s: %s %s", request, answer.Status, text)
			}
			continue
		}
		if got := strings.TrimSpace(string(text)); got != want {
			t.Errorf("%.60s: %s\nwant %s", request, got, want)
		}
	}
	answer, text := post(t, other.url+"/v1/models/m:predict", "application/json",
		[]byte(`{"signature_name": "serving_acceptance", "instances": `+all+`}`))
	if answer.StatusCode != http.StatusBadRequest ||
		!strings.Contains(string(text), `the signatures are serving_default, serving_pictures"`) {
		t.Errorf("a model that does not judge: %s %s", answer.Status, text)
	}
	for r, want := range map[*running]bool{judging: true, other: false} {
		_, text := ask(t, r, http.MethodGet, "/v1/models/m/metadata", "", nil)
		var m struct {
			Metadata struct {
				Def struct {
					Def map[string]struct {
						Outputs map[string]struct {
							Shape struct{ Dim []struct{ Size string } } `json:"tensor_shape"`
						}
					} `json:"signature_def"`
				} `json:"signature_def"`
			}
		}
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		signatures := m.Metadata.Def.Def
		_, ok := signatures["serving_acceptance"]
		if ok != want || len(signatures["serving_default"].Outputs) != 1 ||
			len(signatures["serving_pictures"].Outputs) != 1 {
			t.Errorf("%s", text)
		}
		dim := signatures["serving_acceptance"].Outputs["acceptance"].Shape.Dim
		if want && (len(dim) != 1 || dim[0].Size != "-1") {
			t.Errorf("%s", text)
		}
	}
}

// TestRefusalsAreCounted: by all three protocols, by the threshold that each picture was
// judged by, and from 0 on.
func TestRefusalsAreCounted(t *testing.T) {
	r, other := start(t, &fake{Judging: true}, nil), start(t, &fake{}, nil)
	counts := func(n int) {
		t.Helper()
		if line := fmt.Sprintf("\ngarb_refusals_total{model=\"m\"} %d\n", n); !strings.Contains(metricsOf(t, r), line) {
			t.Errorf("no %s", strings.TrimSpace(line))
		}
	}
	counts(0)
	post(t, r.url+"/v1/classify", "", black())
	post(t, r.url+"/v1/classify?accept=all", "", white())
	counts(0)
	post(t, r.url+"/v1/classify", "", white())
	counts(1)
	post(t, r.url+"/v1/classify?accept=1", "", black())
	counts(2)
	post(t, r.url+"/v2/models/m/infer", "",
		[]byte(`{"inputs": [`+pictureInput(white(), black(), white())+`], "outputs": [{"name": "class"}]}`))
	counts(4)
	post(t, r.url+"/v1/models/m:predict", "",
		[]byte(`{"instances": [{"b64": "`+base64.StdEncoding.EncodeToString(white())+`"}]}`))
	counts(5)
	if text := metricsOf(t, r); !strings.Contains(text, "\n"+`garb_predictions_total{class="light",model="m"} 5`+"\n") {
		t.Error("refused pictures are not counted by their class")
	}
	post(t, other.url+"/v1/classify", "", white())
	if strings.Contains(metricsOf(t, other), "garb_refusals_total") {
		t.Error("a model that does not judge has refusals")
	}
}

// TestExplainedRefusal: the map of a refused picture is that of its most probable class, never
// of what is behind the classes in the model's outputs.
func TestExplainedRefusal(t *testing.T) {
	f := &fake{Judging: true}
	r := start(t, f, nil)
	for name, c := range map[string]struct {
		picture []byte
		class   int64
	}{"accepted": {black(), 0}, "refused": {white(), 1}} { // the outputs of black are -0, -1 and 4
		f.Explained.Store(-1)
		answer, text := post(t, r.url+"/v1/classify?explain=true", "", c.picture)
		if answer.StatusCode != http.StatusOK || f.Explained.Load() != c.class {
			t.Errorf("%s: %s, class %d: %.100s", name, answer.Status, f.Explained.Load(), text)
		}
	}
}

// TestOpenAPIAcceptance: what models that judge answer is as described.
func TestOpenAPIAcceptance(t *testing.T) {
	d := described(t)
	r := start(t, &fake{Judging: true, PredictionSet: []string{"dark"}}, nil)
	input := pictureInput(white())
	instance := `[{"b64": "` + base64.StdEncoding.EncodeToString(white()) + `"}]`
	form, fields := form(t, black(), white())
	const classify, infer, predict = "/v1/classify", "/v2/models/{model}/infer", "/v1/models/{model}:predict"
	for _, c := range []struct {
		path, query, contentType, body string
		status                         int
	}{
		{classify, "", "image/gif", string(white()), http.StatusOK},
		{classify, "?accept=all", "image/gif", string(white()), http.StatusOK},
		{classify, "?accept=2", "image/gif", string(white()), http.StatusBadRequest},
		{classify, "", form, string(fields), http.StatusOK},
		{infer, "", "application/json", `{"inputs": [` + input + `]}`, http.StatusOK},
		{infer, "", "application/json", `{"inputs": [` + input + `], "outputs": [{"name": "acceptance"}]}`,
			http.StatusOK},
		{predict, "", "application/json", `{"instances": ` + instance + `}`, http.StatusOK},
		{predict, "", "application/json", `{"signature_name": "serving_acceptance", "instances": ` + instance + `}`,
			http.StatusOK},
		{predict, "", "application/json", `{"signature_name": "serving_acceptance", "inputs": ` + instance + `}`,
			http.StatusOK},
	} {
		o := operation{http.MethodPost, c.path, nil, object(at(d, "paths", c.path, "post"))}
		answer, text := ask(t, r, o.method, filled(c.path)+c.query, c.contentType, []byte(c.body))
		if answer.StatusCode != c.status {
			t.Errorf("%v %s: %s, not %d: %s", o, c.body, answer.Status, c.status, text)
		}
		fits(t, d, o, answer, text)
		var v any
		request := resolved(d, o.value["requestBody"])
		if c.contentType == "application/json" && json.Unmarshal([]byte(c.body), &v) == nil {
			if problem := breaks(d, at(request, "content", c.contentType, "schema"), v); problem != "" {
				t.Errorf("%v: the request: %s", o, problem)
			}
		}
	}
	o := operation{http.MethodGet, "/v2/models/{model}", nil, object(at(d, "paths", "/v2/models/{model}", "get"))}
	answer, text := ask(t, r, o.method, filled(o.path), "", nil)
	fits(t, d, o, answer, text)
}

// TestModelWithoutAcceptance: a threshold for a model that cannot judge is an error of the
// start that says so.
func TestModelWithoutAcceptance(t *testing.T) {
	threshold := 0.3
	_, err := model.Open(model.ImageNet, model.Options{Accept: &threshold})
	if !errors.Is(err, model.ErrNoAcceptance) {
		t.Errorf("%v", err)
	}
}
