package serve

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	pb "garb/serve/inferencepb"
	"garb/serve/tensors"
)

// TestUnsupportedMembers: what a request asks for and garb does not have is refused, never ignored.
//
//nolint:funlen // mostly a table
func TestUnsupportedMembers(t *testing.T) {
	r := start(t, &fake{}, nil)
	picture := base64.StdEncoding.EncodeToString(white())
	const infer, predict, classify = "/v2/models/m/infer", "/v1/models/m:predict", "/v1/models/m:classify"
	input := func(more string) string {
		return `{"name": "a", "datatype": "BYTES", "shape": [1], "data": ["` + picture + `"]` + more + `}`
	}
	request := func(more string) string { return `{"inputs": [` + input("") + `]` + more + `}` }
	instance := `{"b64": "` + picture + `"}`
	for _, c := range []struct {
		path, body string
		says       string // "" if it is answered
	}{
		{infer, request(``), ""},
		{infer, request(`, "id": null, "parameters": {}, "outputs": null`), ""},
		{infer, request(`, "model_name": "m"`), ""},
		{infer, request(`, "model_name": "n"`), "names the model m"},
		{infer, request(`, "model_name": 1`), "must be a string"},
		{infer, request(`, "id": 1`), "must be a string"},
		{infer, request(`, "id": "a", "id": "b"`), "twice"},
		{infer, request(`, "more": 1`), `"more", which is not supported`},
		{infer, request(`, "outputs": {}`), "must be an array"},
		{infer, request(`, "outputs": [{"name": "class", "datatype": "BYTES"}]`), `"datatype", which is not`},
		{infer, request(`, "parameters": []`), "must be an object"},
		{infer, request(`, "parameters": {"timeout": 60000000, "priority": 0, "sequence_id": 0}`), ""},
		{infer, request(`, "parameters": {"timeout": 0}`), ""},
		{infer, request(`, "parameters": {"timeout": -1}`), "negative"},
		{infer, request(`, "parameters": {"timeout": "1s"}`), "must be an integer"},
		{infer, request(`, "parameters": {"priority": 1}`), "priorities are not supported"},
		{infer, request(`, "parameters": {"sequence_id": 7}`), "sequences"},
		{infer, request(`, "parameters": {"sequence_id": "a"}`), "sequences"},
		{infer, request(`, "parameters": {"temperature": 0.5}`), `"temperature", which is not supported`},
		{infer, request(`, "parameters": {"x": []}`), "must be true, false"},
		{infer, request(`, "parameters": {"binary_data_output": "true"}`), "must be true or false"},
		{infer, request(`, "outputs": [{"name": "class", "parameters": {"shared_memory_region": "r"}}]`),
			"shared memory is not supported"},
		{infer, request(`, "outputs": [{"name": "class", "parameters": {"binary_data": 1}}]`), "must be true or false"},
		{infer, request(`, "outputs": [{"name": "logits", "parameters": {"classification": 0}}]`), "at least 1"},
		{infer, `{"inputs": [` + input(`, "parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 9}`) +
			`]}`, "shared memory is not supported"},
		{infer, `{"inputs": [` + input(`, "parameters": {"content_type": "np"}`) + `]}`, "content_type"},
		{infer, `{"inputs": [` + input(`, "size": 1`) + `]}`, `"size", which is not supported`},
		{infer, request(`, "parameters": {` + strings.TrimSuffix(manyMembers(33), ",") + `}`), "more than 32"},
		{predict, `{"instances": [` + instance + `]}`, ""},
		{predict, `{"instances": [` + instance + `], "output_filter": ["logits"]}`, `"output_filter", which is not`},
		{predict, `{"instances": [` + instance + `], "parameters": {"top": 1}}`, `"parameters", which is not`},
		{predict, `{"instances": [` + instance + `], "signature_name": 1}`, "must be a string"},
		{predict, `{"instances": [` + instance + `], "signature_name": "x"}`, "there is no signature"},
		{predict, `{"instances": [{"b64": "` + picture + `", "size": 1}]}`, `"size", which is not`},
		{classify, `{"examples": [` + instance + `]}`, ""},
		{classify, `{"examples": [{"picture": ` + instance + `}], "signature_name": "serving_pictures"}`, ""},
		{classify, `{"examples": [` + instance + `], "context": {"a": 1}}`, "context"},
		{classify, `{"examples": [` + instance + `], "instances": []}`, `"instances", which is not`},
		{classify, `{}`, "examples"},
	} {
		answer, text := post(t, r.url+c.path, "application/json", []byte(c.body))
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		says, _ := got["error"].(string)
		if (answer.StatusCode == http.StatusOK) != (c.says == "") || !strings.Contains(says, c.says) ||
			c.says != "" && answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s %s: %s %s; want %q", c.path, strings.ReplaceAll(c.body, picture, "…"), answer.Status, text,
				c.says)
		}
	}
}

