package tensorflow

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"garb/picture"
	"garb/serve/request"
	pb "garb/serve/tensorflowpb"
	"garb/serve/tensors"
)

// expected is what a small model with acceptance takes.
var expected = inputSpec{tensors.InputSpec{
	Spec: picture.Spec{Width: 8, Height: 8, Filter: picture.Bilinear, Fit: picture.Stretch,
		Std: [3]float32{255, 255, 255}}, MaxPictures: 3, Judges: true,
}}

func checkInputs(t *testing.T, b tensors.Inputs) {
	t.Helper()
	if n := len(b.Pictures); n > 3 || len(b.Values) > 3*192 || len(b.Values)%192 != 0 ||
		(n == 0) == (len(b.Values) == 0) {
		t.Errorf("%d pictures and %d values", n, len(b.Values))
	}
}

func FuzzPredictRequest(f *testing.F) {
	f.Add([]byte(`{"signature_name": "serving_default", "instances": [{"b64": "YQ=="}, {"picture": {"b64": "Yg"}}]}`))
	f.Add([]byte(`{"inputs": {"x": [{"b64": "YQ=="}]}}`))
	f.Add([]byte(`{"signature_name": "serving_acceptance", "instances": [{"b64": "YQ=="}]}`))
	row := "[" + strings.TrimSuffix(strings.Repeat("[0, 1, 2],", 8), ",") + "]"
	f.Add([]byte(`{"instances": [[` + strings.TrimSuffix(strings.Repeat(row+" ,", 8), ",") + `]]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := expected.parsePredictRequest(body)
		if err != nil {
			if status, _ := request.Status(err); status != 400 && status != 413 {
				t.Errorf("%d: %v", status, err)
			}
			return
		}
		checkInputs(t, q.inputs)
	})
}

// FuzzMessages: messages of Predict and Classify are decoded to inputs that the model takes, or refused.
func FuzzMessages(f *testing.F) {
	picture := &pb.TensorProto{Dtype: pb.DataType_DT_STRING, StringVal: [][]byte{{1}}, TensorShape: EncodeShape(1, 1)}
	for _, t := range []*pb.TensorProto{
		picture, EncodeFloats(make([]float32, 192), 1, 8, 8, 3),
		{Dtype: pb.DataType_DT_UINT8, IntVal: []int32{1}, TensorShape: EncodeShape(3, 8, 8, 3)},
	} {
		data, err := proto.Marshal(&pb.PredictRequest{Inputs: map[string]*pb.TensorProto{"a": t}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	data, err := proto.Marshal(&pb.ClassificationRequest{Input: &pb.Input{Kind: &pb.Input_ExampleList{
		ExampleList: &pb.ExampleList{Examples: []*pb.Example{{Features: &pb.Features{Feature: map[string]*pb.Feature{
			"a": {Kind: &pb.Feature_BytesList{BytesList: &pb.BytesList{Value: [][]byte{{1}}}}},
		}}}}},
	}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		check := func(in tensors.Inputs, err error) {
			t.Helper()
			if err == nil {
				checkInputs(t, in)
				return
			}
			if status, _ := request.Status(err); status != 400 && status != 413 {
				t.Errorf("%d: %v", status, err)
			}
		}
		var predict pb.PredictRequest
		if proto.Unmarshal(data, &predict) == nil {
			check(expected.decodeInputs(predict.Inputs))
		}
		var classify pb.ClassificationRequest
		if proto.Unmarshal(data, &classify) == nil {
			check(expected.decodeExamples(classify.Input))
		}
	})
}
