// Package inferencepb holds the messages of the Open Inference Protocol over gRPC.
//
// Of tensors it has the two data types that garb knows; the others are left out, so that
// nobody can make them take memory.
package inferencepb

//go:generate sh -c "cd ../_generate && go run . -proto ../inferencepb/inference.proto -out ../inferencepb/inference.pb.go"
