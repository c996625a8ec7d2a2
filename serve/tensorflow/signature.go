package tensorflow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"garb/serve/engine"
	"garb/serve/registry"
	"garb/serve/request"
	pb "garb/serve/tensorflowpb"
	"garb/serve/tensors"
)

// The signatures of a model: that of Keras models, which takes values, one that takes pictures, and for
// a model with acceptance one with two outputs. Each accepts both values and pictures.
const (
	signatureValues     = "serving_default"
	signaturePictures   = "serving_pictures"
	signatureAcceptance = "serving_acceptance"
)

// signatures returns the names of a model's signatures.
func (e inputSpec) signatures() []string {
	names := []string{signatureValues, signaturePictures}
	if e.Judges {
		names = append(names, signatureAcceptance)
	}
	return names
}

// checkSignature checks the name of a signature.
func (e inputSpec) checkSignature(name string) error {
	if !slices.Contains(e.signatures(), name) {
		return fmt.Errorf("%w: there is no signature %.40q; the signatures are %s", request.ErrInvalid, name,
			strings.Join(e.signatures(), ", "))
	}
	return nil
}

// output is an output of a signature.
type output struct {
	name  string
	shape []int                      // of the output for one picture
	value func(a *engine.Answer) any // a float32, or several if the shape is not empty
}

// listOutputs returns the outputs of a signature: the one that the model has by its own signature, and for
// signatureAcceptance the acceptance.
func listOutputs(v *registry.Version, signature string) []output {
	s := v.Signature()
	own := output{s.Output, []int{s.OutputLength(len(v.Classes()))}, func(a *engine.Answer) any {
		return v.SignatureOutput(a.Outputs)
	}}
	if signature != signatureAcceptance {
		return []output{own}
	}
	if own.name == tensors.Acceptance { // names must differ
		own.name = string(s.Values)
	}
	return []output{own, {tensors.Acceptance, nil, func(a *engine.Answer) any { return float32(a.Acceptance) }}}
}

// collect returns an output for all pictures.
func (o output) collect(answers []*engine.Answer) *pb.TensorProto {
	var values []float32
	for _, a := range answers {
		switch value := o.value(a).(type) {
		case float32:
			values = append(values, value)
		case []float32:
			values = append(values, value...)
		}
	}
	return EncodeFloats(values, append([]int{len(answers)}, o.shape...)...)
}

// describeSignatures describes the signatures of a model by their names.
func describeSignatures(v *registry.Version) map[string]*pb.SignatureDef {
	info := func(name string, dtype pb.DataType, shape ...int) *pb.TensorInfo {
		return &pb.TensorInfo{Encoding: &pb.TensorInfo_Name{Name: name + ":0"}, Dtype: dtype,
			TensorShape: EncodeShape(append([]int{-1}, shape...)...)}
	}
	all := map[string]*pb.SignatureDef{}
	e := inputSpec{tensors.InputSpec{Spec: v.Spec(), Judges: v.Judges()}}
	for _, name := range e.signatures() {
		s := &pb.SignatureDef{MethodName: "tensorflow/serving/predict", Outputs: map[string]*pb.TensorInfo{},
			Inputs: map[string]*pb.TensorInfo{tensors.Picture: info(tensors.Picture, pb.DataType_DT_STRING)}}
		if input := v.Signature().Input; name == signatureValues {
			s.Inputs = map[string]*pb.TensorInfo{input: info(input, pb.DataType_DT_FLOAT, e.Shape()...)}
		}
		for _, o := range listOutputs(v, name) {
			s.Outputs[o.name] = info(o.name, pb.DataType_DT_FLOAT, o.shape...)
		}
		all[name] = s
	}
	return all
}

// encodeSignatureJSON encodes a signature in the form of the REST API.
func encodeSignatureJSON(s *pb.SignatureDef) map[string]any {
	infos := func(all map[string]*pb.TensorInfo) map[string]any {
		encoded := map[string]any{}
		for name, t := range all {
			dim := []any{}
			for _, d := range t.GetTensorShape().GetDim() {
				dim = append(dim, map[string]string{"size": strconv.FormatInt(d.GetSize(), 10), "name": ""})
			}
			encoded[name] = map[string]any{"dtype": t.GetDtype().String(), "name": t.GetName(),
				"tensor_shape": map[string]any{"dim": dim, "unknown_rank": false}}
		}
		return encoded
	}
	return map[string]any{"inputs": infos(s.GetInputs()), "outputs": infos(s.GetOutputs()),
		"method_name": s.GetMethodName(), "defaults": map[string]any{}}
}
