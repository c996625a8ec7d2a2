package observe

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// settings are variables and flags, and what they do. In the variables' names, @ stands for
// OTEL_EXPORTER_OTLP_; in values, URL stands for the collector's URL.
var settings = map[string]struct {
	env, flag string
	want      string         // the paths of the requests, separated by blanks
	resource  map[string]any // some of its attributes
	header    string         // of the first request: "Name: value"
}{
	"nothing set":               {want: ""},
	"a flag":                    {flag: "URL", want: "/v1/traces", resource: map[string]any{"service.name": "garb"}},
	"a flag with a slash":       {flag: "URL/", want: "/v1/traces"},
	"a flag with a path":        {flag: "URL/own/path", want: "/own/path"},
	"the endpoint":              {env: "@ENDPOINT=URL", want: "/v1/traces"},
	"the endpoint with a path":  {env: "@ENDPOINT=URL/in", want: "/in/v1/traces"},
	"the endpoint of traces":    {env: "@TRACES_ENDPOINT=URL/x", want: "/x"},
	"both endpoints":            {env: "@ENDPOINT=http://127.0.0.1:1 @TRACES_ENDPOINT=URL/x", want: "/x"},
	"a flag and an endpoint":    {env: "@ENDPOINT=http://127.0.0.1:1", flag: "URL", want: "/v1/traces"},
	"a flag and no traces":      {env: "OTEL_TRACES_EXPORTER=none", flag: "URL", want: "/v1/traces"},
	"a flag and gRPC":           {env: "@PROTOCOL=grpc", flag: "URL", want: "/v1/traces"},
	"a flag, but disabled":      {env: "OTEL_SDK_DISABLED=true", flag: "URL", want: ""},
	"an endpoint, but disabled": {env: "OTEL_SDK_DISABLED=TRUE @ENDPOINT=URL OTEL_LOGS_EXPORTER=otlp", want: ""},
	"not disabled":              {env: "OTEL_SDK_DISABLED=false @ENDPOINT=URL", want: "/v1/traces"},
	"no traces":                 {env: "OTEL_TRACES_EXPORTER=none @ENDPOINT=URL", want: ""},
	"traces":                    {env: "OTEL_TRACES_EXPORTER=otlp @ENDPOINT=URL", want: "/v1/traces"},
	"HTTP": {
		env:  "@PROTOCOL=http/protobuf @ENDPOINT=URL",
		want: "/v1/traces", header: "Content-Type: application/x-protobuf",
	},
	"gRPC": {
		env:  "@PROTOCOL=grpc @ENDPOINT=URL",
		want: "/opentelemetry.proto.collector.trace.v1.TraceService/Export", header: "Content-Type: application/grpc",
	},
	"gRPC for traces": {
		env:  "@TRACES_PROTOCOL=grpc @ENDPOINT=URL",
		want: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
	},
	"gRPC for all": {
		env: "@PROTOCOL=grpc @ENDPOINT=URL OTEL_TRACES_EXPORTER=none OTEL_METRICS_EXPORTER=otlp " +
			"OTEL_LOGS_EXPORTER=otlp",
		want: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export " +
			"/opentelemetry.proto.collector.logs.v1.LogsService/Export",
	},
	"headers":     {env: "@HEADERS=X-Key=a%20b,c=d @ENDPOINT=URL", want: "/v1/traces", header: "X-Key: a b"},
	"compression": {env: "@COMPRESSION=gzip @ENDPOINT=URL", want: "/v1/traces", header: "Content-Encoding: gzip"},
	"always_off":  {env: "OTEL_TRACES_SAMPLER=always_off", flag: "URL", want: ""},
	"always_on":   {env: "OTEL_TRACES_SAMPLER=always_on", flag: "URL", want: "/v1/traces"},
	"ratio 0":     {env: "OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=0", flag: "URL", want: ""},
	"ratio 1": {
		env: "OTEL_TRACES_SAMPLER=parentbased_traceidratio OTEL_TRACES_SAMPLER_ARG=1.0", flag: "URL",
		want: "/v1/traces",
	},
	"parent-based off": {env: "OTEL_TRACES_SAMPLER=parentbased_always_off", flag: "URL", want: ""},
	"an empty variable": {
		env: "OTEL_TRACES_SAMPLER= OTEL_TRACES_EXPORTER= @PROTOCOL=", flag: "URL",
		want: "/v1/traces",
	},
	"metrics": {env: "OTEL_METRICS_EXPORTER=otlp @METRICS_ENDPOINT=URL/m", want: "/m"},
	"logs":    {env: "OTEL_LOGS_EXPORTER=otlp @LOGS_ENDPOINT=URL/l", want: "/l"},
	"all": {
		env:  "OTEL_METRICS_EXPORTER=otlp OTEL_LOGS_EXPORTER=otlp @ENDPOINT=URL",
		want: "/v1/traces /v1/metrics /v1/logs",
	},
	"service name": {
		env: "OTEL_SERVICE_NAME=shop", flag: "URL",
		want: "/v1/traces", resource: map[string]any{"service.name": "shop", "service.version": "v"},
	},
	"resource": {
		env: "OTEL_RESOURCE_ATTRIBUTES=service.name=a,zone=b%20c,service.version=w", flag: "URL",
		want: "/v1/traces", resource: map[string]any{"service.name": "a", "zone": "b c", "service.version": "w"},
	},
	"service name and resource": {
		env: "OTEL_SERVICE_NAME=shop OTEL_RESOURCE_ATTRIBUTES=service.name=a", flag: "URL",
		want: "/v1/traces", resource: map[string]any{"service.name": "shop"},
	},
}

