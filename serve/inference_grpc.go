package serve

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
)

const inferenceService = "/inference.GRPCInferenceService/"

// inferenceGRPC registers the Open Inference Protocol over gRPC, which is HTTP/2.
func (s *Server) inferenceGRPC(mux *http.ServeMux) {
	remote(s, mux, "ServerLive", true, func(context.Context, *pb.ServerLiveRequest) (*pb.ServerLiveResponse, error) {
		return &pb.ServerLiveResponse{Live: true}, nil
	})
	remote(s, mux, "ServerReady", true,
		func(context.Context, *pb.ServerReadyRequest) (*pb.ServerReadyResponse, error) {
			return &pb.ServerReadyResponse{Ready: !s.stopping.Load()}, nil
		})
	remote(s, mux, "ServerMetadata", false,
		func(context.Context, *pb.ServerMetadataRequest) (*pb.ServerMetadataResponse, error) {
			return &pb.ServerMetadataResponse{Name: "garb", Version: model.Version, Extensions: extensions}, nil
		})
	remote(s, mux, "ModelReady", false,
		func(ctx context.Context, q *pb.ModelReadyRequest) (*pb.ModelReadyResponse, error) {
			_, release, err := s.acquire(ctx, q.Name, q.Version)
			if err != nil { // clients wait for a model that is still to come
				return &pb.ModelReadyResponse{}, nil
			}
			release()
			return &pb.ModelReadyResponse{Ready: !s.stopping.Load()}, nil
		})
	remote(s, mux, "ModelMetadata", false, s.modelMetadataGRPC)
	remote(s, mux, "ModelInfer", false, s.inferGRPC)
}

// remote registers a procedure; open ones need no key. Its body is read and unpacked as every
// other one is, within the bounds on bodies, before it is decoded.
func remote[Q, A any](s *Server, mux *http.ServeMux, name string, open bool,
	answer func(context.Context, *Q) (*A, error)) {
	procedure := connect.NewUnaryHandlerSimple(inferenceService+name, func(ctx context.Context, q *Q) (*A, error) {
		a, err := answer(ctx, q)
		if err != nil {
			return nil, s.status(ctx, err)
		}
		return a, nil
	}, connect.WithCodec(codec{s.config.MaxPictures}), connect.WithCompression("gzip", nil, nil))
	refusal := connect.NewErrorWriter()
	mux.HandleFunc("POST "+inferenceService+name, func(w http.ResponseWriter, r *http.Request) {
		// connect also speaks protocols of its own, which nobody needs here.
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil ||
			kind != "application/grpc" && kind != "application/grpc+proto" {
			writeError(w, r, fmt.Errorf("%w: this is gRPC: application/grpc", errMediaType))
			return
		}
		var err error
		if !open {
			err = s.permit(r.Header)
		}
		if err == nil {
			var body []byte
			var free func()
			if body, free, err = s.message(w, r); err == nil {
				defer free()
				r.Body = io.NopCloser(bytes.NewReader(body))
			}
		}
		if err != nil {
			_ = refusal.Write(w, r, s.status(r.Context(), err)) // a client that does not read is not our error
			return
		}
		procedure.ServeHTTP(w, r)
	})
}

// status is an error as gRPC has it.
func (s *Server) status(ctx context.Context, err error) error {
	err = cause(ctx, err)
	note(ctx, err)
	status, _ := statusOf(err)
	of(ctx).status = status
	return connect.NewError(codeOf(status), errors.New(messageOf(err)))
}

// codeOf is the code for a status.
func codeOf(status int) connect.Code {
	switch status {
	case http.StatusUnauthorized:
		return connect.CodeUnauthenticated
	case http.StatusForbidden:
		return connect.CodePermissionDenied
	case http.StatusNotFound:
		return connect.CodeNotFound
	case http.StatusTooManyRequests:
		return connect.CodeResourceExhausted
	case statusClientGone:
		return connect.CodeCanceled
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return connect.CodeUnavailable
	case http.StatusGatewayTimeout:
		return connect.CodeDeadlineExceeded
	case http.StatusInternalServerError:
		return connect.CodeInternal
	}
	return connect.CodeInvalidArgument // the others are the request's fault
}

// codec decodes messages that take no more memory than a few times their bytes.
type codec struct{ pictures int }

func (codec) Name() string { return "proto" }

func (codec) Marshal(m any) ([]byte, error) { return proto.Marshal(m.(proto.Message)) }

func (c codec) Unmarshal(data []byte, m any) error {
	message := m.(proto.Message)
	const others = 1000 // names, shapes, parameters: far more than any client sends
	left := c.pictures + others
	if err := countFields(data, message.ProtoReflect().Descriptor(), &left); err != nil {
		return err
	}
	return proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, message)
}

