package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"garb/serve/grpc"
	"garb/serve/inference"
	pb "garb/serve/inferencepb"
	"garb/serve/request"
	"garb/serve/tensors"
)

// call calls a procedure as gRPC clients do.
func call[Q, A any](t testing.TB, r *running, name string, q *Q, header ...string) (*A, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return callWithin[Q, A](ctx, r, name, q, header...)
}

func callWithin[Q, A any](ctx context.Context, r *running, name string, q *Q, header ...string) (*A, error) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	client := connect.NewClient[Q, A](&http.Client{Transport: transport}, r.url+inference.Service+name,
		connect.WithGRPC())
	request := connect.NewRequest(q)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header().Set(header[i], header[i+1])
	}
	answer, err := client.CallUnary(ctx, request)
	if err != nil {
		return nil, err
	}
	return answer.Msg, nil
}

func inferGRPC(t testing.TB, r *running, q *pb.ModelInferRequest) (*pb.ModelInferResponse, error) {
	t.Helper()
	return call[pb.ModelInferRequest, pb.ModelInferResponse](t, r, "ModelInfer", q)
}

type (
	inputMessage  = pb.ModelInferRequest_InferInputTensor
	outputMessage = pb.ModelInferRequest_InferRequestedOutputTensor
)

// TestInferenceGRPC asks the built-in model by gRPC, in each form.
func TestInferenceGRPC(t *testing.T) {
	r, model := clothing(t)
	data := read(t, example)
	predictions, err := model.Classify(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	values := valuesOf(t, model.Spec(), data)
	shape := []int64{1, int64(model.Spec().Height), int64(model.Spec().Width), 3}
	shirt := slices.Index(model.Classes(), "t-shirt")
	for name, q := range map[string]*pb.ModelInferRequest{
		"picture": {Inputs: []*inputMessage{{Name: "picture", Datatype: tensors.Bytes, Shape: []int64{1},
			Contents: &pb.InferTensorContents{BytesContents: [][]byte{data}}}}},
		"picture, raw": {Inputs: []*inputMessage{{Name: "picture", Datatype: tensors.Bytes, Shape: []int64{1, 1}}},
			RawInputContents: [][]byte{tensors.Tensor{Texts: []string{string(data)}}.EncodeRaw()}},
		"values": {Inputs: []*inputMessage{{Name: "input", Datatype: tensors.FP32, Shape: shape,
			Contents: &pb.InferTensorContents{Fp32Contents: values}}}},
		"values, raw": {Inputs: []*inputMessage{{Name: "input", Datatype: tensors.FP32, Shape: shape}},
			RawInputContents: [][]byte{littleEndian(values)}},
	} {
		q.ModelName, q.ModelVersion, q.Id = "clothing", "1", "a1"
		a, err := inferGRPC(t, r, q)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if a.ModelName != "clothing" || a.ModelVersion != "1" || a.Id != "a1" || len(a.Outputs) != 4 ||
			a.Outputs[3].Name != "acceptance" || a.Outputs[1].Name != "probabilities" ||
			a.Outputs[1].Shape[1] != int64(len(model.Classes())) {
			t.Fatalf("%s: %v", name, a)
		}
		raw := len(q.RawInputContents) > 0
		if (len(a.RawOutputContents) == 4) != raw {
			t.Fatalf("%s: %d raw outputs", name, len(a.RawOutputContents))
		}
		if raw {
			probabilities := slices.Repeat([]float32{float32(math.NaN())}, len(model.Classes()))
			for _, p := range predictions {
				probabilities[slices.Index(model.Classes(), p.Class)] = float32(p.Probability)
			}
			if string(a.RawOutputContents[1]) != string(littleEndian(probabilities)) ||
				string(a.RawOutputContents[2]) != "\x07\x00\x00\x00t-shirt" {
				t.Errorf("%s: %x", name, a.RawOutputContents[1:])
			}
			continue
		}
		if p := a.Outputs[1].Contents.Fp32Contents; p[shirt] != float32(predictions[0].Probability) ||
			string(a.Outputs[2].Contents.BytesContents[0]) != "t-shirt" {
			t.Errorf("%s: %v", name, a)
		}
	}
	if log := r.log.String(); !strings.Contains(log, `"path":"/inference.GRPCInferenceService/ModelInfer"`) ||
		!strings.Contains(log, `"model":"clothing"`) {
		t.Errorf("%s", log)
	}
}

// TestInferenceGRPCMetadata: the metadata of the server and its models.
func TestInferenceGRPCMetadata(t *testing.T) {
	r := start(t, &fake{}, nil)
	if a, err := call[pb.ServerLiveRequest, pb.ServerLiveResponse](t, r, "ServerLive",
		&pb.ServerLiveRequest{}); err != nil || !a.Live {
		t.Errorf("%v, %v", a, err)
	}
	if a, err := call[pb.ServerReadyRequest, pb.ServerReadyResponse](t, r, "ServerReady",
		&pb.ServerReadyRequest{}); err != nil || !a.Ready {
		t.Errorf("%v, %v", a, err)
	}
	if a, err := call[pb.ServerMetadataRequest, pb.ServerMetadataResponse](t, r, "ServerMetadata",
		&pb.ServerMetadataRequest{}); err != nil || a.Name != "garb" {
		t.Errorf("%v, %v", a, err)
	}
	if a, err := call[pb.ModelReadyRequest, pb.ModelReadyResponse](t, r, "ModelReady",
		&pb.ModelReadyRequest{Name: "m", Version: "1"}); err != nil || !a.Ready {
		t.Errorf("%v, %v", a, err)
	}
	if a, err := call[pb.ModelReadyRequest, pb.ModelReadyResponse](t, r, "ModelReady",
		&pb.ModelReadyRequest{Name: "n"}); err != nil || a.Ready {
		t.Errorf("%v, %v", a, err)
	}
	if _, err := call[pb.ModelMetadataRequest, pb.ModelMetadataResponse](t, r, "ModelMetadata",
		&pb.ModelMetadataRequest{Name: "m", Version: "2"}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("%v", err)
	}
	a, err := call[pb.ModelMetadataRequest, pb.ModelMetadataResponse](t, r, "ModelMetadata",
		&pb.ModelMetadataRequest{Name: "m"})
	if err != nil || a.Name != "m" || !slices.Equal(a.Versions, []string{"1"}) || len(a.Inputs) != 2 ||
		!slices.Equal(a.Inputs[1].Shape, []int64{-1, 8, 8, 3}) || len(a.Outputs) != 3 {
		t.Errorf("%v, %v", a, err)
	}
	// What other servers have beside it is not there, as gRPC says it.
	if _, err := call[pb.ServerLiveRequest, pb.ServerLiveResponse](t, r, "SystemSharedMemoryStatus",
		&pb.ServerLiveRequest{}); connect.CodeOf(err) != connect.CodeUnimplemented {
		t.Errorf("%v", err)
	}
}

// TestInferenceGRPCErrors: what is wrong is told by gRPC's codes.
//
//nolint:funlen // it is a table
func TestInferenceGRPCErrors(t *testing.T) {
	r := start(t, &fake{}, func(c *Config) { c.Bodies.MaxPictures, c.Bodies.MaxBytes = 3, 1<<20 })
	contents := func(pictures ...[]byte) *pb.InferTensorContents {
		return &pb.InferTensorContents{BytesContents: pictures}
	}
	floats := func(values ...float32) *pb.InferTensorContents {
		return &pb.InferTensorContents{Fp32Contents: append(make([]float32, 192-len(values)), values...)}
	}
	input := func(datatype string, c *pb.InferTensorContents, shape ...int64) []*inputMessage {
		return []*inputMessage{{Datatype: datatype, Shape: shape, Contents: c}}
	}
	good := input(tensors.Bytes, contents(white()), 1)
	for name, c := range map[string]struct {
		q    *pb.ModelInferRequest
		code connect.Code
	}{
		"another model":   {&pb.ModelInferRequest{ModelName: "n"}, connect.CodeNotFound},
		"another version": {&pb.ModelInferRequest{ModelName: "m", ModelVersion: "x"}, connect.CodeNotFound},
		"no input":        {&pb.ModelInferRequest{}, connect.CodeInvalidArgument},
		"two inputs":      {&pb.ModelInferRequest{Inputs: append(good, good...)}, connect.CodeInvalidArgument},
		"no data":         {&pb.ModelInferRequest{Inputs: input(tensors.Bytes, nil, 1)}, connect.CodeInvalidArgument},
		"too few": {&pb.ModelInferRequest{Inputs: input(tensors.Bytes, contents(white()), 2)},
			connect.CodeInvalidArgument},
		"too many": {&pb.ModelInferRequest{Inputs: input(tensors.Bytes, contents(white(), white()), 1)},
			connect.CodeInvalidArgument},
		"beyond the limit": {&pb.ModelInferRequest{Inputs: input(tensors.Bytes,
			contents(white(), white(), white(), white()), 4)}, connect.CodeResourceExhausted},
		"another type": {&pb.ModelInferRequest{Inputs: input("INT8", contents(white()), 1)},
			connect.CodeInvalidArgument},
		"another shape": {&pb.ModelInferRequest{Inputs: input(tensors.FP32, floats(), 1, 8, 8)},
			connect.CodeInvalidArgument},
		"NaN": {&pb.ModelInferRequest{Inputs: input(tensors.FP32, floats(float32(math.NaN())), 1, 8, 8, 3)},
			connect.CodeInvalidArgument},
		"infinity": {&pb.ModelInferRequest{Inputs: input(tensors.FP32, floats(float32(math.Inf(1))), 1, 8, 8,
			3)}, connect.CodeInvalidArgument},
		"both forms": {&pb.ModelInferRequest{Inputs: good, RawInputContents: [][]byte{{}}},
			connect.CodeInvalidArgument},
		"two raw": {&pb.ModelInferRequest{Inputs: input(tensors.Bytes, nil, 1),
			RawInputContents: [][]byte{{}, {}}}, connect.CodeInvalidArgument},
		"raw, cut off": {&pb.ModelInferRequest{Inputs: input(tensors.Bytes, nil, 1),
			RawInputContents: [][]byte{{9, 0, 0, 0}}}, connect.CodeInvalidArgument},
		"no picture": {&pb.ModelInferRequest{Inputs: input(tensors.Bytes, contents([]byte("text")), 1)},
			connect.CodeInvalidArgument},
		"another output": {&pb.ModelInferRequest{Inputs: good, Outputs: []*outputMessage{{Name: "x"}}},
			connect.CodeInvalidArgument},
		"negative top": {&pb.ModelInferRequest{Inputs: good,
			Outputs: []*outputMessage{{Name: "logits", Parameters: topClasses(-1)}}}, connect.CodeInvalidArgument},
		"too long": {&pb.ModelInferRequest{Inputs: input(tensors.Bytes, contents(make([]byte, 1<<20)), 1)},
			connect.CodeResourceExhausted},
		"far too many": {&pb.ModelInferRequest{Inputs: input(tensors.Bytes, contents(make([][]byte, 10_000)...), 1)},
			connect.CodeInvalidArgument},
		"a very long shape": {&pb.ModelInferRequest{Inputs: input(tensors.Bytes, contents(white()),
			make([]int64, 10_000)...)}, connect.CodeInvalidArgument},
		"all well": {&pb.ModelInferRequest{Inputs: good, Outputs: []*outputMessage{{Name: "class"}}}, 0},
	} {
		_, err := inferGRPC(t, r, c.q)
		if c.code == 0 && err != nil || c.code != 0 && connect.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %v", name, err, c.code)
		}
	}
	// The log and the metrics tell them from answers, though HTTP does not.
	for _, status := range []string{"200", "400", "404", "413"} {
		if line := `garb_requests_total{method="POST",route="POST ` + inference.Service + `ModelInfer",status="` +
			status + `"} `; !strings.Contains(metricsOf(t, r), line) {
			t.Errorf("no %s", line)
		}
	}
	for _, k := range request.Kinds() {
		if code := grpc.Code(k.Status); code == connect.CodeInvalidArgument && k.Status >= 429 {
			t.Errorf("%d is %v", k.Status, code)
		}
	}
	// None of connect's own protocols is spoken.
	transport := &http.Transport{TLSClientConfig: &tls.Config{}}
	defer transport.CloseIdleConnections()
	for _, options := range [][]connect.ClientOption{{connect.WithProtoJSON()}, {}, {connect.WithGRPCWeb()}} {
		client := connect.NewClient[pb.ServerLiveRequest, pb.ServerLiveResponse](&http.Client{Transport: transport},
			r.url+inference.Service+"ServerLive", options...)
		if _, err := client.CallUnary(t.Context(), connect.NewRequest(&pb.ServerLiveRequest{})); err == nil {
			t.Error("another protocol was spoken")
		}
	}
	if r.backend.Scheduler.Depth() != 0 || r.backend.Bodies.Used() != 0 {
		t.Errorf("%d pictures, %d bytes are left", r.backend.Scheduler.Depth(), r.backend.Bodies.Used())
	}
}

