package tensorflowpb

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
)

// TestCompatible compares the messages and services with those of tensorflow-serving-api.
func TestCompatible(t *testing.T) {
	python := os.Getenv("GARB_TENSORFLOW_PYTHON")
	if python == "" {
		t.Skip("set GARB_TENSORFLOW_PYTHON to a Python with tensorflow-serving-api to run this test")
	}
	data, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(File_tensorflow_proto),
		protodesc.ToFileDescriptorProto(File_tensorflow_serving_proto)}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "descriptors")
	if err = os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), python, "../inferencepb/testdata/compatible.py", path,
		"tensorflow_serving.apis.prediction_service_pb2", "tensorflow_serving.apis.model_service_pb2").CombinedOutput()
	if t.Logf("%s", out); err != nil {
		t.Error(err)
	}
}
