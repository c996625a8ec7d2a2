//go:build !small

package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestHealth(t *testing.T) {
	t.Setenv("GARB_TIMEOUT", "forever") // of requests: not ours
	answers := map[string]http.HandlerFunc{
		"ready": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/readyz" {
				fmt.Fprint(w, `{"status":"ready","models":{"clothing":3}}`)
			}
		},
		"stopping": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"status":503,"detail":"the service is stopping"}`)
		},
		"gateway":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"elsewhere": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>welcome") },
		"slow":      func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	}
	for _, c := range []struct {
		name, say string
		code      int
	}{
		{"ready", "is ready, models: 1", exitDone},
		{"stopping", "the service is stopping", exitFailed},
		{"gateway", "502", exitFailed},
		{"elsewhere", "not like a garb service", exitFailed},
		{"slow", "does not answer", exitFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(answers[c.name])
			defer server.Close()
			code, out, errOut := runGarb(t, nil, "health", "--addr", server.Listener.Addr().String(),
				"--timeout", "300ms")
			if text := out + errOut; code != c.code || !strings.Contains(text, c.say) ||
				strings.Count(text, "\n") != 1 {
				t.Errorf("exit %d, %q", code, text)
			}
		})
	}
}

// TestHealthOfNobody: a service that does not exist is reported, and quickly.
func TestHealthOfNobody(t *testing.T) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	began := time.Now()
	t.Setenv("GARB_ADDR", l.Addr().String())
	code, _, errOut := runGarb(t, nil, "health")
	if code != exitFailed || !strings.Contains(errOut, l.Addr().String()+" does not answer") ||
		time.Since(began) > 2*time.Minute {
		t.Errorf("exit %d, %q", code, errOut)
	}
}

func TestHealthOverTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter,
		_ *http.Request) {
		fmt.Fprint(w, `{"status":"ready"}`)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it would report the refused certificate
	server.StartTLS()
	defer server.Close()
	if code, _, errOut := runGarb(t, nil, "health", "--url", server.URL); code != exitFailed ||
		!strings.Contains(errOut, "certificate") {
		t.Errorf("a certificate of nobody: exit %d, %q", code, errOut)
	}
	if code, _, errOut := runGarb(t, nil, "health", "--url", server.URL, "--insecure"); code != exitDone {
		t.Errorf("--insecure: exit %d, %q", code, errOut)
	}
}

func TestHealthMisused(t *testing.T) {
	for _, args := range [][]string{{"--addr", "localhost"}, {"now"}, {"--timeout", "soon"},
		{"--url", "garb.example.org"}} {
		if code, _, _ := runGarb(t, nil, append([]string{"health"}, args...)...); code != exitMisused {
			t.Errorf("%v: exit %d", args, code)
		}
	}
}

func TestHealthAddress(t *testing.T) {
	for addr, want := range map[string]string{
		":8080": "http://localhost:8080", "0.0.0.0:80": "http://localhost:80", "[::]:80": "http://localhost:80",
		"[::1]:80": "http://[::1]:80", "10.0.0.7:1": "http://10.0.0.7:1",
	} {
		if got, err := makeURL(addr); got != want || err != nil {
			t.Errorf("%s: %s, %v", addr, got, err)
		}
	}
}
