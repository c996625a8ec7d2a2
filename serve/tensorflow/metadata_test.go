package tensorflow

import (
	"testing"

	"google.golang.org/protobuf/proto"

	pb "garb/serve/tensorflowpb"
)

func TestEncodeMetadata(t *testing.T) {
	input := &pb.TensorInfo{Encoding: &pb.TensorInfo_Name{Name: "input_8:0"}, Dtype: pb.DataType_DT_FLOAT,
		TensorShape: EncodeShape(-1, 299, 299, 3)}
	signatures := &pb.SignatureDefMap{SignatureDef: map[string]*pb.SignatureDef{"serving_default": {
		Inputs: map[string]*pb.TensorInfo{"input_8": input}, MethodName: "tensorflow/serving/predict",
	}}}
	answer, err := EncodeMetadata(&pb.ModelSpec{Name: "clothing-model"}, signatures.SignatureDef)
	if err != nil {
		t.Fatal(err)
	}
	packed := answer.Metadata[SignaturesField]
	// Clients unpack the Any by this name.
	if want := "type.googleapis.com/tensorflow.serving.SignatureDefMap"; packed.GetTypeUrl() != want {
		t.Errorf("type %q, want %q", packed.GetTypeUrl(), want)
	}
	var got pb.SignatureDefMap
	if err := packed.UnmarshalTo(&got); err != nil || !proto.Equal(&got, signatures) {
		t.Errorf("%v, %v", &got, err)
	}
	// Not valid UTF-8, which protobuf's strings must be.
	if _, err := EncodeMetadata(nil, map[string]*pb.SignatureDef{"\xff": {}}); err == nil {
		t.Error("a name that is not UTF-8 is encoded")
	}
}
