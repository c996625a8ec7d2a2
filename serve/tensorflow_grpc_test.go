package serve

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"garb/convert"
	"garb/model"
	"garb/serve/tensorflow"
	pb "garb/serve/tensorflowpb"
	"garb/tensor"
)

// ofCourse is the signature of the model of the course's chapter 10.
var ofCourse = model.Signature{Input: "input_8", Output: "dense_7", Values: model.Logits}

// callTensorFlow calls a procedure of one of TensorFlow Serving's services.
func callTensorFlow[Q, A any](t testing.TB, r *running, procedure string, q *Q) (*A, error) {
	t.Helper()
	a, err := client[Q, A](t, r, "/tensorflow.serving."+procedure).CallUnary(t.Context(), connect.NewRequest(q))
	if err != nil {
		return nil, err
	}
	return a.Msg, nil
}

func predictGRPC(t testing.TB, r *running, q *pb.PredictRequest) (*pb.PredictResponse, error) {
	t.Helper()
	return callTensorFlow[pb.PredictRequest, pb.PredictResponse](t, r, "PredictionService/Predict", q)
}

// repeat returns n equal values.
func repeat[T any](v T, n int) []T { return slices.Repeat([]T{v}, n) }

// darkValues are the values of a dark picture, and a light one.
func darkAndLight() []float32 {
	n := fakeSpec.ValueCount()
	return append(repeat(float32(0), n), repeat(float32(1), n)...)
}

// pictureTensor is a tensor of pictures.
func pictureTensor(pictures ...[]byte) *pb.TensorProto {
	return &pb.TensorProto{Dtype: pb.DataType_DT_STRING, StringVal: pictures,
		TensorShape: tensorflow.EncodeShape(len(pictures))}
}

// TestTensorFlowPredict: tensors of pictures and of all types of numbers, under any name, are answered with
// the output of the signature.
func TestTensorFlowPredict(t *testing.T) {
	one, n := []int{1, 8, 8, 3}, fakeSpec.ValueCount()
	content := bytes.Repeat([]byte{0, 0, 128, 63}, n) // 1 as float32
	for name, c := range map[string]struct {
		signature model.Signature
		named     string
		input     *pb.TensorProto
		shape     []int
		want      []float32
	}{
		"values": {ofCourse, "serving_default", tensorflow.EncodeFloats(darkAndLight(), 2, 8, 8, 3), []int{2, 2},
			[]float32{0, -1, -1, 0}},
		"content": {ofCourse, "", &pb.TensorProto{Dtype: pb.DataType_DT_FLOAT, TensorContent: content,
			TensorShape: tensorflow.EncodeShape(one...)}, []int{1, 2}, []float32{-1, 0}},
		"bytes": {ofCourse, "", &pb.TensorProto{Dtype: pb.DataType_DT_UINT8, TensorContent: bytes.Repeat([]byte{1}, n),
			TensorShape: tensorflow.EncodeShape(one...)}, []int{1, 2}, []float32{-1, 0}},
		"integers": {ofCourse, "", &pb.TensorProto{Dtype: pb.DataType_DT_INT32, IntVal: repeat(int32(1), n),
			TensorShape: tensorflow.EncodeShape(one...)}, []int{1, 2}, []float32{-1, 0}},
		"one for all": {ofCourse, "", &pb.TensorProto{Dtype: pb.DataType_DT_DOUBLE, DoubleVal: []float64{1},
			TensorShape: tensorflow.EncodeShape(one...)}, []int{1, 2}, []float32{-1, 0}},
		"pictures": {ofCourse, "serving_pictures", pictureTensor(white(), black(), white()), []int{3, 2},
			[]float32{-1, 0, 0, -1, -1, 0}},
		"probabilities": {model.Signature{Input: "x", Output: "y", Values: model.Probabilities}, "",
			pictureTensor(white()), []int{1, 2}, []float32{.25, .75}},
		"a probability": {model.Signature{Input: "x", Output: "y", Values: model.Probability}, "",
			pictureTensor(white(), black()), []int{2, 1}, []float32{.75, .25}},
		"a logit": {model.Signature{Input: "x", Output: "y", Values: model.Logit}, "", pictureTensor(white()),
			[]int{1, 1}, []float32{1}},
	} {
		r := start(t, &fake{Named: &c.signature}, nil)
		for _, input := range []string{c.signature.Input, "anything"} {
			a, err := predictGRPC(t, r, &pb.PredictRequest{
				ModelSpec: &pb.ModelSpec{Name: "m", SignatureName: c.named},
				Inputs:    map[string]*pb.TensorProto{input: c.input}, OutputFilter: []string{c.signature.Output},
			})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			want := &pb.PredictResponse{
				ModelSpec: &pb.ModelSpec{Name: "m", SignatureName: "serving_default",
					VersionChoice: &pb.ModelSpec_Version{Version: wrapperspb.Int64(1)}},
				Outputs: map[string]*pb.TensorProto{c.signature.Output: tensorflow.EncodeFloats(c.want, c.shape...)},
			}
			if c.named != "" {
				want.ModelSpec.SignatureName = c.named
			}
			if !proto.Equal(roundFloats(a), roundFloats(want)) {
				t.Errorf("%s: %v, want %v", name, a, want)
			}
		}
	}
}

