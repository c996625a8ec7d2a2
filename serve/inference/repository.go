package inference

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"

	"garb/serve/engine"
	"garb/serve/registry"
	"garb/serve/request"
	"garb/serve/tensors"
)

// registerRepository registers Triton's extensions of the protocol: the model repository, with one path
// more to roll back, statistics, and the configuration of models.
func (h *Handler) registerRepository(mux *http.ServeMux) {
	mux.HandleFunc("POST /v2/repository/index", h.backend.ProtocolHandler(h.repositoryIndex))
	mux.HandleFunc("POST /v2/repository/models/{model}/load", h.backend.ProtocolHandler(h.loadModel))
	mux.HandleFunc("POST /v2/repository/models/{model}/unload", h.backend.ProtocolHandler(h.unloadModel))
	mux.HandleFunc("POST /v2/repository/models/{model}/rollback", h.backend.ProtocolHandler(h.rollBackModel))
	mux.HandleFunc("GET /v2/models/stats", h.backend.ProtocolHandler(h.statistics))
	mux.HandleFunc("GET /v2/models/{model}/stats", h.backend.ProtocolHandler(h.statistics))
	mux.HandleFunc("GET /v2/models/{model}/versions/{version}/stats", h.backend.ProtocolHandler(h.statistics))
	mux.HandleFunc("GET /v2/models/{model}/config", h.backend.ProtocolHandler(h.modelConfig))
	mux.HandleFunc("GET /v2/models/{model}/versions/{version}/config", h.backend.ProtocolHandler(h.modelConfig))
}

// readOptions reads the JSON of a request, whose body may be empty. It refuses members that to does not
// have, since they would be ignored.
func (h *Handler) readOptions(w http.ResponseWriter, r *http.Request, to any) error {
	body, free, err := h.backend.ReadBody(w, r)
	if err != nil {
		return err
	}
	defer free()
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	return request.DecodeJSON(body, to)
}

// indexEntry is a version in the index of the model repository.
type indexEntry struct {
	Name    string         `json:"name"`
	Version string         `json:"version,omitempty"`
	State   registry.State `json:"state"`
	Reason  string         `json:"reason"`
}

func (h *Handler) repositoryIndex(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Ready bool `json:"ready"`
	}
	if err := h.readOptions(w, r, &q); err != nil {
		return err
	}
	entries, err := h.listIndex(q.Ready)
	if err != nil {
		return err
	}
	request.WriteJSON(w, "application/json", http.StatusOK, entries)
	return nil
}

// listIndex lists all versions, or only those that are ready.
func (h *Handler) listIndex(ready bool) ([]indexEntry, error) {
	all, err := h.backend.Models.Index()
	if err != nil {
		return nil, err
	}
	entries := []indexEntry{}
	for _, e := range all {
		if ready && e.State != registry.Ready {
			continue
		}
		entry := indexEntry{Name: e.Name, State: e.State, Reason: e.Reason}
		if e.Number > 0 {
			entry.Version = strconv.Itoa(e.Number)
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// loadModel handles POST …/load. A configuration or files of the client's are not supported.
func (h *Handler) loadModel(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Parameters struct{} `json:"parameters"`
	}
	if err := h.readOptions(w, r, &q); err != nil {
		return err
	}
	return h.backend.Models.Load(r.PathValue("model"))
}

// unloadDependents is the parameter of unloading that Triton's clients send.
const unloadDependents = "unload_dependents"

// unloadModel handles POST …/unload. No model depends on another one.
func (h *Handler) unloadModel(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Parameters struct {
			Dependents bool `json:"unload_dependents"`
		} `json:"parameters"`
	}
	if err := h.readOptions(w, r, &q); err != nil {
		return err
	}
	return h.backend.Models.Unload(r.PathValue("model"))
}

// rollBackModel handles POST …/rollback, which Triton does not have.
func (h *Handler) rollBackModel(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Parameters struct {
			Version string `json:"version"`
		} `json:"parameters"`
	}
	if err := h.readOptions(w, r, &q); err != nil {
		return err
	}
	number := 0
	if text := q.Parameters.Version; text != "" {
		var err error
		if number, err = strconv.Atoi(text); err != nil || number < 1 {
			return fmt.Errorf("%w: the version %.20q: versions are numbers from 1", request.ErrInvalid, text)
		}
	}
	name := r.PathValue("model")
	if err := h.backend.Models.RollBack(name, number); err != nil {
		return err
	}
	v, release, err := h.backend.Acquire(r.Context(), name, "")
	if err != nil {
		return err
	}
	defer release()
	request.WriteJSON(w, "application/json", http.StatusOK,
		map[string]string{"name": v.Name, "version": strconv.Itoa(v.Number)})
	return nil
}

// durationStatistic is how often something happened, and how long it took in all.
type durationStatistic struct {
	Count       int64 `json:"count"`
	Nanoseconds int64 `json:"ns"`
}

