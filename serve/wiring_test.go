package serve

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestServiceMetrics checks that the service counts what its parts report: evicted connections, refused hosts and
// origins, and when the certificate expires.
func TestServiceMetrics(t *testing.T) {
	r := start(t, &fake{}, nil)
	for _, header := range []string{"Host", "Origin"} {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v1/classify", nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set(header, "https://evil.example")
		if header == "Host" {
			q.Host = "evil.example"
		}
		answer, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	text := metricsOf(t, r)
	for _, line := range []string{
		`garb_rejected_total{reason="host"} 1`, `garb_rejected_total{reason="origin"} 1`,
		`garb_connection_events_total{event="evicted"} 0`, "garb_queue_limit 256",
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no %s", line)
		}
	}

	one := start(t, &fake{}, func(c *Config) { c.Connection.MaxConnections = 1 })
	dial(t, one)
	waitFor(t, "the first connection is closed for the second", func() bool {
		return strings.Contains(metricsOf(t, one), `garb_connection_events_total{event="evicted"} 1`)
	})

	cert, key := filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
	writeCertificate(t, cert, key, 1)
	s, err := New(func() Config {
		c := Default()
		c.Models.Models = []NamedModel{{Name: "m", Path: "somewhere"}}
		c.TLSCert, c.TLSKey = cert, key
		return c
	}(), func(string) (Classifier, error) { return &fake{}, nil }, r.Server.log)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if text := get(s.adminHandler(false), "/metrics").Body.String(); !strings.Contains(text,
		"\ngarb_certificate_expiry_timestamp_seconds 1.") && !strings.Contains(text,
		"\ngarb_certificate_expiry_timestamp_seconds 2.") {
		t.Error("no time at which the certificate expires")
	}
}
