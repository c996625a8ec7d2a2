package tensorflow

import (
	"google.golang.org/protobuf/types/known/anypb"

	pb "garb/serve/tensorflowpb"
)

// SignaturesField is the only field of a model's metadata.
const SignaturesField = "signature_def"

// EncodeMetadata returns the metadata of a model: its signatures by name.
func EncodeMetadata(spec *pb.ModelSpec, signatures map[string]*pb.SignatureDef) (*pb.GetModelMetadataResponse, error) {
	packed, err := anypb.New(&pb.SignatureDefMap{SignatureDef: signatures})
	if err != nil {
		return nil, err
	}
	return &pb.GetModelMetadataResponse{ModelSpec: spec, Metadata: map[string]*anypb.Any{SignaturesField: packed}}, nil
}