// roundFloats rounds the values of a response, whose means are sums of many.
func roundFloats(a *pb.PredictResponse) *pb.PredictResponse {
	for _, o := range a.Outputs {
		for i, v := range o.FloatVal {
			o.FloatVal[i] = float32(math.Round(float64(v)*1e4)/1e4) + 0 // never -0
		}
	}
	return a
}

// TestTensorFlowAcceptance: the signature with the acceptance has two outputs with different names.
func TestTensorFlowAcceptance(t *testing.T) {
	for _, own := range []string{"dense_7", "acceptance"} {
		s := model.Signature{Input: "x", Output: own, Values: model.Logits}
		r := start(t, &fake{Named: &s, Judging: true}, nil)
		q := &pb.PredictRequest{ModelSpec: &pb.ModelSpec{Name: "m", SignatureName: "serving_acceptance"},
			Inputs: map[string]*pb.TensorProto{"x": pictureTensor(white(), black())}}
		a, err := predictGRPC(t, r, q)
		if err != nil || len(a.Outputs) != 2 || len(a.Outputs["acceptance"].GetTensorShape().GetDim()) != 1 {
			t.Fatalf("%s: %v, %v", own, a, err)
		}
		if low := a.Outputs["acceptance"].FloatVal; len(low) != 2 || low[0] > .02 || low[1] < .98 {
			t.Errorf("%s: acceptance %v", own, low)
		}
		q.OutputFilter = []string{"acceptance"}
		if a, err = predictGRPC(t, r, q); err != nil || len(a.Outputs) != 1 {
			t.Errorf("%s: %v, %v", own, a, err)
		}
	}
}

