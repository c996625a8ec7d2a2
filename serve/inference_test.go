package serve

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"garb/model"
	"garb/picture"
	"garb/serve/inference"
	"garb/serve/tensors"
)

// clothing serves the built-in classifier as "clothing".
func clothing(t testing.TB) (*running, *model.Classifier) {
	t.Helper()
	classifier, err := model.Open(model.Clothing, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return start(t, classifier,
		func(c *Config) { c.Models.Models = []NamedModel{{Name: "clothing", Path: model.Clothing}} }), classifier
}

// valuesOf are those of a picture.
func valuesOf(t testing.TB, spec picture.Spec, data []byte) []float32 {
	t.Helper()
	values := make([]float32, spec.ValueCount())
	if _, err := spec.Load(t.Context(), data, picture.DefaultLimits(), values); err != nil {
		t.Fatal(err)
	}
	return values
}

func littleEndian(values []float32) []byte { return tensors.Tensor{Floats: values}.EncodeRaw() }

// inferAnswer is an answer in JSON.
type inferAnswer struct {
	ModelName    string `json:"model_name"`
	ModelVersion string `json:"model_version"`
	ID           string
	Outputs      []struct {
		Name, Datatype string
		Shape          []int
		Parameters     map[string]int
		Data           json.RawMessage
	}
}

func (a inferAnswer) data(t testing.TB, name string, into any) (shape []int) {
	t.Helper()
	for _, o := range a.Outputs {
		if o.Name == name {
			if err := json.Unmarshal(o.Data, into); err != nil {
				t.Fatal(err)
			}
			return o.Shape
		}
	}
	t.Fatalf("no output %s", name)
	return nil
}

func inferJSON(t testing.TB, url string, body string) (a inferAnswer) {
	t.Helper()
	r, text := post(t, url, "application/json", []byte(body))
	if r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", r.Status, text)
	}
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestInferenceClothing asks the built-in model in every form; each gets the answer of
// Classify.
//
//nolint:gocognit,funlen // one request in every form, compared with one answer
func TestInferenceClothing(t *testing.T) {
	r, classifier := clothing(t)
	data := read(t, example)
	predictions, err := classifier.Classify(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	if predictions[0].Class != "t-shirt" {
		t.Fatalf("it is a %s", predictions[0].Class)
	}
	spec := classifier.Spec()
	values := valuesOf(t, spec, data)
	number, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	nested := make([][][]float32, spec.Height)
	for y := range nested {
		for x := range spec.Width {
			nested[y] = append(nested[y], values[3*(y*spec.Width+x):][:3])
		}
	}
	rows, err := json.Marshal(nested)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(data)
	for name, input := range map[string]string{
		"picture":         `{"name": "picture", "datatype": "BYTES", "shape": [1], "data": ["` + text + `"]}`,
		"picture, nested": `{"name": "picture", "datatype": "BYTES", "shape": [1, 1], "data": [["` + text + `"]]}`,
		"picture, flat":   `{"name": "picture", "datatype": "BYTES", "shape": [1, 1], "data": ["` + text + `"]}`,
		"values, flat": fmt.Sprintf(`{"name": "input", "datatype": "FP32", "shape": [1, %d, %d, 3], "data": %s}`,
			spec.Height, spec.Width, number),
		"values, nested": fmt.Sprintf(`{"name": "input_1", "datatype": "FP32", "shape": [1, %d, %d, 3], `+
			`"data": [%s]}`, spec.Height, spec.Width, rows),
		"null members": `{"parameters": null, "data": ["` + text +
			`"], "shape": [1], "name": "a", "datatype": "BYTES"}`,
	} {
		a := inferJSON(t, r.url+"/v2/models/clothing/versions/1/infer", `{"id": "a1", "inputs": [`+input+`]}`)
		if a.ModelName != "clothing" || a.ModelVersion != "1" || a.ID != "a1" || len(a.Outputs) != 4 ||
			a.Outputs[3].Name != "acceptance" {
			t.Errorf("%s: %+v", name, a)
		}
		var logits, probabilities []float32
		var class []string
		shape := a.data(t, "logits", &logits)
		a.data(t, "probabilities", &probabilities)
		if a.data(t, "class", &class); !slices.Equal(class, []string{"t-shirt"}) ||
			!slices.Equal(shape, []int{1, len(classifier.Classes())}) {
			t.Errorf("%s: %v, %v", name, class, shape)
		}
		for _, p := range predictions {
			i := slices.Index(classifier.Classes(), p.Class)
			if logits[i] != p.Logit || probabilities[i] != float32(p.Probability) {
				t.Errorf("%s: %s has %v and %v, want %v and %v", name, p.Class, logits[i], probabilities[i], p.Logit,
					p.Probability)
			}
		}
	}

	// In binary, both ways.
	for name, c := range map[string]struct {
		datatype string
		shape    []int
		raw      []byte
	}{
		"picture": {tensors.Bytes, []int{1}, tensors.Tensor{Texts: []string{string(data)}}.EncodeRaw()},
		"values":  {tensors.FP32, []int{1, spec.Height, spec.Width, 3}, littleEndian(values)},
	} {
		text, err := json.Marshal(map[string]any{
			"inputs": []any{map[string]any{"name": name, "datatype": c.datatype, "shape": c.shape,
				"parameters": map[string]int{"binary_data_size": len(c.raw)}}},
			"outputs": []any{map[string]any{"name": "probabilities"},
				map[string]any{"name": "class", "parameters": map[string]any{"binary_data": false}}},
			"parameters": map[string]any{"binary_data_output": true},
		})
		if err != nil {
			t.Fatal(err)
		}
		answer, body := post(t, r.url+"/v2/models/clothing/infer", "application/octet-stream", append(text, c.raw...),
			inference.HeaderLength, strconv.Itoa(len(text)))
		if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "application/octet-stream" {
			t.Fatalf("%s: %s %s", name, answer.Status, body)
		}
		length, err := strconv.Atoi(answer.Header.Get(inference.HeaderLength))
		if err != nil {
			t.Fatal(err)
		}
		var a inferAnswer
		if err := json.Unmarshal(body[:length], &a); err != nil {
			t.Fatal(err)
		}
		tail, classes := body[length:], classifier.Classes()
		if a.Outputs[0].Name != "probabilities" || a.Outputs[0].Parameters["binary_data_size"] != len(tail) ||
			len(tail) != 4*len(classes) || string(a.Outputs[1].Data) != `["t-shirt"]` {
			t.Fatalf("%s: %s, and %d bytes", name, body[:length], len(tail))
		}
		if p := math.Float32frombits(binary.LittleEndian.Uint32(tail[4*slices.Index(classes,
			"t-shirt"):])); p != float32(predictions[0].Probability) {
			t.Errorf("%s: probability %v", name, p)
		}
	}

	// As TensorFlow Serving.
	for request, key := range map[string]string{
		`{"instances": [{"b64": "` + text +
			`"}]}`: "predictions",
		`{"signature_name": "serving_default", "instances": [{"picture": {"b64": "` + text +
			`"}}]}`: "predictions",
		`{"signature_name": "serving_default", "instances": [` + string(rows) +
			`]}`: "predictions",
		`{"instances": [{"input_1": ` + string(rows) +
			`}]}`: "predictions",
		`{"signature_name": "serving_pictures", "inputs": {"picture": [{"b64": "` + text + `"}]}}`: "outputs",
		`{"inputs": [` + string(rows) + `]}`:                                                               "outputs",
		`{"inputs": {"input": [` + string(rows) + `]}}`:                                                    "outputs",
		`{"inputs": [{"b64": "` + strings.TrimRight(base64.URLEncoding.EncodeToString(data), "=") + `"}]}`: "outputs",
	} {
		answer, body := post(t, r.url+"/v1/models/clothing:predict", "application/json", []byte(request))
		var got map[string][][]float64
		if err := json.Unmarshal(body, &got); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", answer.Status, body)
		}
		p := got[key]
		if len(got) != 1 || len(p) != 1 || len(p[0]) != len(classifier.Classes()) ||
			slices.Index(p[0], slices.Max(p[0])) != slices.Index(classifier.Classes(), "t-shirt") {
			t.Errorf("%.60s: %v", request, got)
		}
	}
}

// pictureInput is an input with pictures for the fake.
func pictureInput(pictures ...[]byte) string {
	var texts []string
	for _, p := range pictures {
		texts = append(texts, `"`+base64.StdEncoding.EncodeToString(p)+`"`)
	}
	return fmt.Sprintf(`{"name": "picture", "datatype": "BYTES", "shape": [%d], "data": [%s]}`, len(pictures),
		strings.Join(texts, ","))
}

// TestInferenceGets: the metadata of the server and its models.
//
//nolint:funlen // it is a table
func TestInferenceGets(t *testing.T) {
	r := start(t, &fake{}, nil)
	const metadata = `{"inputs":[{"name":"picture","datatype":"BYTES","shape":[-1]},{"name":"input",` +
		`"datatype":"FP32","shape":[-1,8,8,3]}],"name":"m",` +
		`"outputs":[{"name":"logits","datatype":"FP32","shape":[-1,2]},{"name":"probabilities",` +
		`"datatype":"FP32","shape":[-1,2]},{"name":"class","datatype":"BYTES","shape":[-1]}],` +
		`"parameters":{"classes":["dark","light"]},"platform":"garb","versions":["1"]}`
	const status = `{"model_version_status":[{"state":"AVAILABLE","status":{"error_code":"OK",` +
		`"error_message":""},"version":"1"}],"name":"m","ready":true}`
	for path, want := range map[string]string{
		"/v2": `{"extensions":["binary_tensor_data","classification","model_repository","statistics",` +
			`"model_configuration"],` +
			`"name":"garb","version":"` + model.Version + `"}`,
		"/v2/health/live":               `{"live":true}`,
		"/v2/health/ready":              `{"ready":true}`,
		"/v2/models/m":                  metadata,
		"/v2/models/m/versions/1":       metadata,
		"/v2/models/m/ready":            `{"name":"m","ready":true}`,
		"/v2/models/m/versions/1/ready": `{"name":"m","ready":true}`,
		"/v1/models/m":                  status,
		"/v1/models/m/versions/1":       status,
		"/v2/models/n":                  `{"error":"there is no such model: \"n\"; the models are m"}`,
		"/v2/models/n/ready":            `{"error":"there is no such model: \"n\"; the models are m"}`,
		"/v2/models/m/versions/2":       `{"error":"there is no such model: version 2 of m; the only version is 1"}`,
		"/v2/models/m/versions/x/ready": `{"error":"there is no such model: version \"x\" of m; ` +
			`the only version is 1"}`,
		"/v1/models/n": `{"error":"there is no such model: \"n\"; the models are m"}`,
		"/v1/models/m/versions/0": `{"error":"there is no such model: version \"0\" of m; ` +
			`the only version is 1"}`,
		"/v1/models/n/versions/1/metadata": `{"error":"there is no such model: \"n\"; the models are m"}`,
	} {
		answer, err := http.Get(r.url + path)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(answer.Body); err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if got := strings.TrimSpace(b.String()); got != want ||
			(answer.StatusCode == http.StatusOK) == strings.Contains(want, "error\":\"") {
			t.Errorf("%s: %s %s\nwant %s", path, answer.Status, got, want)
		}
	}
	for _, path := range []string{"/v1/models/m/metadata", "/v1/models/m/versions/1/metadata"} {
		answer, err := http.Get(r.url + path)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Spec     map[string]string `json:"model_spec"`
			Metadata struct {
				Def struct {
					Def map[string]struct {
						Inputs map[string]struct {
							Dtype string
							Shape struct {
								Dim []struct{ Size string }
							} `json:"tensor_shape"`
						}
						Method string `json:"method_name"`
					} `json:"signature_def"`
				} `json:"signature_def"`
			}
		}
		err = json.NewDecoder(answer.Body).Decode(&got)
		answer.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		signature := got.Metadata.Def.Def["serving_default"]
		if input := signature.Inputs["input"]; got.Spec["name"] != "m" || got.Spec["version"] != "1" ||
			signature.Method != "tensorflow/serving/predict" ||
			input.Dtype != "DT_FLOAT" || len(input.Shape.Dim) != 4 ||
			input.Shape.Dim[0].Size != "-1" || input.Shape.Dim[1].Size != "8" {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

// TestInferenceOutputs: what is asked for is what comes.
func TestInferenceOutputs(t *testing.T) {
	r := start(t, &fake{}, nil)
	input := fmt.Sprintf(`{"name": "x", "datatype": "FP32", "shape": [2, 8, 8, 3], "data": [%s192%s]}`,
		strings.Repeat("0,", 192), strings.Repeat(",0", 191))
	for outputs, want := range map[string]string{
		`[]`: `[{"name":"logits","datatype":"FP32","shape":[2,2],"data":[-0,-1,-1,0]},` +
			`{"name":"probabilities","datatype":"FP32","shape":[2,2],"data":[0.75,0.25,0.25,0.75]},` +
			`{"name":"class","datatype":"BYTES","shape":[2],"data":["dark","light"]}]`,
		`[{"name": "class"}]`: `[{"name":"class","datatype":"BYTES","shape":[2],"data":["dark","light"]}]`,
		`[{"name": "class", "parameters": {"binary_data": false}}, {"name": "probabilities", "parameters": ` +
			`{"classification": 1}}]`: `[{"name":"class","datatype":"BYTES","shape":[2],"data":["dark","light"]},` +
			`{"name":"probabilities","datatype":"BYTES","shape":[2,1],"data":["0.750000:0:dark","0.750000:1:light"]}]`,
		`[{"name": "logits", "parameters": {"classification": 9}}]`: `[{"name":"logits","datatype":"BYTES",` +
			`"shape":[2,2],"data":["-0.000000:0:dark","-1.000000:1:light","0.000000:1:light","-1.000000:0:dark"]}]`,
	} {
		_, text := post(t, r.url+"/v2/models/m/infer", "application/json",
			[]byte(`{"inputs": [`+input+`], "outputs": `+outputs+`}`))
		if want = `{"model_name":"m","model_version":"1","outputs":` + want + "}\n"; string(text) != want {
			t.Errorf("%s: %s\nwant %s", outputs, text, want)
		}
	}
	_, text := post(t, r.url+"/v2/models/m/infer", "",
		[]byte(`{"inputs": [`+pictureInput(white(), white())+`], "outputs": [{"name": "class"}]}`))
	if want := `{"model_name":"m","model_version":"1","outputs":[{"name":"class","datatype":"BYTES","shape":[2],` +
		`"data":["light","light"]}]}` + "\n"; string(text) != want {
		t.Errorf("%s", text)
	}
}

// TestInferenceErrors: what is wrong is told, in the protocols' form, before any work.
//
//nolint:funlen // it is a table
func TestInferenceErrors(t *testing.T) {
	f := &fake{}
	r := start(t, f, func(c *Config) { c.Bodies.MaxPictures, c.Bodies.MaxBytes = 3, 1<<20 })
	zeros := strings.TrimSuffix(strings.Repeat("0,", 192), ",")
	fp32 := func(shape, data string) string {
		return `{"inputs": [{"name": "input", "datatype": "FP32", "shape": ` + shape + `, "data": [` + data + `]}]}`
	}
	bytesOf := func(shape, data string) string {
		return `{"inputs": [{"name": "picture", "datatype": "BYTES", "shape": ` + shape + `, "data": ` + data + `}]}`
	}
	picture := `"` + base64.StdEncoding.EncodeToString(white()) + `"`
	const infer, predict = "/v2/models/m/infer", "/v1/models/m:predict"
	for _, c := range []struct {
		path, body string
		status     int
		says       string
	}{
		{"/v2/models/n/infer", "{}", 404, "no such model"},
		{"/v2/models/m/versions/7/infer", "{}", 404, "version 7"},
		{infer, "", 400, "JSON"},
		{infer, "{", 400, "JSON"},
		{infer, "[]", 400, "must be an object"},
		{infer, "{}", 400, "one input"},
		{infer, `{"inputs": {}}`, 400, "one input"},
		{infer, `{"inputs": [1]}`, 400, "an input must be an object"},
		{infer, `{"inputs": [` + pictureInput(white()) + `,` + pictureInput(white()) + `]}`, 400, "one input"},
		{infer, `{"inputs": [` + strings.Repeat("{},", 1000) + `{}]}`, 400, "one input"},
		{infer, `{"inputs": [` + pictureInput(white()) + `], "outputs": [{"name": "classes"}]}`, 400, "no output"},
		{infer, `{"inputs": [` + pictureInput(white()) + `], "outputs": [{"name": "class"}, {"name": "class"}]}`, 400,
			"twice"},
		{infer, `{"inputs": [` + pictureInput(white()) +
			`], "outputs": [{"name": "class", "parameters": {"classification": 1}}]}`, 400, "classification"},
		{infer, `{"inputs": [` + pictureInput(white()) +
			`], "outputs": [{"name": "logits", "parameters": {"classification": "x"}}]}`, 400, "must be an integer"},
		{infer, `{"inputs": [` + pictureInput(white(), white(), white(), white()) + `]}`, 413, "more than 3 pictures"},
		{infer, `{"inputs": [` + pictureInput([]byte("text")) + `]}`, 400, "not a"},
		{infer, `{"inputs": [` + pictureInput(white(), pngOf(8, 8)) + `]}`, 422, "picture 1: "},
		{infer, `{"inputs": [` + pictureInput(pngOf(60000, 60000)) + `]}`, 413, ""},
		{infer, bytesOf("[1]", `["no base 64!"]`), 400, "base64"},
		{infer, bytesOf("[2]", `[`+picture+`]`), 400, "not strings"},
		{infer, bytesOf("[1]", `[`+picture+`,`+picture+`]`), 400, "not strings"},
		{infer, bytesOf("[1]", `[1]`), 400, "not strings"},
		{infer, bytesOf("[1]", `[[`+picture+`]]`), 400, "not strings"},
		{infer, bytesOf("[1, 1]", `[[`+picture+`,`+picture+`]]`), 400, "not strings"},
		{infer, bytesOf("[1]", `null`), 400, "not strings"},
		{infer, bytesOf("[0]", `[]`), 400, "shape"},
		{infer, bytesOf("[-1]", `[]`), 400, "shape"},
		{infer, bytesOf("[1.5]", `[]`), 400, "not an integer"},
		{infer, bytesOf("[]", `[]`), 400, "shape"},
		{infer, bytesOf("[1,1,1]", `[]`), 400, "shape"},
		{infer, bytesOf("[9223372036854775807]", `[]`), 413, "pictures"},
		{infer, bytesOf("[92233720368547758070]", `[]`), 400, "not an integer"},
		{infer, strings.Replace(bytesOf("[1]", "[1]"), "BYTES", "INT64", 1), 400, "INT64"},
		{infer, fp32("[1,8,8,3]", zeros[2:]), 400, "shape"},
		{infer, fp32("[1,8,8,3]", zeros+",0"), 400, "shape"},
		{infer, fp32("[1,8,8,3]", ""), 400, "shape"},
		{infer, fp32("[1,8,8,3]", strings.Repeat(" ", 400)), 400, "shape"},
		{infer, fp32("[1,8,8,3]", "["+zeros+"]"), 400, "shape"},
		{infer, fp32("[1,8,8,4]", zeros), 400, "shape"},
		{infer, fp32("[1,8,192]", zeros), 400, "shape"},
		{infer, fp32("[4,8,8,3]", zeros), 413, "pictures"},
		{infer, fp32("[1,8,8,3]", "NaN,"+zeros[2:]), 400, "JSON"},
		{infer, fp32("[1,8,8,3]", `"NaN",`+zeros[2:]), 400, "not a 32-bit number"},
		{infer, fp32("[1,8,8,3]", "null,"+zeros[2:]), 400, "not a 32-bit number"},
		{infer, fp32("[1,8,8,3]", "1e39,"+zeros[2:]), 400, "not a 32-bit number"},
		{infer, fp32("[1,8,8,3]", strings.Repeat("3e38,", 191)+"3e38"), 200, ""},
		{infer, fp32("[1,8,8,3]", strings.Repeat(" ", 1<<20)), 413, "bytes"},
		{"/v1/models/n:predict", "{}", 404, "no such model"},
		{"/v1/models/m", "{}", 405, "method"},
		{"/v1/models/m:nothing", "{}", 404, "nothing at this path"},
		{"/v1/models/m:regress", "{}", 400, "use :classify"},
		{"/v1/models/m/versions/2:predict", "{}", 404, "version 2"},
		{predict, "{}", 400, "instances"},
		{predict, "nonsense", 400, "JSON"},
		{predict, `{"instances": []}`, 400, "instances"},
		{predict, `{"instances": {}}`, 400, "instances"},
		{predict, `{"instances": [{"b64": ` + picture + `}], "inputs": []}`, 400, "either"},
		{predict, `{"instances": [{"b64": ` + picture + `}], "signature_name": "other"}`, 400, "no signature"},
		{predict, `{"instances": [{"b64": 1}]}`, 400, "instances"},
		{predict, `{"instances": [{"b64": "!"}]}`, 400, "base64"},
		{predict, `{"instances": [{"a": {"b64": ` + picture + `}, "b": 1}]}`, 400, "instances"},
		{predict, `{"instances": [{"b64": ` + picture + `}, [[[1]]]]}`, 400, "instances"},
		{predict, `{"instances": [[[[1, 2, 3]]]]}`, 400, "shape [8 8 3]"},
		{predict, `{"instances": [` + strings.Repeat(`{"b64": `+picture+`},`, 3) + `{}]}`, 413, "more than 3"},
		{predict, `{"instances": [{"b64": "` + base64.StdEncoding.EncodeToString(pngOf(8, 8)) + `"}]}`, 422,
			"corrupt"},
	} {
		answer, text := post(t, r.url+c.path, "application/json", []byte(c.body))
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%s %.80s: %s", c.path, c.body, text)
		}
		says, _ := got["error"].(string)
		if answer.StatusCode != c.status || !strings.Contains(says, c.says) ||
			c.status != 200 && (len(got) != 1 || says == "") {
			t.Errorf("%s %.80s: %s, %s; want %d, %s", c.path, c.body, answer.Status, text, c.status, c.says)
		}
	}
	before := len(f.BatchSizes())
	raw := func(json string, tail []byte, length string) int {
		answer, _ := post(t, r.url+infer, "", append([]byte(json), tail...), inference.HeaderLength, length)
		return answer.StatusCode
	}
	header := func(datatype, shape string, size int) string {
		return fmt.Sprintf(`{"inputs": [{"name": "a", "datatype": %q, "shape": %s, "parameters": `+
			`{"binary_data_size": %d}}]}`, datatype, shape, size)
	}
	one := tensors.Tensor{Texts: []string{"abc"}}.EncodeRaw()
	nan := littleEndian(append(make([]float32, 191), float32(math.NaN())))
	infinite := littleEndian(append(make([]float32, 191), float32(math.Inf(-1))))
	for name, c := range map[string]struct {
		json   string
		tail   []byte
		length int
	}{
		"no data":           {header("BYTES", "[1]", 0), nil, 0},
		"short length":      {header("BYTES", "[1]", 3), one[:3], 0},
		"short element":     {header("BYTES", "[1]", 6), one[:6], 0},
		"long element":      {header("BYTES", "[1]", 4), []byte{255, 255, 255, 255}, 0},
		"one too many":      {header("BYTES", "[1]", 14), append(one, one...), 0},
		"one too few":       {header("BYTES", "[2]", 7), one, 0},
		"another size":      {header("BYTES", "[1]", 8), one, 0},
		"nobody's bytes":    {`{"inputs": [` + pictureInput(white()) + `]}`, one, 0},
		"floats, short":     {header("FP32", "[1, 8, 8, 3]", 764), make([]byte, 764), 0},
		"floats, NaN":       {header("FP32", "[1, 8, 8, 3]", 768), nan, 0},
		"floats, infinite":  {header("FP32", "[1, 8, 8, 3]", 768), infinite, 0},
		"header too long":   {header("BYTES", "[1]", 7), one, 1000},
		"header cuts":       {header("BYTES", "[1]", 7), one, 5},
		"size is no number": {strings.Replace(header("BYTES", "[1]", 7), ": 7}", `: "x"}`, 1), one, 0},
		"data in both places": {strings.Replace(header("BYTES", "[1]", 7), `"name"`, `"data": ["YQ=="], "name"`, 1),
			one, 0},
	} {
		if c.length == 0 {
			c.length = len(c.json)
		}
		if got := raw(c.json, c.tail, strconv.Itoa(c.length)); got != 400 {
			t.Errorf("%s: %d", name, got)
		}
	}
	for _, length := range []string{"-1", "x", "99999999999999999999"} {
		if got := raw(header("BYTES", "[1]", 7), one, length); got != 400 {
			t.Errorf("header of %s bytes: %d", length, got)
		}
	}
	if n := len(f.BatchSizes()) - before; n > 0 {
		t.Errorf("%d batches were computed", n)
	}
	if r.backend.Scheduler.Depth() != 0 || r.backend.Bodies.Used() != 0 {
		t.Errorf("%d pictures, %d bytes are left", r.backend.Scheduler.Depth(), r.backend.Bodies.Used())
	}
}

// overflowing is a model whose logits are no numbers, as those of values near the largest
// float are without a layer that bounds them.
type overflowing struct{ fake }

func (*overflowing) Outputs(_ context.Context, _, rows []float32) error {
	rows[0], rows[1] = float32(math.NaN()), float32(math.Inf(1))
	return nil
}

// TestInferenceOverflow: they are an error, and no panic of what writes JSON.
func TestInferenceOverflow(t *testing.T) {
	r := start(t, &overflowing{}, nil)
	answer, text := post(t, r.url+"/v2/models/m/infer", "", []byte(`{"inputs": [`+pictureInput(white())+`]}`))
	if answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "too large for the model") {
		t.Errorf("%s: %s", answer.Status, text)
	}
}

// TestInferenceKeys: without a key nothing is told but that the service is there.
func TestInferenceKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	writeFile(t, path, []byte("secret\n"))
	r := start(t, &fake{}, func(c *Config) { c.APIKeyFile = path })
	body := []byte(`{"inputs": [` + pictureInput(white()) + `]}`)
	answer, text := post(t, r.url+"/v2/models/m/infer", "", body)
	if answer.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(string(text), `{"error":"`) {
		t.Errorf("%s: %s", answer.Status, text)
	}
	if answer, text := post(t, r.url+"/v2/models/m/infer", "", body, "Authorization",
		"Bearer secret"); answer.StatusCode != http.StatusOK {
		t.Errorf("%s: %s", answer.Status, text)
	}
}

// TestInferenceFull: values take places in the queue, as pictures do.
func TestInferenceFull(t *testing.T) {
	f, entered, open := gate()
	r := start(t, f, func(c *Config) { c.Engine.Queue, c.Bodies.MaxPictures = 2, 2 })
	defer open()
	under := inBackground(t.Context(), r.url)
	<-entered
	body := tensors.Tensor{Floats: make([]float32, 2*192)}.EncodeRaw()
	text := fmt.Sprintf(`{"inputs": [{"name": "a", "datatype": "FP32", "shape": [2, 8, 8, 3], "parameters": `+
		`{"binary_data_size": %d}}]}`, len(body))
	answer, got := post(t, r.url+"/v2/models/m/infer", "", append([]byte(text), body...), inference.HeaderLength,
		strconv.Itoa(len(text)))
	if answer.StatusCode != http.StatusTooManyRequests || answer.Header.Get("Retry-After") == "" {
		t.Errorf("%s: %s", answer.Status, got)
	}
	open()
	<-under
}
