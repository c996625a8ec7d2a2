package serve

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"garb/serve/classify"
	pb "garb/serve/inferencepb"
	"garb/serve/registry"
	"garb/serve/request"
)

// startVersions serves versions 1 to n of the model m, whose digests are their numbers.
func startVersions(t *testing.T, n int, change func(*Config)) (r *running, folder string) {
	t.Helper()
	folder = t.TempDir()
	for i := 1; i <= n; i++ {
		writeFile(t, filepath.Join(folder, "m", fmt.Sprint(i), "m.safetensors"), []byte(fmt.Sprint(i)))
	}
	r = startWith(t, openDigest, func(c *Config) {
		c.Models.Models, c.Models.Folder, c.Models.Interval = nil, folder, 20*time.Millisecond
		if change != nil {
			change(c)
		}
	})
	return r, folder
}

// startLabelled serves three versions, of which 2 is stable and 3 the canary.
func startLabelled(t *testing.T) *running {
	t.Helper()
	r, _ := startVersions(t, 3, func(c *Config) {
		c.Models.Policies = map[string]registry.Policy{"": {}}
		c.Models.Labels = map[string]map[string]int{"m": {"stable": 2, "canary": 3}}
	})
	return r
}

// TestVersionsInProtocols: every protocol names versions by numbers and labels, and answers say which
// version it was.
func TestVersionsInProtocols(t *testing.T) {
	r := startLabelled(t)
	picture := base64.StdEncoding.EncodeToString(white())
	infer := `{"inputs": [{"name": "picture", "datatype": "BYTES", "shape": [1], "data": ["` + picture + `"]}]}`
	predict := `{"instances": [{"b64": "` + picture + `"}]}`
	for _, test := range []struct{ path, body, version string }{
		{"/v1/classify?model=m", string(white()), "2"},
		{"/v1/classify?model=m&version=1", string(white()), "1"},
		{"/v1/classify?version=canary", string(white()), "3"},
		{"/v2/models/m/infer", infer, "2"},
		{"/v2/models/m/versions/1/infer", infer, "1"},
		{"/v2/models/m/versions/canary/infer", infer, "3"},
		{"/v1/models/m:predict", predict, "2"},
		{"/v1/models/m/versions/3:predict", predict, "3"},
		{"/v1/models/m/labels/stable:predict", predict, "2"},
		{"/v1/models/m/labels/canary:predict", predict, "3"},
		{"/v1/classify?version=4", string(white()), ""},
		{"/v1/classify?version=beta", string(white()), ""},
		{"/v2/models/m/versions/4/infer", infer, ""},
		{"/v1/models/m/labels/beta:predict", predict, ""},
		{"/v1/models/m/labels/3:predict", predict, ""},
	} {
		answer, text := post(t, r.url+test.path, "", []byte(test.body))
		status := http.StatusOK
		if test.version == "" {
			status = http.StatusNotFound
		}
		if got := answer.Header.Get(request.HeaderVersion); got != test.version || answer.StatusCode != status {
			t.Errorf("%s: version %q answers, %s, not %q: %s", test.path, got, answer.Status, test.version, text)
		}
		var c classify.Classification
		if strings.HasPrefix(test.path, "/v1/classify") && status == http.StatusOK {
			if err := json.Unmarshal(text, &c); err != nil || fmt.Sprint(c.Model.Version) != test.version ||
				c.Model.Digest != "sha256:"+test.version {
				t.Errorf("%s: %+v, %v", test.path, c.Model, err)
			}
		}
		if strings.HasPrefix(test.path, "/v2/") && status == http.StatusOK &&
			!strings.Contains(string(text), `"model_version":"`+test.version+`"`) {
			t.Errorf("%s: %s", test.path, text)
		}
	}
	if !strings.Contains(r.log.String(), `"model":"m","version":3`) {
		t.Error("the log does not have the version")
	}
}

