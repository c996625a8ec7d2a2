// Package tensorflowpb holds the messages of TensorFlow Serving's API over gRPC, and the tensors and
// signatures of TensorFlow in them.
//
// Of a tensor's types it has the fields that garb reads; the others are left out.
package tensorflowpb

//go:generate sh -c "cd ../_generate && go run . -proto ../tensorflowpb/tensorflow.proto -out ../tensorflowpb/tensorflow.pb.go"
//go:generate sh -c "cd ../_generate && go run . -proto ../tensorflowpb/tensorflow_serving.proto -out ../tensorflowpb/tensorflow_serving.pb.go"
