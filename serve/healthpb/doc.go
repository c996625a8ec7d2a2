// Package healthpb holds the messages of gRPC's health protocol.
package healthpb

//go:generate sh -c "cd ../_generate && go run . -proto ../healthpb/health.proto -out ../healthpb/health.pb.go"
