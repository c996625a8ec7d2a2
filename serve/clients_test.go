package serve

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// runClient runs a client of the service, which must end without an error, and returns its output.
func runClient(t *testing.T, command string, arguments ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, command, arguments...).CombinedOutput()
	if t.Logf("%s", out); err != nil {
		t.Error(filepath.Base(command), arguments, errors.Join(ctx.Err(), err))
	}
	return string(out)
}

// TestGRPCClient: gRPC's own clients for Python find health and reflection, and tritonclient streams.
func TestGRPCClient(t *testing.T) {
	python := os.Getenv("GARB_TRITON_PYTHON")
	if python == "" {
		t.Skip("set GARB_TRITON_PYTHON to a Python with serve/testdata/requirements.txt to run this test (see .ci/run)")
	}
	r, _ := clothing(t)
	runClient(t, python, "testdata/grpc_client.py", strings.TrimPrefix(r.url, "http://"), example, "t-shirt")
}

// TestGRPCTools: operators' tools work without an option.
func TestGRPCTools(t *testing.T) {
	folder := os.Getenv("GARB_GRPC_TOOLS")
	if folder == "" {
		t.Skip("set GARB_GRPC_TOOLS to a folder with grpcurl and grpc-health-probe to run this test (see .ci/run)")
	}
	r := start(t, &fake{}, nil)
	address := strings.TrimPrefix(r.url, "http://")
	probe, curl := filepath.Join(folder, "grpc-health-probe"), filepath.Join(folder, "grpcurl")
	for _, arguments := range [][]string{nil, {"-service", "m"}, {"-service", "inference.GRPCInferenceService"}} {
		if out := runClient(t, probe, append(arguments, "-addr", address)...); !strings.Contains(out, "SERVING") {
			t.Errorf("%s %v: %s", probe, arguments, out)
		}
	}
	for _, c := range []struct {
		arguments []string
		says      string
	}{
		{[]string{address, "list"}, "inference.GRPCInferenceService"},
		{[]string{address, "list", "inference.GRPCInferenceService"}, "ModelStreamInfer"},
		{[]string{address, "describe", "grpc.health.v1.Health"}, "HealthCheckResponse"},
		{[]string{"-d", `{"service": "m"}`, address, "grpc.health.v1.Health/Check"}, `"SERVING"`},
		{[]string{"-d", `{"name": "m"}`, address, "inference.GRPCInferenceService/ModelMetadata"}, `"probabilities"`},
	} {
		out := runClient(t, curl, append([]string{"-plaintext"}, c.arguments...)...)
		if !strings.Contains(out, c.says) {
			t.Errorf("%v: %s", c.arguments, out)
		}
	}
}

// TestKServeClient: KServe's own client, for its protocols v1 and v2.
func TestKServeClient(t *testing.T) {
	python := os.Getenv("GARB_KSERVE_PYTHON")
	if python == "" {
		t.Skip("set GARB_KSERVE_PYTHON to a Python with kserve to run this test (see .ci/run)")
	}
	r, model := clothing(t)
	runClient(t, python, "testdata/kserve_client.py", strings.TrimPrefix(r.url, "http://"), example, "t-shirt",
		strings.Join(model.Classes(), ","))
}

// openAPIPython is a Python with a validator of OpenAPI and schemathesis.
func openAPIPython(t *testing.T) string {
	t.Helper()
	python := os.Getenv("GARB_OPENAPI_PYTHON")
	if python == "" {
		t.Skip("set GARB_OPENAPI_PYTHON to a Python with serve/testdata/openapi.txt to run this test (see .ci/run)")
	}
	return python
}

// TestOpenAPIIsValid validates openapi.json by the specification of OpenAPI 3.1.
func TestOpenAPIIsValid(t *testing.T) {
	python := openAPIPython(t)
	runClient(t, python, "testdata/openapi_valid.py", "page/openapi.json")
	wrong := filepath.Join(t.TempDir(), "openapi.json")
	writeFile(t, wrong, bytes.Replace(read(t, "page/openapi.json"), []byte(`"in": "query"`), []byte(`"in": "body"`), 1))
	out, err := exec.CommandContext(t.Context(), python, "testdata/openapi_valid.py", wrong).CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("/v1/classify")) {
		t.Errorf("a wrong description is valid: %v, %s", err, out)
	}
}

// TestSchemathesis lets schemathesis try what openapi.json describes, valid and invalid, with all of its
// checks.
func TestSchemathesis(t *testing.T) {
	python := openAPIPython(t)
	r, _ := clothing(t)
	hooks, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(filepath.Dir(python), "schemathesis"), "run",
		r.url+"/openapi.json", "--checks", "all", "--seed", "1", "--max-examples", "20", "--continue-on-failure",
		"--suppress-health-check", "all", "--warnings", "off", "--no-color")
	command.Dir = t.TempDir() // it keeps a database of failures
	command.Env = append(os.Environ(), "SCHEMATHESIS_HOOKS=schemathesis_hooks", "PYTHONPATH="+hooks,
		"PYTHONDONTWRITEBYTECODE=1")
	out, err := command.CombinedOutput()
	if t.Logf("%s", out); err != nil {
		t.Error(errors.Join(ctx.Err(), err))
	}
	if !bytes.Contains(out, []byte("Stateful")) || !bytes.Contains(out, []byte("No issues found")) {
		t.Error("schemathesis did not run all its phases without an issue")
	}
}