// TestTensorFlowRefusals: what is wrong with a request of Predict is said, with the code of TensorFlow Serving.
//
//nolint:funlen // mostly a table
func TestTensorFlowRefusals(t *testing.T) {
	r := start(t, &fake{Named: &ofCourse}, func(c *Config) { c.Bodies.MaxPictures = 2 })
	shaped := func(dtype pb.DataType, shape ...int) func(*pb.PredictRequest) {
		return setInput(&pb.TensorProto{Dtype: dtype, TensorShape: tensorflow.EncodeShape(shape...)})
	}
	invalid, missing := connect.CodeInvalidArgument, connect.CodeNotFound
	for name, c := range map[string]struct {
		change func(q *pb.PredictRequest)
		code   connect.Code
		says   string
	}{
		"no model": {func(q *pb.PredictRequest) { q.ModelSpec = nil }, invalid, "model_spec"},
		"another model": {func(q *pb.PredictRequest) { q.ModelSpec.Name = "hats" }, missing,
			"Servable not found for request"},
		"another version": {func(q *pb.PredictRequest) {
			q.ModelSpec.VersionChoice = &pb.ModelSpec_Version{Version: wrapperspb.Int64(7)}
		}, missing, "version 7"},
		"version 0": {func(q *pb.PredictRequest) {
			q.ModelSpec.VersionChoice = &pb.ModelSpec_Version{Version: wrapperspb.Int64(0)}
		}, missing, "version"},
		"a label": {func(q *pb.PredictRequest) {
			q.ModelSpec.VersionChoice = &pb.ModelSpec_VersionLabel{VersionLabel: "stable"}
		}, missing, `"stable"`},
		"another signature": {func(q *pb.PredictRequest) { q.ModelSpec.SignatureName = "predict_images" }, invalid,
			"the signatures are serving_default, serving_pictures"},
		"no acceptance": {func(q *pb.PredictRequest) { q.ModelSpec.SignatureName = "serving_acceptance" }, invalid,
			"no signature"},
		"another output":  {func(q *pb.PredictRequest) { q.OutputFilter = []string{"probs"} }, invalid, "dense_7"},
		"an output twice": {func(q *pb.PredictRequest) { q.OutputFilter = repeat("dense_7", 2) }, invalid, "twice"},
		"no input":        {func(q *pb.PredictRequest) { q.Inputs = nil }, invalid, "0 inputs"},
		"two inputs":      {func(q *pb.PredictRequest) { q.Inputs["x"] = q.Inputs["a"] }, invalid, "2 inputs"},
		"no tensor":       {setInput(nil), invalid, `"a"`},
		"too many": {setInput(pictureTensor(white(), white(), white())), connect.CodeResourceExhausted,
			"2 pictures"},
		"no batch":         {setInput(tensorflow.EncodeFloats(darkAndLight()[:192], 8, 8, 3)), invalid, "[n 8 8 3]"},
		"another size":     {setInput(tensorflow.EncodeFloats(darkAndLight()[:75], 1, 5, 5, 3)), invalid, "[n 8 8 3]"},
		"no pictures":      {setInput(pictureTensor()), invalid, "n from 1"},
		"a huge shape":     {shaped(pb.DataType_DT_FLOAT, 1<<40, 1<<40), invalid, "elements"},
		"a negative shape": {shaped(pb.DataType_DT_FLOAT, -1, 8, 8, 3), invalid, "axis 0"},
		"no elements":      {shaped(pb.DataType_DT_FLOAT, 1, 8, 8, 3), invalid, "no elements"},
		"booleans":         {shaped(pb.DataType_DT_BOOL, 1, 8, 8, 3), invalid, "DT_BOOL"},
		"not finite": {setInput(tensorflow.EncodeFloats(repeat(float32(math.NaN()), 192), 1, 8, 8, 3)), invalid,
			"finite"},
		"not a picture": {setInput(pictureTensor([]byte("text"))), invalid, "not a picture"},
		"a stream": {func(q *pb.PredictRequest) {
			q.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), nil))
		}, invalid, "tensorflow.serving.PredictRequest has no field 5"},
		"other elements": {func(q *pb.PredictRequest) {
			q.Inputs["a"].ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 16,
				protowire.VarintType), 1))
		}, invalid, "tensorflow.TensorProto has no field 16"},
		"an unknown model": {func(q *pb.PredictRequest) {
			q.ModelSpec.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 9,
				protowire.VarintType), 1))
		}, invalid, "tensorflow.serving.ModelSpec has no field 9"},
	} {
		q := &pb.PredictRequest{ModelSpec: &pb.ModelSpec{Name: "m"},
			Inputs: map[string]*pb.TensorProto{"a": pictureTensor(white())}}
		c.change(q)
		if a, err := predictGRPC(t, r, q); connect.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %v; want %v, %q", name, a, err, c.code, c.says)
		}
	}
	q := &pb.PredictRequest{ModelSpec: &pb.ModelSpec{Name: "m"}, ClientId: []byte("me"),
		Inputs: map[string]*pb.TensorProto{"a": pictureTensor(white())}}
	if _, err := predictGRPC(t, r, q); err != nil {
		t.Errorf("with client_id: %v", err)
	}
	if r.backend.Scheduler.Depth() != 0 || r.backend.Bodies.Used() != 0 {
		t.Errorf("%d pictures, %d bytes are left", r.backend.Scheduler.Depth(), r.backend.Bodies.Used())
	}
}

func setInput(input *pb.TensorProto) func(*pb.PredictRequest) {
	return func(q *pb.PredictRequest) { q.Inputs["a"] = input }
}

// exampleWith returns an example with one feature.
func exampleWith(f *pb.Feature) *pb.Example {
	return &pb.Example{Features: &pb.Features{Feature: map[string]*pb.Feature{"image/encoded": f}}}
}

func bytesFeature(values ...[]byte) *pb.Feature {
	return &pb.Feature{Kind: &pb.Feature_BytesList{BytesList: &pb.BytesList{Value: values}}}
}

func floatFeature(values ...float32) *pb.Feature {
	return &pb.Feature{Kind: &pb.Feature_FloatList{FloatList: &pb.FloatList{Value: values}}}
}