func newDurationStatistic(d engine.Duration) durationStatistic {
	return durationStatistic{d.Count, d.Total.Nanoseconds()}
}

// batchStatistic is the statistic of the batches of one size.
type batchStatistic struct {
	BatchSize     int               `json:"batch_size"`
	ComputeInput  durationStatistic `json:"compute_input"`
	ComputeInfer  durationStatistic `json:"compute_infer"`
	ComputeOutput durationStatistic `json:"compute_output"`
}

// modelStatistics are the statistics of a version.
type modelStatistics struct {
	Name           string                       `json:"name"`
	Version        string                       `json:"version"`
	LastInference  int64                        `json:"last_inference"`
	InferenceCount int64                        `json:"inference_count"`
	ExecutionCount int64                        `json:"execution_count"`
	InferenceStats map[string]durationStatistic `json:"inference_stats"`
	BatchStats     []batchStatistic             `json:"batch_stats"`
}

func newModelStatistics(v *registry.Version) modelStatistics {
	s := v.Statistics()
	all := modelStatistics{
		Name: v.Name, Version: strconv.Itoa(v.Number), InferenceCount: s.Infer.Count, ExecutionCount: s.Executions,
		InferenceStats: map[string]durationStatistic{
			"success": newDurationStatistic(s.Success), "fail": newDurationStatistic(s.Fail),
			"queue": newDurationStatistic(s.Queue), "compute_input": newDurationStatistic(s.Decode),
			"compute_infer": newDurationStatistic(s.Infer), "compute_output": {},
			"cache_hit": newDurationStatistic(s.Cached),
		},
		BatchStats: []batchStatistic{},
	}
	if !s.LastInference.IsZero() {
		all.LastInference = s.LastInference.UnixMilli()
	}
	for _, b := range s.Batches {
		all.BatchStats = append(all.BatchStats, batchStatistic{
			BatchSize: b.Size, ComputeInfer: newDurationStatistic(b.Infer),
		})
	}
	return all
}

// statistics handles GET …/stats, of all models, a model or a version.
func (h *Handler) statistics(w http.ResponseWriter, r *http.Request) error {
	versions, err := h.backend.FindVersions(r.Context(), r.PathValue("model"), r.PathValue("version"))
	if err != nil {
		return err
	}
	all := []modelStatistics{}
	for _, v := range versions {
		all = append(all, newModelStatistics(v))
	}
	request.WriteJSON(w, "application/json", http.StatusOK, map[string]any{"model_stats": all})
	return nil
}

// modelConfig handles GET …/config: what Triton's ModelConfig has of a model of ours.
func (h *Handler) modelConfig(w http.ResponseWriter, r *http.Request) error {
	v, release, err := h.backend.AcquireRequested(r)
	if err != nil {
		return err
	}
	defer release()
	inputs, outputs := tensors.Describe(v)
	request.WriteJSON(w, "application/json", http.StatusOK, map[string]any{
		"name": v.Name, "platform": "garb", "backend": "garb",
		"version_policy": describePolicy(h.backend.Models.Policy(v.Name)),
		"max_batch_size": h.backend.Bodies.MaxPictures(),
		"input":          describeTensors(inputs, true),
		"output":         describeTensors(outputs, false),
		"instance_group": []any{map[string]any{"name": v.Name, "kind": "KIND_CPU", "count": v.Workers()}},
		"dynamic_batching": map[string]any{
			"preferred_batch_size": []int{v.MaxBatch()}, "max_queue_delay_microseconds": 0,
		},
	})
	return nil
}

// describePolicy returns a version policy in the form of ModelConfig.
func describePolicy(p registry.Policy) map[string]any {
	switch {
	case p.Latest > 0:
		return map[string]any{"latest": map[string]int{"num_versions": p.Latest}}
	case p.Specific != nil:
		return map[string]any{"specific": map[string][]int{"versions": p.Specific}}
	}
	return map[string]any{"all": struct{}{}}
}

// tensorConfig describes a tensor in ModelConfig. Dims leaves out the batch, and Reshape stands for no
// further dimensions: Dims may not be empty.
type tensorConfig struct {
	Name     string           `json:"name"`
	DataType string           `json:"data_type"`
	Dims     []int            `json:"dims"`
	Reshape  map[string][]int `json:"reshape,omitempty"`
	Optional bool             `json:"optional,omitempty"`
}

// describeTensors describes tensors in the form of ModelConfig. Inputs are optional if a request has
// one of several.
func describeTensors(all []tensors.Metadata, optional bool) (configs []tensorConfig) {
	for _, t := range all {
		c := tensorConfig{Name: t.Name, DataType: "TYPE_" + t.Datatype, Dims: t.Shape[1:], Optional: optional}
		if t.Datatype == tensors.Bytes {
			c.DataType = "TYPE_STRING"
		}
		if len(c.Dims) == 0 {
			c.Dims, c.Reshape = []int{1}, map[string][]int{"shape": {}}
		}
		configs = append(configs, c)
	}
	return configs
}