// TestVersionsOverGRPC: ModelInfer names versions by numbers and labels, too.
func TestVersionsOverGRPC(t *testing.T) {
	r := startLabelled(t)
	for version, want := range map[string]string{"": "2", "1": "1", "canary": "3"} {
		q := &pb.ModelInferRequest{ModelName: "m", ModelVersion: version, Inputs: []*inputMessage{{
			Name: "picture", Datatype: "BYTES", Shape: []int64{1},
			Contents: &pb.InferTensorContents{BytesContents: [][]byte{white()}},
		}}}
		if answer, err := inferGRPC(t, r, q); err != nil || answer.ModelVersion != want {
			t.Errorf("gRPC, version %q: %v, %v", version, answer.GetModelVersion(), err)
		}
	}
}

// TestVersionsAreListed: the descriptions of a model name all of its versions.
func TestVersionsAreListed(t *testing.T) {
	r := startLabelled(t)
	for path, want := range map[string]string{
		"/v1/models":                 `{"models":["m"]}`,
		"/v1/models/m":               states("3", "2", "1"),
		"/v1/models/m/labels/canary": states("3"),
		"/v1/models/m/versions/1":    states("1"),
		"/readyz":                    `{"models":{"m":2},"status":"ready"}`,
	} {
		answer, text := ask(t, r, http.MethodGet, path, "", nil)
		if got := strings.TrimSpace(string(text)); answer.StatusCode != http.StatusOK || got != want {
			t.Errorf("%s: %s %s\nnot %s", path, answer.Status, got, want)
		}
	}
	if _, text := ask(t, r, http.MethodGet, "/v2/models/m", "", nil); !strings.Contains(string(text),
		`"versions":["1","2","3"]`) {
		t.Errorf("the metadata are %s", text)
	}
}

// states is how TensorFlow Serving's API describes versions that answer.
func states(versions ...string) string {
	var all []string
	for _, v := range versions {
		all = append(all, `{"state":"AVAILABLE","status":{"error_code":"OK","error_message":""},"version":"`+v+`"}`)
	}
	return `{"model_version_status":[` + strings.Join(all, ",") + `],"name":"m","ready":true}`
}

// TestCanaryByRequest: the request's identifier decides whether the canary answers.
func TestCanaryByRequest(t *testing.T) {
	r, _ := startVersions(t, 2, func(c *Config) {
		c.Models.Labels = map[string]map[string]int{"m": {"canary": 2}}
		c.Models.Canaries = map[string]float64{"m": 0.5}
	})
	versions := map[string]int{}
	for i := range 40 {
		id := fmt.Sprintf("request-%d", i)
		first, _ := post(t, r.url+"/v1/classify", "", white(), "X-Request-Id", id)
		second, _ := post(t, r.url+"/v1/classify", "", white(), "X-Request-Id", id)
		version := first.Header.Get(request.HeaderVersion)
		if second.Header.Get(request.HeaderVersion) != version {
			t.Errorf("%s: another version answers the second time", id)
		}
		versions[version]++
	}
	if len(versions) != 2 {
		t.Errorf("the versions answered %v times", versions)
	}
}

// TestRepositoryNeedsPermission: clients may not even list models unless the operator says so.
func TestRepositoryNeedsPermission(t *testing.T) {
	closed, _ := startVersions(t, 1, nil)
	for _, path := range []string{"index", "models/m/load", "models/m/unload", "models/m/rollback"} {
		answer, text := post(t, closed.url+"/v2/repository/"+path, "", nil)
		if answer.StatusCode != http.StatusForbidden || !strings.HasPrefix(string(text), `{"error":"`) {
			t.Errorf("%s without permission: %s %s", path, answer.Status, text)
		}
	}
}

