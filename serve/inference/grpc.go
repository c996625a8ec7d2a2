package inference

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"garb/model"
	"garb/serve/engine"
	"garb/serve/grpc"
	pb "garb/serve/inferencepb"
	"garb/serve/request"
	"garb/serve/tensors"
)

// Service is the prefix of the paths of the protocol over gRPC.
const Service = "/inference.GRPCInferenceService/"

// StreamInfer is the path of the stream of requests and responses.
const StreamInfer = Service + "ModelStreamInfer"

// registerGRPC registers the Open Inference Protocol over gRPC, which uses HTTP/2.
func (h *Handler) registerGRPC(mux *http.ServeMux) {
	grpc.Handle(h.backend, mux, Service+"ServerLive", grpc.Open,
		func(context.Context, *pb.ServerLiveRequest) (*pb.ServerLiveResponse, error) {
			return &pb.ServerLiveResponse{Live: true}, nil
		})
	grpc.Handle(h.backend, mux, Service+"ServerReady", grpc.Open,
		func(context.Context, *pb.ServerReadyRequest) (*pb.ServerReadyResponse, error) {
			return &pb.ServerReadyResponse{Ready: h.backend.Ready() == nil}, nil
		})
	grpc.Handle(h.backend, mux, Service+"ServerMetadata", grpc.WithKey,
		func(context.Context, *pb.ServerMetadataRequest) (*pb.ServerMetadataResponse, error) {
			return &pb.ServerMetadataResponse{Name: "garb", Version: model.Version, Extensions: extensions}, nil
		})
	grpc.Handle(h.backend, mux, Service+"ModelReady", grpc.WithKey,
		func(ctx context.Context, q *pb.ModelReadyRequest) (*pb.ModelReadyResponse, error) {
			_, release, err := h.backend.Acquire(ctx, q.Name, q.Version)
			if err != nil { // clients poll for a model that does not exist yet
				return &pb.ModelReadyResponse{}, nil
			}
			release()
			return &pb.ModelReadyResponse{Ready: h.backend.Ready() == nil}, nil
		})
	grpc.Handle(h.backend, mux, Service+"ModelMetadata", grpc.WithKey, h.modelMetadataGRPC)
	grpc.Handle(h.backend, mux, Service+"ModelInfer", grpc.WithKey, h.inferGRPC)
	grpc.HandleStream(h.backend, mux, StreamInfer, grpc.WithKey, h.inferStream)
	h.registerRepositoryGRPC(mux)
}

func (h *Handler) modelMetadataGRPC(
	ctx context.Context, q *pb.ModelMetadataRequest,
) (*pb.ModelMetadataResponse, error) {
	v, release, err := h.backend.Acquire(ctx, q.Name, q.Version)
	if err != nil {
		return nil, err
	}
	defer release()
	message := func(all []tensors.Metadata) (out []*pb.ModelMetadataResponse_TensorMetadata) {
		for _, t := range all {
			out = append(out, &pb.ModelMetadataResponse_TensorMetadata{Name: t.Name, Datatype: t.Datatype,
				Shape: toInt64(t.Shape)})
		}
		return out
	}
	inputs, outputs := tensors.Describe(v)
	return &pb.ModelMetadataResponse{
		Name: v.Name, Versions: h.backend.VersionNumbers(v.Name), Platform: "garb", Inputs: message(inputs),
		Outputs: message(outputs),
	}, nil
}

func toInt64(shape []int) (out []int64) {
	for _, n := range shape {
		out = append(out, int64(n))
	}
	return out
}

// inferGRPC handles ModelInfer.
func (h *Handler) inferGRPC(ctx context.Context, q *pb.ModelInferRequest) (*pb.ModelInferResponse, error) {
	v, release, err := h.backend.Acquire(ctx, q.ModelName, q.ModelVersion)
	if err != nil {
		return nil, err
	}
	defer release()
	e := h.inputSpec(v)
	p, err := parseParametersGRPC(q.Parameters)
	if err != nil {
		return nil, err
	}
	if _, ok := p["binary_data_output"]; ok { // outputs are raw if inputs are
		return nil, fmt.Errorf("%w: the parameter binary_data_output is of the REST protocol", request.ErrInvalid)
	}
	parameters, err := p.request()
	if err != nil {
		return nil, err
	}
	ctx, cancel := parameters.withTimeout(ctx)
	defer cancel()
	outputs, err := e.parseOutputsGRPC(q)
	if err != nil {
		return nil, err
	}
	b, err := e.parseMessage(q)
	if err != nil {
		return nil, err
	}
	answers, err := tensors.Answer(ctx, h.backend, v, b, engine.Options{})
	if err != nil {
		return nil, err
	}
	out := &pb.ModelInferResponse{ModelName: v.Name, ModelVersion: strconv.Itoa(v.Number), Id: q.Id}
	if parameters.final {
		out.Parameters = map[string]*pb.InferParameter{"triton_final_response": {
			ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: true}}}
	}
	for _, o := range outputs {
		t := tensors.Collect(v, answers, o)
		message := &pb.ModelInferResponse_InferOutputTensor{Name: t.Name, Datatype: t.Datatype, Shape: toInt64(t.Shape)}
		if o.Binary {
			out.RawOutputContents = append(out.RawOutputContents, t.EncodeRaw())
		} else {
			message.Contents = &pb.InferTensorContents{Fp32Contents: t.Floats}
			for _, text := range t.Texts {
				message.Contents.BytesContents = append(message.Contents.BytesContents, []byte(text))
			}
		}
		out.Outputs = append(out.Outputs, message)
	}
	return out, nil
}