// TestTensorFlowClassify: examples with a picture or with values are answered with labels and scores.
//
//nolint:funlen // one table
func TestTensorFlowClassify(t *testing.T) {
	r := start(t, &fake{Named: &ofCourse, Judging: true}, nil)
	list := func(all ...*pb.Example) *pb.Input {
		return &pb.Input{Kind: &pb.Input_ExampleList{ExampleList: &pb.ExampleList{Examples: all}}}
	}
	picture, n := exampleWith(bytesFeature(white())), fakeSpec.ValueCount()
	withContext := func(context *pb.Example) *pb.Input {
		return &pb.Input{Kind: &pb.Input_ExampleListWithContext{ExampleListWithContext: &pb.ExampleListWithContext{
			Examples: []*pb.Example{picture}, Context: context}}}
	}
	values := func(v float32) *pb.Example { return exampleWith(floatFeature(repeat(v, n)...)) }
	for name, c := range map[string]struct {
		input     *pb.Input
		signature string
		labels    string // the first label of each picture, in the order of scores
		says      string
	}{
		"pictures":       {list(picture, exampleWith(bytesFeature(black()))), "", "light dark", ""},
		"values":         {list(values(0), values(1)), "serving_default", "dark light", ""},
		"pictures named": {list(picture), "serving_pictures", "light", ""},
		"no context":     {withContext(&pb.Example{}), "", "light", ""},
		"context":        {withContext(picture), "", "", "context"},
		"acceptance":     {list(picture), "serving_acceptance", "", "does not classify"},
		"signature":      {list(picture), "x", "", "no signature"},
		"nothing":        {nil, "", "", "no examples"},
		"mixed":          {list(picture, values(1)), "", "", "example 1"},
		"few values":     {list(exampleWith(floatFeature(1, 2))), "", "", "192 in each"},
		"two pictures":   {list(exampleWith(bytesFeature(white(), white()))), "", "", "one in each"},
		"no feature":     {list(&pb.Example{}), "", "", "0 features"},
		"too many":       {list(repeat(picture, 33)...), "", "", "32 pictures"},
	} {
		spec := &pb.ModelSpec{Name: "m", SignatureName: c.signature}
		a, err := callTensorFlow[pb.ClassificationRequest, pb.ClassificationResponse](t, r,
			"PredictionService/Classify", &pb.ClassificationRequest{ModelSpec: spec, Input: c.input})
		if c.says != "" {
			want := connect.CodeInvalidArgument
			if name == "too many" {
				want = connect.CodeResourceExhausted
			}
			if connect.CodeOf(err) != want || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, want %v, %q", name, err, want, c.says)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var labels []string
		for _, one := range a.Result.Classifications {
			if len(one.Classes) != 2 || one.Classes[0].Label != "dark" || one.Classes[1].Label != "light" {
				t.Errorf("%s: %v", name, one)
			}
			best := slices.MaxFunc(one.Classes, func(a, b *pb.Class) int { return cmp.Compare(a.Score, b.Score) })
			if best.Score != .75 {
				t.Errorf("%s: %v", name, one)
			}
			labels = append(labels, best.Label)
		}
		if strings.Join(labels, " ") != c.labels || a.ModelSpec.GetVersion().GetValue() != 1 {
			t.Errorf("%s: %v, %v", name, labels, a.ModelSpec)
		}
	}
}

// TestTensorFlowMetadata: clients find the names and shapes of inputs and outputs, and the state of a model.
func TestTensorFlowMetadata(t *testing.T) {
	r := start(t, &fake{Named: &ofCourse, Judging: true}, nil)
	metadata := func(fields ...string) (*pb.GetModelMetadataResponse, error) {
		return callTensorFlow[pb.GetModelMetadataRequest, pb.GetModelMetadataResponse](t, r,
			"PredictionService/GetModelMetadata",
			&pb.GetModelMetadataRequest{ModelSpec: &pb.ModelSpec{Name: "m"}, MetadataField: fields})
	}
	a, err := metadata("signature_def")
	if err != nil {
		t.Fatal(err)
	}
	var m pb.SignatureDefMap
	if err = a.Metadata["signature_def"].UnmarshalTo(&m); err != nil {
		t.Fatal(err)
	}
	s := m.SignatureDef["serving_default"]
	if len(m.SignatureDef) != 3 || !slices.Equal(sizes(s.Inputs["input_8"]), []int64{-1, 8, 8, 3}) ||
		!slices.Equal(sizes(s.Outputs["dense_7"]), []int64{-1, 2}) || len(s.Inputs) != 1 || len(s.Outputs) != 1 {
		t.Errorf("%v", &m)
	}
	if s := m.SignatureDef["serving_acceptance"]; len(s.Outputs) != 2 ||
		s.Inputs["picture"].GetDtype() != pb.DataType_DT_STRING {
		t.Errorf("%v", s)
	}
	for _, fields := range [][]string{nil, {"x"}, {"signature_def", "x"}} {
		if _, err = metadata(fields...); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%v: %v", fields, err)
		}
	}
	status := func(name string) (*pb.GetModelStatusResponse, error) {
		return callTensorFlow[pb.GetModelStatusRequest, pb.GetModelStatusResponse](t, r, "ModelService/GetModelStatus",
			&pb.GetModelStatusRequest{ModelSpec: &pb.ModelSpec{Name: name}})
	}
	state, err := status("m")
	if err != nil || len(state.ModelVersionStatus) != 1 || state.ModelVersionStatus[0].Version != 1 ||
		state.ModelVersionStatus[0].State != pb.ModelVersionStatus_AVAILABLE {
		t.Errorf("%v, %v", state, err)
	}
	if _, err = status("hats"); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("%v", err)
	}
}

