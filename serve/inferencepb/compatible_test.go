package inferencepb

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
)

// TestCompatible compares the messages and the service with those of tritonclient.
func TestCompatible(t *testing.T) {
	python := os.Getenv("GARB_TRITON_PYTHON")
	if python == "" {
		t.Skip("set GARB_TRITON_PYTHON to a Python with tritonclient to run this test (see .ci/run)")
	}
	data, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(File_inference_proto)}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "descriptors")
	if err = os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), python, "testdata/compatible.py", path,
		"tritonclient.grpc.service_pb2").CombinedOutput()
	if t.Logf("%s", out); err != nil {
		t.Error(err)
	}
}
