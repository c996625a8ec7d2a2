package serve

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestTraces checks that a request's spans reach a collector, in the client's trace.
func TestTraces(t *testing.T) {
	sent := make(chan []byte, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL, err)
		}
		sent <- body
	}))
	defer collector.Close()
	r := start(t, &fake{}, func(c *Config) { c.TraceEndpoint = collector.URL })
	const trace = "0af7651916cd43dd8448eb211c80319c"
	post(t, r.url+"/v1/classify", "", white(), "Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	close(sent)
	var all []byte
	for body := range sent {
		all = append(all, body...)
	}
	id, err := hex.DecodeString(trace)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"POST /v1/classify", "decode", "queue", "batch", "inference"} {
		if !bytes.Contains(all, append([]byte{byte(len(name))}, name...)) {
			t.Errorf("there is no span %s", name)
		}
	}
	// The two waits in the queue are spans of their own.
	if n := bytes.Count(all, id); n < 6 {
		t.Errorf("%d spans are in the client's trace", n)
	}
}

// TestUnusableTelemetry checks that the service does not start with OTEL_* variables that it cannot use.
func TestUnusableTelemetry(t *testing.T) {
	t.Setenv("OTEL_TRACES_SAMPLER", "sometimes")
	c := Default()
	c.Models.Models = []NamedModel{{Name: "m", Path: "somewhere"}}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "OTEL_TRACES_SAMPLER") {
		t.Errorf("%v", err)
	}
}