// TestInferenceGRPCFull: a full queue, a deadline, a key that is missing.
func TestInferenceGRPCFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	writeFile(t, path, []byte("secret\n"))
	f, entered, open := gate()
	defer open()
	r := start(t, f, func(c *Config) { c.Engine.Queue, c.Bodies.MaxPictures, c.APIKeyFile = 1, 1, path })
	q := &pb.ModelInferRequest{Inputs: []*inputMessage{{Datatype: tensors.Bytes, Shape: []int64{1},
		Contents: &pb.InferTensorContents{BytesContents: [][]byte{white()}}}}}
	if _, err := inferGRPC(t, r, q); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("without a key: %v", err)
	}
	if _, err := call[pb.ServerReadyRequest, pb.ServerReadyResponse](t, r, "ServerReady",
		&pb.ServerReadyRequest{}); err != nil {
		t.Errorf("ready: %v", err)
	}
	first := make(chan error, 1)
	underWay := false
	for timeout := 2 * time.Second; !underWay; timeout *= 4 { // on a slow machine it may end on the way
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		go func() {
			_, err := callWithin[pb.ModelInferRequest, pb.ModelInferResponse](ctx, r, "ModelInfer", q, "Authorization",
				"Bearer secret")
			first <- err
		}()
		select {
		case <-entered:
			underWay = true
		case err := <-first:
			t.Logf("before it was under way: %v", err)
		}
	}
	if _, err := call[pb.ModelInferRequest, pb.ModelInferResponse](t, r, "ModelInfer", q, "X-Api-Key",
		"secret"); connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("when full: %v", err)
	}
	if err := <-first; connect.CodeOf(err) != connect.CodeDeadlineExceeded {
		t.Errorf("late: %v", err)
	}
	open()
	waitFor(t, "the place is free", func() bool { return r.backend.Scheduler.Depth() == 0 })
	r.backend.Scheduler.Stop()
	if _, err := call[pb.ModelInferRequest, pb.ModelInferResponse](t, r, "ModelInfer", q, "X-Api-Key",
		"secret"); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("when stopping: %v", err)
	}
}

// topClasses are the parameters of an output that ask for the n most probable classes.
func topClasses(n int64) map[string]*pb.InferParameter {
	return map[string]*pb.InferParameter{
		"classification": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: n}},
	}
}

// TestTritonClient lets the clients of other servers ask: tritonclient, and what people
// write for TensorFlow Serving.
func TestTritonClient(t *testing.T) {
	python := os.Getenv("GARB_TRITON_PYTHON")
	if python == "" {
		t.Skip("set GARB_TRITON_PYTHON to a Python with tritonclient to run this test (see .ci/run)")
	}
	r, model := clothing(t)
	values := filepath.Join(t.TempDir(), "values.bin")
	writeFile(t, values, littleEndian(valuesOf(t, model.Spec(), read(t, example))))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, python, "testdata/triton_client.py", strings.TrimPrefix(r.url, "http://"),
		example, values, strings.Join(model.Classes(), ","))
	out, err := command.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(errors.Join(ctx.Err(), err))
	}
}