// TestEnvironment checks what each variable does.
func TestEnvironment(t *testing.T) {
	for name, c := range settings {
		t.Run(name, func(t *testing.T) {
			collector := startCollector(t)
			setEnvironment(t, strings.ReplaceAll(c.env, "URL", collector.URL))
			config := Config{Version: "v", TraceEndpoint: strings.ReplaceAll(c.flag, "URL", collector.URL)}
			if err := config.Validate(); err != nil {
				t.Fatal(err)
			}
			o := open(t, config)
			EndRequest(o.StartRequest(newRequest("GET", "/v1/models", ""), ""), "GET /v1/models", "", 200)
			o.Log.Info("hello")
			closeObserver(t, o)
			var paths []string
			for _, r := range collector.all() {
				paths = append(paths, r.path)
			}
			if got := strings.Join(paths, " "); got != c.want {
				t.Fatalf("requests to %s, not to %s", got, c.want)
			}
			if header, value, ok := strings.Cut(c.header, ": "); ok && collector.all()[0].header.Get(header) != value {
				t.Errorf("%s is %s", header, collector.all()[0].header.Get(header))
			}
			if c.resource != nil {
				_, resource := collector.spans(t)
				checkAttributes(t, "the resource", resource, c.resource)
			}
		})
	}
}

// setEnvironment sets variables, separated by blanks. @ in a name stands for OTEL_EXPORTER_OTLP_.
func setEnvironment(t *testing.T, env string) {
	t.Helper()
	for _, v := range strings.Fields(env) {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(strings.Replace(name, "@", otlp, 1), value)
	}
}

// TestBatchVariables checks the variables of the batch span processor that time does not decide.
func TestBatchVariables(t *testing.T) {
	send := func(env string) (*collector, *Observer) {
		c := startCollector(t)
		setEnvironment(t, env)
		o := open(t, Config{TraceEndpoint: c.URL})
		for i := range 4 {
			route := "GET /" + strings.Repeat("x", i)
			EndRequest(o.StartRequest(newRequest("GET", "/", ""), ""), route, "", 200)
		}
		return c, o
	}
	c, o := send("OTEL_BSP_MAX_EXPORT_BATCH_SIZE=2")
	closeObserver(t, o)
	if n := len(c.all()); n != 2 {
		t.Errorf("4 spans came in %d batches of at most 2", n)
	}
	c, _ = send("OTEL_BSP_MAX_EXPORT_BATCH_SIZE=100 OTEL_BSP_SCHEDULE_DELAY=1")
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) {
		if spans, _ := c.spans(t); len(spans) == 4 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("spans wait for Close in spite of a delay of 1 ms")
		}
	}
}

// TestTimeoutVariable checks that a collector gets the time of OTEL_EXPORTER_OTLP_TIMEOUT.
func TestTimeoutVariable(t *testing.T) {
	c := startCollector(t)
	c.answer = func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "20")
	t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "60")
	o := open(t, Config{TraceEndpoint: c.URL})
	EndRequest(o.StartRequest(newRequest("GET", "/", ""), ""), "GET /", "", 200)
	if err := o.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if text := scrape(t, o.Metrics, ""); !strings.Contains(text, `garb_export_errors_total{signal="traces"} 1`) {
		t.Errorf("%s", text)
	}
}