// TestRepositoryAPI: clients list, load, unload and roll back models as Triton's do.
func TestRepositoryAPI(t *testing.T) {
	r, folder := startVersions(t, 3, func(c *Config) { c.Models.Control = true })
	writeFile(t, filepath.Join(folder, "m", "4", "m.safetensors"), []byte("bad"))
	waitFor(t, "version 4 is refused", func() bool {
		return strings.Contains(metricsOf(t, r), `garb_model_refused_total{model="m"} 1`)
	})
	entry := func(version, state, reason string) string {
		return `{"name":"m","version":"` + version + `","state":"` + state + `","reason":"` + reason + `"}`
	}
	const policy = "the version policy does not load it"
	one, two, four := entry("1", "UNAVAILABLE", policy), entry("2", "UNAVAILABLE", policy),
		entry("4", "UNAVAILABLE", "its golden logits are off")
	for _, test := range []struct {
		path, body string
		status     int
		want       string // of the response; "error" is any
	}{
		{"index", "", 200, "[" + one + "," + two + "," + entry("3", "READY", "") + "," + four + "]"},
		{"index", `{"ready": true}`, 200, "[" + entry("3", "READY", "") + "]"},
		{"index", `{"ready": 1}`, 400, "error"},
		{"index", `{"unknown": 1}`, 400, "error"},
		{"index", `{} {}`, 400, "error"},
		{"models/m/rollback", `{"parameters": {"version": "x"}}`, 400, "error"},
		{"models/m/rollback", `{"parameters": {"version": "1"}}`, 404, "error"},
		{"models/m/rollback", "", 200, `{"name":"m","version":"2"}`},
		{"index", "", 200, "[" + one + "," + entry("2", "READY", "") + "," +
			entry("3", "UNAVAILABLE", "the version was rolled back") + "," + four + "]"},
		{"models/m/rollback", `{"parameters": {"version": "2"}}`, 200, `{"name":"m","version":"1"}`},
		{"models/m/rollback", "", 400, "error"},
		{"models/m/load", `{"parameters": {"config": "{}"}}`, 400, "error"},
		{"models/m/load", "", 400, "error"}, // version 4
		{"index", `{"ready": true}`, 200, "[" + entry("3", "READY", "") + "]"},
		{"models/m/unload", `{"parameters": {"unload_dependents": false}}`, 200, ""},
		{"index", `{"ready": true}`, 200, "[]"},
		{"models/m/unload", "", 404, "error"},
		{"models/hats/load", "", 404, "error"},
		{"models/m/rollback", "", 404, "error"},
	} {
		answer, text := post(t, r.url+"/v2/repository/"+test.path, "application/json", []byte(test.body))
		got := strings.TrimSpace(string(text))
		if test.want == "error" && strings.HasPrefix(got, `{"error":"`) {
			got = test.want
		}
		if answer.StatusCode != test.status || got != test.want {
			t.Errorf("%s %s: %s %s\nnot %d %s", test.path, test.body, answer.Status, got, test.status, test.want)
		}
	}
	if answer, _ := post(t, r.url+"/v1/classify?model=m", "", white()); answer.StatusCode != http.StatusNotFound {
		t.Errorf("the unloaded model: %s", answer.Status)
	}
	writeFile(t, filepath.Join(folder, "m", "4", "m.safetensors"), []byte("mended"))
	if answer, text := post(t, r.url+"/v2/repository/models/m/load", "", nil); answer.StatusCode != http.StatusOK {
		t.Errorf("load: %s %s", answer.Status, text)
	}
	if got := digestOf(t, r, "m"); got != "mended" {
		t.Errorf("%s answers", got)
	}
}