// manyMembers are n members of an object, with a comma after each.
func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"p%d": 1,`, i)
	}
	return b.String()
}

// TestUnsupportedParametersGRPC is TestUnsupportedMembers for gRPC.
func TestUnsupportedParametersGRPC(t *testing.T) {
	r := start(t, &fake{}, nil)
	type parameter = map[string]*pb.InferParameter
	number := func(name string, n int64) parameter {
		return parameter{name: {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: n}}}
	}
	text := func(name, value string) parameter {
		return parameter{name: {ParameterChoice: &pb.InferParameter_StringParam{StringParam: value}}}
	}
	priority := func(n uint64) parameter {
		return parameter{"priority": {ParameterChoice: &pb.InferParameter_Uint64Param{Uint64Param: n}}}
	}
	for name, c := range map[string]struct {
		request, input, output parameter
		says                   string // "" if it is answered
	}{
		"none":            {},
		"timeout":         {request: number("timeout", 60_000_000)},
		"priority":        {request: priority(1), says: "priorities"},
		"no priority":     {request: priority(0)},
		"sequence":        {request: number("sequence_id", 5), says: "sequences"},
		"named sequence":  {request: text("sequence_id", "a"), says: "sequences"},
		"unknown":         {request: text("prompt", "a"), says: "prompt"},
		"no value":        {request: parameter{"timeout": {}}, says: "no value"},
		"text as timeout": {request: text("timeout", "1s"), says: "must be an integer"},
		"of REST":         {request: text("binary_data_output", "true"), says: "REST"},
		"memory in":       {input: text("shared_memory_region", "r"), says: "shared memory"},
		"memory out":      {output: text("shared_memory_region", "r"), says: "shared memory"},
		"unknown in":      {input: text("content_type", "np"), says: "none is supported"},
		"unknown out":     {output: text("binary_data", "np"), says: "binary_data"},
	} {
		_, err := inferGRPC(t, r, &pb.ModelInferRequest{
			ModelName: "m", Parameters: c.request,
			Inputs: []*inputMessage{{Name: "a", Datatype: tensors.Bytes, Shape: []int64{1}, Parameters: c.input,
				Contents: &pb.InferTensorContents{BytesContents: [][]byte{white()}}}},
			Outputs: []*outputMessage{{Name: "class", Parameters: c.output}},
		})
		if (err == nil) != (c.says == "") || err != nil &&
			(connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
	}
}

// TestTimeoutParameter: the parameter timeout bounds a request, in microseconds.
func TestTimeoutParameter(t *testing.T) {
	f, _, open := gate()
	defer open()
	r := start(t, f, nil)
	body := `{"inputs": [{"name": "a", "datatype": "BYTES", "shape": [1], "data": ["` +
		base64.StdEncoding.EncodeToString(white()) + `"]}], "parameters": {"timeout": 50000}}`
	answer, text := post(t, r.url+"/v2/models/m/infer", "application/json", []byte(body))
	if answer.StatusCode != http.StatusGatewayTimeout {
		t.Errorf("%s %s", answer.Status, text)
	}
}

// TestVerbs: classify as TensorFlow Serving, and explain as KServe.
func TestVerbs(t *testing.T) {
	r := start(t, &fake{}, nil)
	instance := `{"b64": "` + base64.StdEncoding.EncodeToString(white()) + `"}`
	values := "[" + strings.TrimSuffix(strings.Repeat("1,", fakeSpec.ValueCount()), ",") + "]"
	for _, path := range []string{"/v1/models/m", "/v1/models/m/versions/1"} {
		answer, text := post(t, r.url+path+":classify", "application/json", []byte(`{"examples": [`+instance+`]}`))
		if want := `{"results":[[["dark",0.25],["light",0.75]]]}`; answer.StatusCode != http.StatusOK ||
			strings.TrimSpace(string(text)) != want {
			t.Errorf("%s: %s %s, not %s", path, answer.Status, text, want)
		}
		answer, text = post(t, r.url+path+":explain", "application/json", []byte(`{"instances": [`+instance+`]}`))
		var got struct {
			Explanations []struct{ Class, Explanation string }
		}
		if err := json.Unmarshal(text, &got); err != nil || len(got.Explanations) != 1 ||
			got.Explanations[0].Class != "light" ||
			!strings.HasPrefix(got.Explanations[0].Explanation, "data:image/png;base64,") {
			t.Errorf("%s: %s %s", path, answer.Status, text)
		}
		for _, verb := range []string{":predict", ":classify", ":explain", ":regress"} {
			answer, _ := ask(t, r, http.MethodGet, path+verb, "", nil)
			if answer.StatusCode != http.StatusMethodNotAllowed || answer.Header.Get("Allow") != http.MethodPost {
				t.Errorf("GET %s: %s, Allow %q", path+verb, answer.Status, answer.Header.Get("Allow"))
			}
		}
	}
	answer, text := post(t, r.url+"/v1/models/m:explain", "application/json", []byte(`{"instances": [`+values+`]}`))
	if answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "explained") {
		t.Errorf("%s %s", answer.Status, text)
	}
	answer, text = post(t, r.url+"/v1/models/m:classify", "application/json",
		[]byte(`{"examples": [{"x": `+values+`}]}`))
	if answer.StatusCode != http.StatusOK {
		t.Errorf("%s %s", answer.Status, text)
	}
	r.backend.Scheduler.Stop()
	answer, _ = ask(t, r, http.MethodGet, "/v1/models/m", "", nil)
	if answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a stopping service is ready: %s", answer.Status)
	}
}
