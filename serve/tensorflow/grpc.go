package tensorflow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"garb/serve/engine"
	"garb/serve/grpc"
	"garb/serve/registry"
	"garb/serve/request"
	pb "garb/serve/tensorflowpb"
	"garb/serve/tensors"
)

// The names of the gRPC services.
const (
	PredictionService = "tensorflow.serving.PredictionService"
	ModelService      = "tensorflow.serving.ModelService"
)

// registerGRPC registers the procedures of both services.
func (h *Handler) registerGRPC(mux *http.ServeMux) {
	const prediction, models = "/" + PredictionService + "/", "/" + ModelService + "/"
	grpc.Handle(h.backend, mux, prediction+"Predict", grpc.WithKey, h.predictGRPC)
	grpc.Handle(h.backend, mux, prediction+"Classify", grpc.WithKey, h.classifyGRPC)
	grpc.Handle(h.backend, mux, prediction+"GetModelMetadata", grpc.WithKey, h.modelMetadataGRPC)
	grpc.Handle(h.backend, mux, models+"GetModelStatus", grpc.WithKey, h.modelStatusGRPC)
	grpc.HandleUnimplemented(h.backend, mux, prediction+"Regress", "the models classify; use Predict or Classify")
	grpc.HandleUnimplemented(h.backend, mux, prediction+"MultiInference", "use Predict or Classify")
	grpc.HandleUnimplemented(h.backend, mux, models+"HandleReloadConfigRequest", "clients cannot configure the service")
}

// parseModel returns the name of the model that a request names, and the number or label of a version, "" if
// it names none.
func parseModel(spec *pb.ModelSpec) (name, version string, err error) {
	if spec.GetName() == "" {
		return "", "", fmt.Errorf("%w: model_spec has no name", request.ErrInvalid)
	}
	switch choice := spec.GetVersionChoice().(type) {
	case *pb.ModelSpec_Version:
		version = strconv.FormatInt(choice.Version.GetValue(), 10)
	case *pb.ModelSpec_VersionLabel:
		version, err = choice.VersionLabel, missing(checkLabel(choice.VersionLabel))
	}
	return spec.GetName(), version, err
}

// missing adds to the error of a model or version that is not served the words that clients look for.
func missing(err error) error {
	if !errors.Is(err, registry.ErrNoModel) {
		return err
	}
	return fmt.Errorf("Servable not found for request: %w", err) //nolint:staticcheck // a capital, as there
}

// acquire returns the version of a model that a request names, and a function to call after its use.
func (h *Handler) acquire(ctx context.Context, spec *pb.ModelSpec) (*registry.Version, func(), error) {
	name, version, err := parseModel(spec)
	if err != nil {
		return nil, nil, err
	}
	v, release, err := h.backend.Acquire(ctx, name, version)
	if err != nil {
		return nil, nil, missing(err)
	}
	return v, release, nil
}

// encodeModelSpec returns the model, the version and the signature that answered.
func encodeModelSpec(v *registry.Version, signature string) *pb.ModelSpec {
	return &pb.ModelSpec{Name: v.Name, SignatureName: signature,
		VersionChoice: &pb.ModelSpec_Version{Version: wrapperspb.Int64(int64(v.Number))}}
}

// findSignature returns the name of the signature that a request names: by default signatureValues.
func (e inputSpec) findSignature(spec *pb.ModelSpec) (string, error) {
	name := spec.GetSignatureName()
	if name == "" {
		return signatureValues, nil
	}
	return name, e.checkSignature(name)
}