// TestStatistics: the statistics count pictures, batches and failures of each version.
func TestStatistics(t *testing.T) {
	r, _ := startVersions(t, 2, func(c *Config) { c.Models.Policies = map[string]registry.Policy{"": {}} })
	form, two := form(t, white(), white())
	post(t, r.url+"/v1/classify?version=1", form, two)
	post(t, r.url+"/v1/classify?version=1", "", pngOf(8, 8)) // a header, and nothing more
	values := strings.TrimSuffix(strings.Repeat("0.5,", fakeSpec.ValueCount()), ",")
	post(t, r.url+"/v2/models/m/versions/1/infer", "application/json",
		[]byte(`{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1,8,8,3], "data": [`+values+`]}]}`))
	type duration struct{ Count, Ns int64 }
	type stats struct {
		Models []struct {
			Name, Version  string
			LastInference  int64               `json:"last_inference"`
			InferenceCount int64               `json:"inference_count"`
			ExecutionCount int64               `json:"execution_count"`
			Inference      map[string]duration `json:"inference_stats"`
			Batches        []struct {
				Size  int64    `json:"batch_size"`
				Infer duration `json:"compute_infer"`
			} `json:"batch_stats"`
		} `json:"model_stats"`
	}
	get := func(path string) (s stats) {
		t.Helper()
		answer, text := ask(t, r, http.MethodGet, path, "", nil)
		if err := json.Unmarshal(text, &s); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s", path, answer.Status, text)
		}
		return s
	}
	all := get("/v2/models/m/stats")
	if len(all.Models) != 2 || len(get("/v2/models/stats").Models) != 2 {
		t.Fatalf("%+v", all)
	}
	one, other := all.Models[0], all.Models[1]
	pictures := int64(0)
	for _, b := range one.Batches {
		pictures += b.Size * b.Infer.Count
	}
	for name, want := range map[string]int64{"success": 3, "fail": 1, "queue": 3, "compute_infer": 3,
		"compute_input": 2, "compute_output": 0, "cache_hit": 0} {
		d, ok := one.Inference[name]
		// The clock of Windows may stand still for half a millisecond.
		short := d.Ns == 0 && want > 0 && runtime.GOOS == "windows"
		if !ok || d.Count != want || (d.Ns > 0) != (want > 0) && !short {
			t.Errorf("%s: %+v, not %d", name, d, want)
		}
	}
	if one.Name != "m" || one.Version != "1" || one.InferenceCount != 3 || pictures != 3 || one.ExecutionCount < 2 ||
		time.Since(time.UnixMilli(one.LastInference)).Abs() > time.Minute {
		t.Errorf("%+v", one)
	}
	if other.Version != "2" || other.InferenceCount != 0 || other.LastInference != 0 || len(other.Batches) != 0 {
		t.Errorf("%+v", other)
	}
	if got := get("/v2/models/m/versions/2/stats"); len(got.Models) != 1 || got.Models[0].Version != "2" {
		t.Errorf("%+v", got)
	}
	if answer, _ := ask(t, r, http.MethodGet, "/v2/models/hats/stats", "", nil); answer.StatusCode != 404 {
		t.Errorf("the statistics of an unknown model: %s", answer.Status)
	}
}

// TestModelConfig: the configuration has the form of Triton's ModelConfig.
func TestModelConfig(t *testing.T) {
	for policy, want := range map[string]string{
		"latest:2": `{"latest":{"num_versions":2}}`, "all": `{"all":{}}`, "specific:1": `{"specific":{"versions":[1]}}`,
	} {
		r, _ := startVersions(t, 1, func(c *Config) {
			if err := c.Models.AddPolicy(policy); err != nil {
				t.Fatal(err)
			}
		})
		_, text := ask(t, r, http.MethodGet, "/v2/models/m/config", "", nil)
		var config map[string]json.RawMessage
		if err := json.Unmarshal(text, &config); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"name": `"m"`, "version_policy": want, "max_batch_size": "32",
			"input": `[{"name":"picture","data_type":"TYPE_STRING","dims":[1],"reshape":{"shape":[]},` +
				`"optional":true},{"name":"input","data_type":"TYPE_FP32","dims":[8,8,3],"optional":true}]`,
			"output": `[{"name":"logits","data_type":"TYPE_FP32","dims":[2]},` +
				`{"name":"probabilities","data_type":"TYPE_FP32","dims":[2]},` +
				`{"name":"class","data_type":"TYPE_STRING","dims":[1],"reshape":{"shape":[]}}]`,
			"instance_group": `[{"count":1,"kind":"KIND_CPU","name":"m"}]`,
		} {
			if got := string(config[name]); got != want {
				t.Errorf("%s: %s\nnot %s", name, got, want)
			}
		}
	}
}

