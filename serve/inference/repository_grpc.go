package inference

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"garb/serve/engine"
	"garb/serve/grpc"
	pb "garb/serve/inferencepb"
	"garb/serve/registry"
	"garb/serve/request"
	"garb/serve/tensors"
)

// registerRepositoryGRPC registers over gRPC what registerRepository does over REST. A rollback has no
// procedure, since Triton's service has none.
func (h *Handler) registerRepositoryGRPC(mux *http.ServeMux) {
	grpc.Handle(h.backend, mux, Service+"RepositoryIndex", grpc.WithKey, h.repositoryIndexGRPC)
	grpc.Handle(h.backend, mux, Service+"RepositoryModelLoad", grpc.WithKey, h.loadModelGRPC)
	grpc.Handle(h.backend, mux, Service+"RepositoryModelUnload", grpc.WithKey, h.unloadModelGRPC)
	grpc.Handle(h.backend, mux, Service+"ModelStatistics", grpc.WithKey, h.statisticsGRPC)
	grpc.Handle(h.backend, mux, Service+"ModelConfig", grpc.WithKey, h.modelConfigGRPC)
}

func (h *Handler) repositoryIndexGRPC(
	_ context.Context, q *pb.RepositoryIndexRequest,
) (*pb.RepositoryIndexResponse, error) {
	all, err := h.listIndex(q.Ready)
	if err != nil {
		return nil, err
	}
	answer := &pb.RepositoryIndexResponse{}
	for _, e := range all {
		answer.Models = append(answer.Models, &pb.RepositoryIndexResponse_ModelIndex{
			Name: e.Name, Version: e.Version, State: string(e.State), Reason: e.Reason,
		})
	}
	return answer, nil
}

func (h *Handler) loadModelGRPC(
	_ context.Context, q *pb.RepositoryModelLoadRequest,
) (*pb.RepositoryModelLoadResponse, error) {
	for name := range q.Parameters {
		return nil, fmt.Errorf("%w: the parameter %.40q is not supported", request.ErrInvalid, name)
	}
	return &pb.RepositoryModelLoadResponse{}, h.backend.Models.Load(q.ModelName)
}

func (h *Handler) unloadModelGRPC(
	_ context.Context, q *pb.RepositoryModelUnloadRequest,
) (*pb.RepositoryModelUnloadResponse, error) {
	for name := range q.Parameters {
		if name != unloadDependents {
			return nil, fmt.Errorf("%w: the parameter %.40q is not supported", request.ErrInvalid, name)
		}
	}
	return &pb.RepositoryModelUnloadResponse{}, h.backend.Models.Unload(q.ModelName)
}

func (h *Handler) statisticsGRPC(
	ctx context.Context, q *pb.ModelStatisticsRequest,
) (*pb.ModelStatisticsResponse, error) {
	versions, err := h.backend.FindVersions(ctx, q.Name, q.Version)
	if err != nil {
		return nil, err
	}
	answer := &pb.ModelStatisticsResponse{}
	for _, v := range versions {
		answer.ModelStats = append(answer.ModelStats, newStatisticsMessage(v))
	}
	return answer, nil
}

// newStatisticsMessage is newModelStatistics for a message.
func newStatisticsMessage(v *registry.Version) *pb.ModelStatistics {
	s := v.Statistics()
	duration := func(d engine.Duration) *pb.StatisticDuration {
		return &pb.StatisticDuration{Count: uint64(d.Count), Ns: uint64(d.Total.Nanoseconds())}
	}
	m := &pb.ModelStatistics{
		Name: v.Name, Version: strconv.Itoa(v.Number), InferenceCount: uint64(s.Infer.Count),
		ExecutionCount: uint64(s.Executions),
		InferenceStats: &pb.InferStatistics{
			Success: duration(s.Success), Fail: duration(s.Fail), Queue: duration(s.Queue),
			ComputeInput: duration(s.Decode), ComputeInfer: duration(s.Infer),
			ComputeOutput: &pb.StatisticDuration{}, CacheHit: duration(s.Cached), CacheMiss: &pb.StatisticDuration{},
		},
	}
	if !s.LastInference.IsZero() {
		m.LastInference = uint64(s.LastInference.UnixMilli())
	}
	for _, b := range s.Batches {
		m.BatchStats = append(m.BatchStats, &pb.InferBatchStatistics{
			BatchSize: uint64(b.Size), ComputeInput: &pb.StatisticDuration{}, ComputeInfer: duration(b.Infer),
			ComputeOutput: &pb.StatisticDuration{},
		})
	}
	return m
}

func (h *Handler) modelConfigGRPC(ctx context.Context, q *pb.ModelConfigRequest) (*pb.ModelConfigResponse, error) {
	v, release, err := h.backend.Acquire(ctx, q.Name, q.Version)
	if err != nil {
		return nil, err
	}
	defer release()
	inputs, outputs := tensors.Describe(v)
	config := &pb.ModelConfig{
		Name: v.Name, Platform: "garb", Backend: "garb", MaxBatchSize: int32(h.backend.Bodies.MaxPictures()),
		VersionPolicy: newPolicyMessage(h.backend.Models.Policy(v.Name)),
		SchedulingChoice: &pb.ModelConfig_DynamicBatching{DynamicBatching: &pb.ModelDynamicBatching{
			PreferredBatchSize: []int32{int32(v.MaxBatch())},
		}},
	}
	for _, c := range describeTensors(inputs, true) {
		config.Input = append(config.Input, &pb.ModelInput{
			Name: c.Name, DataType: pb.DataType(pb.DataType_value[c.DataType]), Dims: toInt64(c.Dims),
			Optional: c.Optional,
		})
	}
	for _, c := range describeTensors(outputs, false) {
		config.Output = append(config.Output, &pb.ModelOutput{
			Name: c.Name, DataType: pb.DataType(pb.DataType_value[c.DataType]), Dims: toInt64(c.Dims),
		})
	}
	return &pb.ModelConfigResponse{Config: config}, nil
}

// newPolicyMessage is describePolicy for a message.
func newPolicyMessage(p registry.Policy) *pb.ModelVersionPolicy {
	switch {
	case p.Latest > 0:
		latest := &pb.ModelVersionPolicy_Latest{NumVersions: uint32(p.Latest)}
		return &pb.ModelVersionPolicy{PolicyChoice: &pb.ModelVersionPolicy_Latest_{Latest: latest}}
	case p.Specific != nil:
		specific := &pb.ModelVersionPolicy_Specific{Versions: toInt64(p.Specific)}
		return &pb.ModelVersionPolicy{PolicyChoice: &pb.ModelVersionPolicy_Specific_{Specific: specific}}
	}
	return &pb.ModelVersionPolicy{PolicyChoice: &pb.ModelVersionPolicy_All_{All: &pb.ModelVersionPolicy_All{}}}
}
