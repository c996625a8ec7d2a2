package grpc

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "garb/serve/inferencepb"
	"garb/serve/observe"
	"garb/serve/request"
	"garb/serve/tensorflowpb"
)

// TestCountedFields: a message may have so many fields, those of messages inside it and the
// numbers of shapes among them.
func TestCountedFields(t *testing.T) {
	message := &pb.ModelInferRequest{ModelName: "m", Inputs: []*pb.ModelInferRequest_InferInputTensor{
		{Name: "a", Datatype: "BYTES", Shape: []int64{1, 300}}, {Name: "b"},
	}}
	data, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	// The name; two inputs; three and one fields inside them; three bytes of a shape.
	const fields = 1 + 2 + 3 + 1 + 3
	for left := range fields + 3 {
		have := left
		err := codec{}.countFields(data, message.ProtoReflect().Descriptor(), &have)
		if (err == nil) != (left >= fields) || err == nil && have != left-fields {
			t.Errorf("of %d fields %d are left, %v", left, have, err)
		}
	}
	left := 100
	for _, cut := range []int{1, len(data) - 1} {
		if (codec{}).countFields(data[:cut], message.ProtoReflect().Descriptor(), &left) == nil {
			t.Errorf("a message cut to %d bytes is counted", cut)
		}
	}
}

// TestCountedNumbers: many small numbers count, since decoded they take several times as much memory.
func TestCountedNumbers(t *testing.T) {
	bodies := request.NewBodies(request.DefaultBodyConfig(), observe.NewMetrics(func() float64 { return 0 }))
	for _, c := range []struct {
		numbers int
		wants   bool
	}{{3 * 299 * 299, true}, {4 << 20, true}, {5 << 20, false}} {
		for _, m := range []*tensorflowpb.TensorProto{
			{IntVal: make([]int32, c.numbers)}, {Int64Val: make([]int64, c.numbers)},
		} {
			data, err := proto.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if err = (codec{bodies, true}).Unmarshal(data, &tensorflowpb.TensorProto{}); (err == nil) != c.wants {
				t.Errorf("%d numbers: %v", c.numbers, err)
			}
		}
	}
}

// TestStrictCodec: a strict codec refuses fields that a message does not have, wherever they are.
func TestStrictCodec(t *testing.T) {
	bodies := request.NewBodies(request.DefaultBodyConfig(), observe.NewMetrics(func() float64 { return 0 }))
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1)
	inside := protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), unknown) // an input
	for name, data := range map[string][]byte{"in the message": unknown, "in an input": inside} {
		if err := (codec{bodies, true}).Unmarshal(data, &pb.ModelInferRequest{}); err == nil {
			t.Errorf("%s: decoded", name)
		}
		if err := (codec{bodies, false}).Unmarshal(data, &pb.ModelInferRequest{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	known := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "m")
	if err := (codec{bodies, true}).Unmarshal(known, &pb.ModelInferRequest{}); err != nil {
		t.Error(err)
	}
}

// FuzzCodec: bytes that are no message are refused, and those of one are decoded as protobuf does.
func FuzzCodec(f *testing.F) {
	data, err := proto.Marshal(&pb.ModelInferRequest{ModelName: "m", RawInputContents: [][]byte{{1}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:3])
	bodies := request.NewBodies(request.DefaultBodyConfig(), observe.NewMetrics(func() float64 { return 0 }))
	f.Fuzz(func(t *testing.T, data []byte) {
		have, want := &pb.ModelInferRequest{}, &pb.ModelInferRequest{}
		err := codec{bodies, false}.Unmarshal(data, have)
		if err == nil && (proto.Unmarshal(data, want) != nil || have.ModelName != want.ModelName) {
			t.Errorf("%x is decoded", data)
		}
	})
}