// TestEnvironmentRefused checks that wrong values are refused at the start, with the variable's name.
func TestEnvironmentRefused(t *testing.T) {
	for _, env := range []string{
		"OTEL_TRACES_EXPORTER=console", "OTEL_TRACES_EXPORTER=otlp,console", "OTEL_METRICS_EXPORTER=prometheus",
		"OTEL_LOGS_EXPORTER=x", "OTEL_TRACES_SAMPLER=sometimes", "OTEL_TRACES_SAMPLER=jaeger_remote",
		"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317", "OTEL_EXPORTER_OTLP_ENDPOINT=ftp://x",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=/v1/logs",
		"OTEL_EXPORTER_OTLP_HEADERS=secret", "OTEL_EXPORTER_OTLP_METRICS_HEADERS=a=%zz",
		"OTEL_EXPORTER_OTLP_HEADERS==secret", "OTEL_EXPORTER_OTLP_TIMEOUT=10s", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT=0",
		"OTEL_BSP_MAX_QUEUE_SIZE=-1", "OTEL_BSP_SCHEDULE_DELAY=soon", "OTEL_BSP_EXPORT_TIMEOUT=1.5",
		"OTEL_BSP_MAX_EXPORT_BATCH_SIZE=99999999999999999999", "OTEL_BLRP_MAX_QUEUE_SIZE=x",
		"OTEL_METRIC_EXPORT_INTERVAL=1m", "OTEL_EXPORTER_OTLP_CERTIFICATE=no/such/file",
		"OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY=no/such/file",
	} {
		t.Run(env, func(t *testing.T) {
			setEnvironment(t, env)
			name, value, _ := strings.Cut(env, "=")
			o, err := New(Config{}, slog.DiscardHandler, noDepth)
			if err == nil {
				closeObserver(t, o)
				t.Fatal("it was accepted")
			}
			if validated := (Config{}).Validate(); validated == nil || validated.Error() != err.Error() {
				t.Errorf("Validate says %v, New says %v", validated, err)
			}
			if !strings.Contains(err.Error(), name) {
				t.Errorf("the error does not name the variable: %v", err)
			}
			if strings.Contains(name, "HEADERS") && strings.Contains(err.Error(), value) {
				t.Errorf("the error repeats a secret: %v", err)
			}
		})
	}
	for env, name := range map[string]string{
		"OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=http/json":         "OTEL_EXPORTER_OTLP_PROTOCOL",
		"OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http":       "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
		"OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=2":              "OTEL_TRACES_SAMPLER_ARG",
		"OTEL_TRACES_SAMPLER=parentbased_traceidratio OTEL_TRACES_SAMPLER_ARG=-1": "OTEL_TRACES_SAMPLER_ARG",
		"OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=NaN":            "OTEL_TRACES_SAMPLER_ARG",
		"OTEL_RESOURCE_ATTRIBUTES=nonsense":                                       "OTEL_RESOURCE_ATTRIBUTES",
	} {
		t.Run(env, func(t *testing.T) {
			setEnvironment(t, env)
			_, err := New(Config{}, slog.DiscardHandler, noDepth)
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestUnusedVariables checks that variables without effect do not stop the service.
func TestUnusedVariables(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, env := range []string{
		"OTEL_SDK_DISABLED=true OTEL_TRACES_SAMPLER=sometimes", "OTEL_TRACES_SAMPLER_ARG=x",
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "OTEL_EXPORTER_OTLP_CERTIFICATE=" + file, "OTEL_SOMETHING=new",
	} {
		t.Run(env, func(t *testing.T) {
			setEnvironment(t, env)
			if err := (Config{}).Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTraceEndpointRefused checks that wrong endpoints are refused.
func TestTraceEndpointRefused(t *testing.T) {
	for _, endpoint := range []string{
		"ftp://x", "localhost:4318", "http://", "http://user:secret@collector:4318", "http://x?key=secret",
		"http://x#y", "http://[::1", "/v1/traces",
	} {
		err := Config{TraceEndpoint: endpoint}.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), "traces: ") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", endpoint, err)
		}
		if _, err := New(Config{TraceEndpoint: endpoint}, slog.DiscardHandler, noDepth); err == nil {
			t.Errorf("%s is accepted", endpoint)
		}
	}
}