func sizes(t *pb.TensorInfo) (all []int64) {
	for _, d := range t.GetTensorShape().GetDim() {
		all = append(all, d.Size)
	}
	return all
}

// TestTensorFlowVersions: requests choose a version by number or label, and the state has all versions.
func TestTensorFlowVersions(t *testing.T) {
	r := startLabelled(t)
	number := func(n int64) *pb.ModelSpec {
		return &pb.ModelSpec{Name: "m", VersionChoice: &pb.ModelSpec_Version{Version: wrapperspb.Int64(n)}}
	}
	label := func(text string) *pb.ModelSpec {
		return &pb.ModelSpec{Name: "m", VersionChoice: &pb.ModelSpec_VersionLabel{VersionLabel: text}}
	}
	for _, c := range []struct {
		spec   *pb.ModelSpec
		want   int64 // 0 if there is none
		states string
	}{
		{&pb.ModelSpec{Name: "m"}, 2, "321"}, {number(1), 1, "1"}, {label("stable"), 2, "2"},
		{label("canary"), 3, "3"}, {number(4), 0, ""}, {number(0), 0, ""}, {number(-1), 0, ""},
		{label("beta"), 0, ""}, {label("3"), 0, ""}, {label(""), 0, ""},
	} {
		a, err := predictGRPC(t, r, &pb.PredictRequest{ModelSpec: c.spec,
			Inputs: map[string]*pb.TensorProto{"a": pictureTensor(white())}})
		if a.GetModelSpec().GetVersion().GetValue() != c.want ||
			c.want == 0 && connect.CodeOf(err) != connect.CodeNotFound {
			t.Errorf("%v: %v, %v, want version %d", c.spec, a, err, c.want)
		}
		state, err := callTensorFlow[pb.GetModelStatusRequest, pb.GetModelStatusResponse](t, r,
			"ModelService/GetModelStatus", &pb.GetModelStatusRequest{ModelSpec: c.spec})
		states := ""
		for _, s := range state.GetModelVersionStatus() {
			states += fmt.Sprint(s.Version)
		}
		if states != c.states || c.want == 0 && connect.CodeOf(err) != connect.CodeNotFound {
			t.Errorf("%v: %v, %v, want versions %s", c.spec, state, err, c.states)
		}
	}
}

// TestTensorFlowUnimplemented: what garb does not have is refused as gRPC says, whatever the message holds.
func TestTensorFlowUnimplemented(t *testing.T) {
	r := start(t, &fake{}, nil)
	body := []byte{0, 0, 0, 0, 2, 0x12, 0} // field 2, which is the input
	for _, procedure := range []string{"PredictionService/Regress", "PredictionService/MultiInference",
		"ModelService/HandleReloadConfigRequest", "SessionService/SessionRun"} {
		_, status := callGRPC(t, r, "/tensorflow.serving."+procedure, "application/grpc", bytes.NewReader(body))
		if status != "12" {
			t.Errorf("%s: status %s", procedure, status)
		}
	}
}