// predictGRPC handles Predict.
func (h *Handler) predictGRPC(ctx context.Context, q *pb.PredictRequest) (*pb.PredictResponse, error) {
	v, release, err := h.acquire(ctx, q.GetModelSpec())
	if err != nil {
		return nil, err
	}
	defer release()
	e := h.inputSpec(v)
	signature, err := e.findSignature(q.GetModelSpec())
	if err != nil {
		return nil, err
	}
	outputs, err := filterOutputs(listOutputs(v, signature), q.GetOutputFilter())
	if err != nil {
		return nil, err
	}
	in, err := e.decodeInputs(q.GetInputs())
	if err != nil {
		return nil, err
	}
	answers, err := tensors.Answer(ctx, h.backend, v, in, engine.Options{})
	if err != nil {
		return nil, err
	}
	response := &pb.PredictResponse{ModelSpec: encodeModelSpec(v, signature), Outputs: map[string]*pb.TensorProto{}}
	for _, o := range outputs {
		response.Outputs[o.name] = o.collect(answers)
	}
	return response, nil
}

// filterOutputs returns the outputs with the given names; all if there are no names.
func filterOutputs(all []output, names []string) ([]output, error) {
	if len(names) == 0 {
		return all, nil
	}
	var chosen []output
	for _, name := range names {
		isNamed := func(o output) bool { return o.name == name }
		i := slices.IndexFunc(all, isNamed)
		switch {
		case i < 0:
			return nil, fmt.Errorf("%w: output_filter: the signature has no output %.40q; its first output is %q",
				request.ErrInvalid, name, all[0].name)
		case slices.ContainsFunc(chosen, isNamed):
			return nil, fmt.Errorf("%w: output_filter has the output %q twice", request.ErrInvalid, name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// decodeInputs decodes the only input of a request, which may have any name.
func (e inputSpec) decodeInputs(inputs map[string]*pb.TensorProto) (in tensors.Inputs, err error) {
	if len(inputs) != 1 {
		return in, fmt.Errorf("%w: it has %d inputs, but the signature has 1", request.ErrInvalid, len(inputs))
	}
	for name, t := range inputs {
		if in, err = e.decodeTensor(t); err != nil {
			err = fmt.Errorf("the input %.40q: %w", name, err)
		}
	}
	return in, err
}

// decodeTensor decodes a tensor of pictures or of values.
func (e inputSpec) decodeTensor(t *pb.TensorProto) (in tensors.Inputs, err error) {
	isText := t.GetDtype() == pb.DataType_DT_STRING
	// CheckCount and not DecodeShape limits the number of pictures.
	most := e.MaxPictures + 1
	if !isText {
		most *= e.Spec.ValueCount()
	}
	shape, err := DecodeShape(t, most)
	if err != nil {
		return in, fmt.Errorf("%w: %w", request.ErrInvalid, err)
	}
	fits := len(shape) == 1 || len(shape) == 2 && shape[1] == 1
	if !isText {
		fits = len(shape) == 4 && slices.Equal(shape[1:], e.Shape())
	}
	if !fits || shape[0] < 1 {
		return in, fmt.Errorf("%w: %v of shape %v: the model takes DT_STRING of shape [n], for pictures, and "+
			"DT_FLOAT of shape [n %d %d %d], for values, with n from 1", request.ErrInvalid, t.GetDtype(), shape,
			e.Spec.Height, e.Spec.Width, e.Spec.Channels())
	}
	if err = e.CheckCount(shape[0]); err != nil {
		return in, err
	}
	if isText {
		_, in.Pictures, err = DecodeStrings(t, most)
	} else {
		_, in.Values, err = DecodeFloats(t, most)
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", request.ErrInvalid, err)
	}
	return in, err
}

// classifyGRPC handles Classify. It answers with the label and the score of each class, in the order of the
// classes.
func (h *Handler) classifyGRPC(
	ctx context.Context, q *pb.ClassificationRequest,
) (*pb.ClassificationResponse, error) {
	v, release, err := h.acquire(ctx, q.GetModelSpec())
	if err != nil {
		return nil, err
	}
	defer release()
	e := h.inputSpec(v)
	signature, err := e.findSignature(q.GetModelSpec())
	if err != nil {
		return nil, err
	}
	if signature == signatureAcceptance {
		return nil, errNotClassifying
	}
	in, err := e.decodeExamples(q.GetInput())
	if err != nil {
		return nil, err
	}
	answers, err := tensors.Answer(ctx, h.backend, v, in, engine.Options{})
	if err != nil {
		return nil, err
	}
	result := &pb.ClassificationResult{}
	for _, a := range answers {
		classes := &pb.Classifications{}
		for class, p := range a.Probabilities() {
			classes.Classes = append(classes.Classes, &pb.Class{Label: v.Classes()[class], Score: p})
		}
		result.Classifications = append(result.Classifications, classes)
	}
	return &pb.ClassificationResponse{ModelSpec: encodeModelSpec(v, signature), Result: result}, nil
}

// decodeExamples decodes examples, each with one feature of any name: a picture, or values.
func (e inputSpec) decodeExamples(input *pb.Input) (in tensors.Inputs, err error) {
	list := input.GetExampleList().GetExamples()
	if c := input.GetExampleListWithContext(); c != nil {
		if list = c.GetExamples(); len(c.GetContext().GetFeatures().GetFeature()) > 0 {
			return in, errContext
		}
	}
	if len(list) == 0 {
		return in, fmt.Errorf("%w: the input has no examples", request.ErrInvalid)
	}
	if err = e.CheckCount(len(list)); err != nil {
		return in, err
	}
	for i, example := range list {
		features := example.GetFeatures().GetFeature()
		if len(features) != 1 {
			return in, fmt.Errorf("%w: example %d has %d features; it must have one", request.ErrInvalid, i,
				len(features))
		}
		for _, f := range features {
			pictures, values := f.GetBytesList().GetValue(), f.GetFloatList().GetValue()
			switch {
			case len(pictures) == 1 && in.Values == nil:
				in.Pictures = append(in.Pictures, pictures[0])
			case len(values) == e.Spec.ValueCount() && in.Pictures == nil:
				in.Values = append(in.Values, values...)
			default:
				return in, fmt.Errorf("%w: example %d: the features must all be pictures, one in each bytes_list, "+
					"or all values, %d in each float_list", request.ErrInvalid, i, e.Spec.ValueCount())
			}
		}
	}
	return in, nil
}

// modelMetadataGRPC handles GetModelMetadata.
func (h *Handler) modelMetadataGRPC(
	ctx context.Context, q *pb.GetModelMetadataRequest,
) (*pb.GetModelMetadataResponse, error) {
	v, release, err := h.acquire(ctx, q.GetModelSpec())
	if err != nil {
		return nil, err
	}
	defer release()
	if len(q.GetMetadataField()) == 0 {
		return nil, fmt.Errorf("%w: metadata_field is empty; it must be %s", request.ErrInvalid, SignaturesField)
	}
	for _, field := range q.GetMetadataField() {
		if field != SignaturesField {
			return nil, fmt.Errorf("%w: metadata_field %.40q is not supported; it must be %s", request.ErrInvalid,
				field, SignaturesField)
		}
	}
	return EncodeMetadata(encodeModelSpec(v, ""), describeSignatures(v))
}

// modelStatusGRPC handles GetModelStatus: all versions that are loaded are available, the highest is the first.
func (h *Handler) modelStatusGRPC(
	ctx context.Context, q *pb.GetModelStatusRequest,
) (*pb.GetModelStatusResponse, error) {
	name, version, err := parseModel(q.GetModelSpec())
	if err != nil {
		return nil, err
	}
	versions, err := h.backend.FindVersions(ctx, name, version)
	if err != nil {
		return nil, missing(err)
	}
	response := &pb.GetModelStatusResponse{}
	for _, v := range slices.Backward(versions) {
		response.ModelVersionStatus = append(response.ModelVersionStatus, &pb.ModelVersionStatus{
			Version: int64(v.Number), State: pb.ModelVersionStatus_AVAILABLE, Status: &pb.StatusProto{},
		})
	}
	return response, nil
}
