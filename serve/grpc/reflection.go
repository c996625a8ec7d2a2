package grpc

import (
	"net/http"

	"connectrpc.com/grpcreflect"

	"garb/serve/request"
)

// ReflectionPaths are the paths of RegisterReflection. Clients use one of two versions of the protocol,
// which have the same messages.
var ReflectionPaths = []string{
	"/" + grpcreflect.ReflectV1ServiceName + "/ServerReflectionInfo",
	"/" + grpcreflect.ReflectV1AlphaServiceName + "/ServerReflectionInfo",
}

// RegisterReflection registers gRPC's server reflection, by which clients such as grpcurl find services and
// their messages. It needs an API key, if the service has any.
func RegisterReflection(b *request.Backend, mux *http.ServeMux, services ...string) {
	services = append(services, grpcreflect.ReflectV1ServiceName, grpcreflect.ReflectV1AlphaServiceName)
	reflector := grpcreflect.NewStaticReflector(services...)
	_, v1 := grpcreflect.NewHandlerV1(reflector, options(b.Bodies, false)...)
	_, v1Alpha := grpcreflect.NewHandlerV1Alpha(reflector, options(b.Bodies, false)...)
	HandleStreams(b, mux, ReflectionPaths[0], WithKey, v1)
	HandleStreams(b, mux, ReflectionPaths[1], WithKey, v1Alpha)
}
