package inference

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"garb/model"
	pb "garb/serve/inferencepb"
	"garb/serve/request"
	"garb/serve/tensors"
)

// Service is the prefix of the paths of the protocol over gRPC.
const Service = "/inference.GRPCInferenceService/"

// registerGRPC registers the Open Inference Protocol over gRPC, which uses HTTP/2.
func (h *Handler) registerGRPC(mux *http.ServeMux) {
	handleRPC(h.backend, mux, "ServerLive", true, func(context.Context, *pb.ServerLiveRequest) (*pb.ServerLiveResponse, error) {
		return &pb.ServerLiveResponse{Live: true}, nil
	})
	handleRPC(h.backend, mux, "ServerReady", true,
		func(context.Context, *pb.ServerReadyRequest) (*pb.ServerReadyResponse, error) {
			return &pb.ServerReadyResponse{Ready: h.backend.Ready() == nil}, nil
		})
	handleRPC(h.backend, mux, "ServerMetadata", false,
		func(context.Context, *pb.ServerMetadataRequest) (*pb.ServerMetadataResponse, error) {
			return &pb.ServerMetadataResponse{Name: "garb", Version: model.Version, Extensions: extensions}, nil
		})
	handleRPC(h.backend, mux, "ModelReady", false,
		func(ctx context.Context, q *pb.ModelReadyRequest) (*pb.ModelReadyResponse, error) {
			_, release, err := h.backend.Acquire(ctx, q.Name, q.Version)
			if err != nil { // clients poll for a model that does not exist yet
				return &pb.ModelReadyResponse{}, nil
			}
			release()
			return &pb.ModelReadyResponse{Ready: h.backend.Ready() == nil}, nil
		})
	handleRPC(h.backend, mux, "ModelMetadata", false, h.modelMetadataGRPC)
	handleRPC(h.backend, mux, "ModelInfer", false, h.inferGRPC)
	h.registerRepositoryGRPC(mux)
}

// handleRPC registers a procedure; open ones need no API key. The body is read and decompressed like
// every other one, within the limits, before it is decoded.
func handleRPC[Q, A any](b *request.Backend, mux *http.ServeMux, name string, open bool,
	answer func(context.Context, *Q) (*A, error)) {
	procedure := connect.NewUnaryHandlerSimple(Service+name, func(ctx context.Context, q *Q) (*A, error) {
		a, err := answer(ctx, q)
		if err != nil {
			return nil, grpcError(ctx, err)
		}
		return a, nil
	}, connect.WithCodec(codec{b.Bodies}), connect.WithCompression("gzip", nil, nil))
	refusal := connect.NewErrorWriter()
	mux.HandleFunc("POST "+Service+name, func(w http.ResponseWriter, r *http.Request) {
		// connect also supports protocols of its own, which are not offered here.
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil ||
			kind != "application/grpc" && kind != "application/grpc+proto" {
			request.WriteError(w, r, fmt.Errorf("%w: gRPC needs application/grpc", request.ErrMediaType))
			return
		}
		var err error
		if !open {
			err = b.Authorize(r)
		}
		if err == nil {
			var body []byte
			var free func()
			if body, free, err = b.ReadMessage(w, r); err == nil {
				defer free()
				r.Body = io.NopCloser(bytes.NewReader(body))
			}
		}
		if err != nil {
			_ = refusal.Write(w, r, grpcError(r.Context(), err)) // a client that does not read is not our error
			return
		}
		procedure.ServeHTTP(w, r)
	})
}

// grpcError returns an error as an error of gRPC, and records it.
func grpcError(ctx context.Context, err error) error {
	err = request.Cause(ctx, err)
	request.From(ctx).Err = err
	status, _ := request.Status(err)
	request.From(ctx).Status = status
	return connect.NewError(Code(status), errors.New(request.PublicMessage(err)))
}

// Code returns the gRPC code for an HTTP status.
func Code(status int) connect.Code {
	switch status {
	case http.StatusUnauthorized:
		return connect.CodeUnauthenticated
	case http.StatusForbidden:
		return connect.CodePermissionDenied
	case http.StatusNotFound:
		return connect.CodeNotFound
	case http.StatusTooManyRequests:
		return connect.CodeResourceExhausted
	case request.StatusClientGone:
		return connect.CodeCanceled
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return connect.CodeUnavailable
	case http.StatusGatewayTimeout:
		return connect.CodeDeadlineExceeded
	case http.StatusInternalServerError:
		return connect.CodeInternal
	}
	return connect.CodeInvalidArgument // the other statuses are errors of the request
}

// codec decodes messages if they take not much more memory decoded than encoded.
type codec struct{ bodies *request.Bodies }

func (codec) Name() string { return "proto" }

func (codec) Marshal(m any) ([]byte, error) { return proto.Marshal(m.(proto.Message)) }

func (c codec) Unmarshal(data []byte, m any) error {
	message := m.(proto.Message)
	const others = 1000 // names, shapes, parameters: far more than any client sends
	left := c.bodies.MaxPictures() + others
	if err := countFields(data, message.ProtoReflect().Descriptor(), &left); err != nil {
		return err
	}
	return proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, message)
}

// countFields subtracts the number of fields of a message, and of the messages in it, from left, since
// a message of two bytes in another takes a hundred bytes when it is decoded.
func countFields(data []byte, d protoreflect.MessageDescriptor, left *int) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		n = protowire.ConsumeFieldValue(number, kind, data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		field := d.Fields().ByNumber(number)
		if *left--; field != nil && kind == protowire.BytesType {
			inside, _ := protowire.ConsumeBytes(data)
			switch {
			case field.Message() != nil:
				if err := countFields(inside, field.Message(), left); err != nil {
					return err
				}
			case field.Kind() == protoreflect.Int64Kind: // a shape: up to one number a byte
				*left -= len(inside)
			}
		}
		if *left < 0 {
			return errors.New("the message has too many fields")
		}
		data = data[n:]
	}
	return nil
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
	outputs, err := e.parseOutputsGRPC(q)
	if err != nil {
		return nil, err
	}
	b, err := e.parseMessage(q)
	if err != nil {
		return nil, err
	}
	answers, err := tensors.Answer(ctx, h.backend.Scheduler, v, b)
	if err != nil {
		return nil, err
	}
	out := &pb.ModelInferResponse{ModelName: v.Name, ModelVersion: strconv.Itoa(v.Number), Id: q.Id}
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

// parseMessage parses the tensor of a message.
func (e inputSpec) parseMessage(q *pb.ModelInferRequest) (in tensors.Inputs, err error) {
	if len(q.Inputs) != 1 {
		return in, errInputs
	}
	input := q.Inputs[0]
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
		for _, data := range contents.GetBytesContents() {
			in.Pictures = append(in.Pictures, data)
		}
	}
	return in, nil
}

// parseOutputsGRPC is parseOutputs for a message. Outputs are raw if inputs are.
func (e inputSpec) parseOutputsGRPC(q *pb.ModelInferRequest) (all []tensors.Output, err error) {
	raw := len(q.RawInputContents) > 0
	for _, o := range q.Outputs {
		top := o.Parameters["classification"].GetInt64Param()
		all = append(all, tensors.Output{Name: o.Name, Binary: raw, Top: int(min(top, 1<<20))})
	}
	if all == nil {
		all = e.AllOutputs(raw)
	}
	return all, e.CheckOutputs(all)
}
