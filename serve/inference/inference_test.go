package inference

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"garb/picture"
	pb "garb/serve/inferencepb"
	"garb/serve/request"
	"garb/serve/tensors"
)

// expected is what a small model with acceptance takes.
var expected = inputSpec{tensors.InputSpec{
	Spec: picture.Spec{Width: 8, Height: 8, Filter: picture.Bilinear, Fit: picture.Stretch,
		Std: [3]float32{255, 255, 255}}, MaxPictures: 3, Judges: true,
}}

// pictureInput is an input of one picture in JSON.
const pictureInput = `{"name": "picture", "datatype": "BYTES", "shape": [1], "data": ["AQID"]}`

func checkInputs(t *testing.T, b tensors.Inputs) {
	t.Helper()
	if n := len(b.Pictures); n > 3 || len(b.Values) > 3*192 || len(b.Values)%192 != 0 ||
		(n == 0) == (len(b.Values) == 0) {
		t.Errorf("%d pictures and %d values", n, len(b.Values))
	}
}

func FuzzInferRequest(f *testing.F) {
	f.Add([]byte(`{"id": "é\"", "inputs": [`+pictureInput+`], "outputs": [{"name": "class", `+
		`"parameters": {"binary_data": true}}]}`), "")
	f.Add([]byte(`{"inputs": [{"datatype": "BYTES", "shape": [2, 1], "data": [["YQ=="], ["Yg=="]]}], `+
		`"parameters": {"binary_data_output": true}}`), "")
	f.Add([]byte(`{"inputs": [{"datatype": "FP32", "shape": [1, 8, 8, 3], "data": [`+strings.Repeat("0,",
		191)+`-1e-3]}]}`), "")
	for _, raw := range [][]byte{tensors.Tensor{Texts: []string{"abc", ""}}.EncodeRaw(),
		tensors.Tensor{Floats: make([]float32, 192)}.EncodeRaw()} {
		for _, kind := range []string{`"BYTES", "shape": [2]`, `"FP32", "shape": [1, 8, 8, 3]`} {
			text := fmt.Sprintf(`{"inputs": [{"datatype": %s, "parameters": {"binary_data_size": %d}}]}`, kind,
				len(raw))
			f.Add(append([]byte(text), raw...), strconv.Itoa(len(text)))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, length string) {
		q, err := expected.parseInferRequest(body, []string{length})
		if err != nil {
			if status, _ := request.Status(err); status != 400 && status != 413 {
				t.Errorf("%d: %v", status, err)
			}
			return
		}
		checkInputs(t, q.inputs)
		if len(q.outputs) == 0 || len(q.outputs) > 4 {
			t.Errorf("%d outputs", len(q.outputs))
		}
	})
}

func FuzzModelInfer(f *testing.F) {
	for _, q := range []*pb.ModelInferRequest{
		{ModelName: "m", Id: "a",
			Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "picture", Datatype: tensors.Bytes,
				Shape:    []int64{1},
				Contents: &pb.InferTensorContents{BytesContents: [][]byte{{1, 2, 3}}}}}},
		{Inputs: []*pb.ModelInferRequest_InferInputTensor{{Datatype: tensors.Bytes, Shape: []int64{1}}},
			RawInputContents: [][]byte{tensors.Tensor{Texts: []string{"a"}}.EncodeRaw()},
			Outputs: []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "logits",
				Parameters: map[string]*pb.InferParameter{
					"classification": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 2}},
				}}}},
		{Inputs: []*pb.ModelInferRequest_InferInputTensor{{Datatype: tensors.FP32, Shape: []int64{1, 8, 8, 3},
			Contents: &pb.InferTensorContents{Fp32Contents: make([]float32, 192)}}}},
	} {
		data, err := proto.Marshal(q)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		q := &pb.ModelInferRequest{}
		if proto.Unmarshal(data, q) != nil {
			return
		}
		if b, err := expected.parseMessage(q); err == nil {
			checkInputs(t, b)
		}
		if all, err := expected.parseOutputsGRPC(q); err == nil && (len(all) == 0 || len(all) > 4) {
			t.Errorf("%d outputs", len(all))
		}
	})
}