// countFields takes the fields of a message, and of those inside, from what is left: two
// bytes make a message in another, which takes a hundred when it is decoded.
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
			return errors.New("it has too many fields")
		}
		data = data[n:]
	}
	return nil
}

func (s *Server) modelMetadataGRPC(ctx context.Context, q *pb.ModelMetadataRequest) (*pb.ModelMetadataResponse,
	error) {
	v, release, err := s.acquire(ctx, q.Name, q.Version)
	if err != nil {
		return nil, err
	}
	defer release()
	message := func(all []tensorMetadata) (out []*pb.ModelMetadataResponse_TensorMetadata) {
		for _, t := range all {
			out = append(out, &pb.ModelMetadataResponse_TensorMetadata{Name: t.Name, Datatype: t.Datatype,
				Shape: wide(t.Shape)})
		}
		return out
	}
	inputs, outputs := tensorsOf(v)
	return &pb.ModelMetadataResponse{
		Name: v.name, Versions: []string{strconv.Itoa(v.number)}, Platform: "garb", Inputs: message(inputs),
		Outputs: message(outputs),
	}, nil
}

func wide(shape []int) (out []int64) {
	for _, n := range shape {
		out = append(out, int64(n))
	}
	return out
}

// inferGRPC is ModelInfer.
func (s *Server) inferGRPC(ctx context.Context, q *pb.ModelInferRequest) (*pb.ModelInferResponse, error) {
	v, release, err := s.acquire(ctx, q.ModelName, q.ModelVersion)
	if err != nil {
		return nil, err
	}
	defer release()
	e := s.expects(v)
	outputs, err := e.wantedOfGRPC(q)
	if err != nil {
		return nil, err
	}
	b, err := e.message(q)
	if err != nil {
		return nil, err
	}
	answers, err := s.answers(ctx, v, b)
	if err != nil {
		return nil, err
	}
	out := &pb.ModelInferResponse{ModelName: v.name, ModelVersion: strconv.Itoa(v.number), Id: q.Id}
	for _, o := range outputs {
		t := tensorOf(v, answers, o)
		message := &pb.ModelInferResponse_InferOutputTensor{Name: t.name, Datatype: t.datatype, Shape: wide(t.shape)}
		if o.binary {
			out.RawOutputContents = append(out.RawOutputContents, t.raw())
		} else {
			message.Contents = &pb.InferTensorContents{Fp32Contents: t.floats}
			for _, text := range t.texts {
				message.Contents.BytesContents = append(message.Contents.BytesContents, []byte(text))
			}
		}
		out.Outputs = append(out.Outputs, message)
	}
	return out, nil
}

// message reads the tensor of a message.
func (e expected) message(q *pb.ModelInferRequest) (b batch, err error) {
	if len(q.Inputs) != 1 {
		return b, errInputs
	}
	input := q.Inputs[0]
	shape := make([]int, len(input.Shape))
	for i, n := range input.Shape {
		shape[i] = int(n)
	}
	contents := input.Contents
	if len(q.RawInputContents) > 0 {
		if len(q.RawInputContents) > 1 || contents != nil {
			return b, fmt.Errorf("%w: its data are in raw_input_contents, one for its input, or in contents",
				errBadRequest)
		}
		return e.raw(input.Datatype, shape, q.RawInputContents[0])
	}
	n, err := e.count(input.Datatype, shape)
	if err != nil {
		return b, err
	}
	have, want := len(contents.GetBytesContents()), n
	if input.Datatype == typeFP32 {
		have, want = len(contents.GetFp32Contents()), n*e.spec.ValueCount()
		b.values = contents.GetFp32Contents()
	}
	if have != want {
		return batch{}, fmt.Errorf("%w: %d elements of %s for shape %v", errBadRequest, have, input.Datatype, shape)
	}
	if input.Datatype == typeBytes {
		for _, data := range contents.GetBytesContents() {
			b.pictures = append(b.pictures, sent{data: data})
		}
	}
	return b, nil
}

// wantedOfGRPC is wantedOf of a message. Data go as they came: raw for raw.
func (e expected) wantedOfGRPC(q *pb.ModelInferRequest) (all []wanted, err error) {
	raw := len(q.RawInputContents) > 0
	for _, o := range q.Outputs {
		top := o.Parameters["classification"].GetInt64Param()
		all = append(all, wanted{name: o.Name, binary: raw, top: int(min(top, 1<<20))})
	}
	if all == nil {
		all = e.everything(raw)
	}
	return all, e.checkWanted(all)
}