// TestTritonRepository lets Triton's client control models and read their statistics.
func TestTritonRepository(t *testing.T) {
	python := os.Getenv("GARB_TRITON_PYTHON")
	if python == "" {
		t.Skip("set GARB_TRITON_PYTHON to a Python with tritonclient to run this test (see .ci/run)")
	}
	r, _ := startVersions(t, 2, func(c *Config) { c.Models.Control = true })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, python, "testdata/triton_repository.py", strings.TrimPrefix(r.url, "http://"))
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", errors.Join(ctx.Err(), err), out)
	}
}

// TestRepositoryOverGRPC controls models and reads their statistics and configuration over gRPC.
func TestRepositoryOverGRPC(t *testing.T) {
	closed, _ := startVersions(t, 1, nil)
	if _, err := call[pb.RepositoryIndexRequest, pb.RepositoryIndexResponse](t, closed, "RepositoryIndex",
		&pb.RepositoryIndexRequest{}); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("without permission: %v", err)
	}
	r, _ := startVersions(t, 2, func(c *Config) { c.Models.Control = true })
	index := func(ready bool) (models []string) {
		t.Helper()
		answer, err := call[pb.RepositoryIndexRequest, pb.RepositoryIndexResponse](t, r, "RepositoryIndex",
			&pb.RepositoryIndexRequest{Ready: ready})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range answer.Models {
			models = append(models, m.Name+m.Version+m.State)
		}
		return models
	}
	if got := index(false); !slices.Equal(got, []string{"m1UNAVAILABLE", "m2READY"}) {
		t.Errorf("the index is %v", got)
	}
	config, err := call[pb.ModelConfigRequest, pb.ModelConfigResponse](t, r, "ModelConfig",
		&pb.ModelConfigRequest{Name: "m"})
	if err != nil || config.Config.GetVersionPolicy().GetLatest().GetNumVersions() != 1 ||
		config.Config.MaxBatchSize != 32 || config.Config.Input[0].DataType != pb.DataType_TYPE_STRING {
		t.Errorf("%v, %v", config, err)
	}
	statistics, err := call[pb.ModelStatisticsRequest, pb.ModelStatisticsResponse](t, r, "ModelStatistics",
		&pb.ModelStatisticsRequest{Name: "m", Version: "2"})
	if err != nil || len(statistics.ModelStats) != 1 || statistics.ModelStats[0].Version != "2" {
		t.Errorf("%v, %v", statistics, err)
	}
	parameters := map[string]*pb.ModelRepositoryParameter{"config": {}}
	for _, err := range []error{
		second(call[pb.RepositoryModelLoadRequest, pb.RepositoryModelLoadResponse](t, r, "RepositoryModelLoad",
			&pb.RepositoryModelLoadRequest{ModelName: "m", Parameters: parameters})),
		second(call[pb.RepositoryModelUnloadRequest, pb.RepositoryModelUnloadResponse](t, r, "RepositoryModelUnload",
			&pb.RepositoryModelUnloadRequest{ModelName: "m", Parameters: parameters})),
	} {
		if connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("a parameter that is not supported: %v", err)
		}
	}
	if _, err = call[pb.RepositoryModelUnloadRequest, pb.RepositoryModelUnloadResponse](t, r, "RepositoryModelUnload",
		&pb.RepositoryModelUnloadRequest{ModelName: "m"}); err != nil || len(index(true)) != 0 {
		t.Errorf("unload: %v", err)
	}
	if _, err = call[pb.RepositoryModelLoadRequest, pb.RepositoryModelLoadResponse](t, r, "RepositoryModelLoad",
		&pb.RepositoryModelLoadRequest{ModelName: "m"}); err != nil || len(index(true)) != 1 {
		t.Errorf("load: %v", err)
	}
}

// second returns the error of a call.
func second[A any](_ A, err error) error { return err }