// inferStream handles ModelStreamInfer: ModelInfer for one request after the other. A request that fails
// has a response with the error, and the stream goes on.
func (h *Handler) inferStream(
	ctx context.Context, s *grpc.Stream[pb.ModelInferRequest, pb.ModelStreamInferResponse],
) error {
	for {
		q, err := s.Receive()
		if err != nil {
			return err
		}
		response := &pb.ModelStreamInferResponse{}
		if response.InferResponse, err = h.inferMessage(ctx, s, q); err != nil {
			request.From(ctx).Err = err
			response.ErrorMessage = request.PublicMessage(err)
			// By the identifier the client knows which of its requests failed.
			response.InferResponse = &pb.ModelInferResponse{
				ModelName: q.ModelName, ModelVersion: q.ModelVersion, Id: q.Id,
			}
		}
		if err = s.Send(response); err != nil {
			return err
		}
	}
}

// inferMessage answers one request of a stream, within the timeout of a message.
func (h *Handler) inferMessage(
	ctx context.Context, s *grpc.Stream[pb.ModelInferRequest, pb.ModelStreamInferResponse], q *pb.ModelInferRequest,
) (*pb.ModelInferResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, h.backend.Streams().MessageTimeout)
	defer cancel()
	if err := s.Admit(ctx); err != nil {
		return nil, err
	}
	response, err := h.inferGRPC(ctx, q)
	return response, request.Cause(ctx, err)
}

// parseMessage parses the tensor of a message.
func (e inputSpec) parseMessage(q *pb.ModelInferRequest) (in tensors.Inputs, err error) {
	if len(q.Inputs) != 1 {
		return in, errInputs
	}
	input := q.Inputs[0]
	p, err := parseParametersGRPC(input.Parameters)
	if err != nil {
		return in, err
	}
	if err = p.check("an input"); err != nil {
		return in, err
	}
	shape := make([]int, len(input.Shape))
	for i, n := range input.Shape {
		shape[i] = int(n)
	}
	contents := input.Contents
	if len(q.RawInputContents) > 0 {
		if len(q.RawInputContents) > 1 || contents != nil {
			return in, fmt.Errorf("%w: the data must be either in one element of raw_input_contents or in contents",
				request.ErrInvalid)
		}
		return e.DecodeRaw(input.Datatype, shape, q.RawInputContents[0])
	}
	n, err := e.CountPictures(input.Datatype, shape)
	if err != nil {
		return in, err
	}
	have, want := len(contents.GetBytesContents()), n
	if input.Datatype == tensors.FP32 {
		have, want = len(contents.GetFp32Contents()), n*e.Spec.ValueCount()
		in.Values = contents.GetFp32Contents()
	}
	if have != want {
		return tensors.Inputs{}, fmt.Errorf("%w: %d elements of %s are not of shape %v", request.ErrInvalid, have,
			input.Datatype, shape)
	}
	if input.Datatype == tensors.Bytes {
		in.Pictures = append(in.Pictures, contents.GetBytesContents()...)
	}
	return in, nil
}

// parseOutputsGRPC is parseOutputs for a message. Outputs are raw if inputs are.
func (e inputSpec) parseOutputsGRPC(q *pb.ModelInferRequest) (all []tensors.Output, err error) {
	raw := len(q.RawInputContents) > 0
	for _, o := range q.Outputs {
		p, err := parseParametersGRPC(o.Parameters)
		if err != nil {
			return nil, err
		}
		if err = p.check("an output", "classification"); err != nil {
			return nil, err
		}
		top, err := p.classification()
		if err != nil {
			return nil, err
		}
		all = append(all, tensors.Output{Name: o.Name, Binary: raw, Top: top})
	}
	if all == nil {
		all = e.AllOutputs(raw)
	}
	return all, e.CheckOutputs(all)
}