// TestTensorFlowNeedsKey: the services need an API key, if the service has any.
func TestTensorFlowNeedsKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	writeFile(t, path, []byte("secret\n"))
	r := start(t, &fake{}, func(c *Config) { c.APIKeyFile = path })
	q := connect.NewRequest(&pb.PredictRequest{ModelSpec: &pb.ModelSpec{Name: "m"},
		Inputs: map[string]*pb.TensorProto{"a": pictureTensor(white())}})
	c := client[pb.PredictRequest, pb.PredictResponse](t, r, "/"+tensorflow.PredictionService+"/Predict")
	if _, err := c.CallUnary(t.Context(), q); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("without a key: %v", err)
	}
	q.Header().Set("X-Api-Key", "secret")
	if a, err := c.CallUnary(t.Context(), q); err != nil || len(a.Msg.Outputs["probabilities"].GetFloatVal()) != 2 {
		t.Errorf("with a key: %v, %v", a, err)
	}
}

// TestTensorFlowNames: the REST API has the names and the output of a converted model's signature too, and the
// Open Inference Protocol the name of its input.
func TestTensorFlowNames(t *testing.T) {
	r := start(t, &fake{Named: &ofCourse, Judging: true}, nil)
	values, err := json.Marshal(repeat(repeat(repeat(float32(0), 3), 8), 8))
	if err != nil {
		t.Fatal(err)
	}
	const acceptance = `"signature_name": "serving_acceptance", `
	for body, want := range map[string]string{
		`{"instances": [VALUES]}`:                          `{"predictions":[[0,-1]]}`,
		`{"instances": [{"input_8": VALUES}]}`:             `{"predictions":[[0,-1]]}`,
		`{"inputs": {"input_8": [VALUES]}}`:                `{"outputs":[[0,-1]]}`,
		`{` + acceptance + `"inputs": [VALUES]}`:           `{"outputs":{"acceptance":[0.98`,
		`{` + acceptance + `"instances": [{"a": VALUES}]}`: `{"predictions":[{"acceptance":0.98`,
	} {
		answer, text := post(t, r.url+"/v1/models/m:predict", "application/json",
			[]byte(strings.ReplaceAll(body, "VALUES", string(values))))
		if got := strings.ReplaceAll(string(text), "-0,", "0,"); answer.StatusCode != http.StatusOK ||
			!strings.HasPrefix(got, want) || strings.Contains(want, "accept") != strings.Contains(got, "dense_7") {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
	for path, says := range map[string]string{
		"/v1/models/m/metadata": `"input_8":{"dtype":"DT_FLOAT"`,
		"/v2/models/m":          `{"name":"input_8","datatype":"FP32","shape":[-1,8,8,3]}`,
	} {
		if _, text := ask(t, r, http.MethodGet, path, "", nil); !strings.Contains(string(text), says) {
			t.Errorf("%s: %s", path, text)
		}
	}
}

// TestTensorFlowClient: the gateway of the course's chapter 10 works with TensorFlow Serving's own client, and
// gets what Keras computes.
func TestTensorFlowClient(t *testing.T) {
	python := os.Getenv("GARB_TENSORFLOW_PYTHON")
	if python == "" {
		t.Skip("set GARB_TENSORFLOW_PYTHON to a Python with tensorflow-serving-api and Pillow to run this test " +
			"(see .ci/run)")
	}
	const script = "testdata/tensorflow_client.py"
	classes := strings.Split("dress,hat,longsleeve,outwear,pants,shirt,shoes,shorts,skirt,t-shirt", ",")
	for _, name := range []string{"clothing.keras", "clothing.h5"} {
		file, native := filepath.Join(t.TempDir(), name), filepath.Join(t.TempDir(), "clothing.safetensors")
		runClient(t, python, script, "make", file)
		in, err := convert.Read(t.Context(), file, convert.Options{Classes: classes, Preprocess: "xception"})
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Model.Save(native, tensor.Float32); err != nil {
			t.Fatal(err)
		}
		r := startWith(t, func(path string) (Classifier, error) { return model.Open(path, model.Options{}) },
			func(c *Config) { c.Models.Models = []NamedModel{{Name: "clothing-model", Path: native}} })
		runClient(t, python, script, "call", strings.TrimPrefix(r.url, "http://"), file, example,
			strings.Join(classes, ","))
	}
}
