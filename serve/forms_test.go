package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"

	"garb/serve/inference"
	pb "garb/serve/inferencepb"
)

// TestErrorForms: every error has the form of the protocol that its path belongs to.
func TestErrorForms(t *testing.T) {
	r := start(t, &fake{}, nil)
	const problem, protocol = "application/problem+json", "application/json"
	type errorCase struct {
		method, path, timeout string
		status                int
		allow                 string
	}
	for form, paths := range map[string][]string{
		protocol: {"/v2", "/v2/health/ready", "/v2/models/m", "/v1/models/m"},
		problem:  {"/healthz", "/readyz", "/metrics"},
	} {
		var cases []errorCase
		for _, path := range paths {
			cases = append(cases, errorCase{http.MethodGet, path + "/nothing/here", "", 404, ""},
				errorCase{http.MethodGet, path + "//", "", 404, ""},
				errorCase{http.MethodGet, path + "/../../x", "", 404, ""},
				errorCase{http.MethodPut, path, "", 405, "GET, HEAD"},
				errorCase{http.MethodGet, path, "soon", 400, ""},
				errorCase{http.MethodGet, path + "?x=1", "", 400, ""},
				errorCase{http.MethodGet, path + "?x;y", "", 400, ""},
				errorCase{http.MethodGet, path + "?%zz", "", 400, ""})
		}
		for _, c := range cases {
			q, err := http.NewRequestWithContext(t.Context(), c.method, r.url+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.timeout != "" {
				q.Header.Set("X-Request-Timeout", c.timeout)
			}
			answer, err := http.DefaultTransport.RoundTrip(q)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			allow := answer.Header.Get("Allow")
			if answer.StatusCode != c.status || answer.Header.Get("Content-Type") != form ||
				!strings.HasPrefix(allow, c.allow) || (c.allow == "") != (allow == "") {
				t.Errorf("%s %s: %s, %s, Allow %q\n%s", c.method, c.path, answer.Status,
					answer.Header.Get("Content-Type"), allow, text)
			}
			var value map[string]any
			if err := json.Unmarshal(text, &value); err != nil || (form == protocol) != (value["error"] != nil) {
				t.Errorf("%s %s: %s", c.method, c.path, text)
			}
		}
	}
}

// callGRPC sends a request to a path as a gRPC client does, and returns the status in the trailers.
func callGRPC(
	t testing.TB, r *running, path, contentType string, body io.Reader, header ...string,
) (*http.Response, string) {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", contentType)
	q.Header.Set("Te", "trailers")
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	answer, err := transport.RoundTrip(q)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err = io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	status := answer.Trailer.Get("Grpc-Status") + answer.Header.Get("Grpc-Status")
	return answer, status
}

// TestErrorFormsGRPC: errors of gRPC requests are in the trailers, whatever their path.
func TestErrorFormsGRPC(t *testing.T) {
	var broken atomic.Bool
	r := start(t, &fake{OnOutputs: func(context.Context, []float32, []float32) error {
		if broken.Load() {
			panic("x")
		}
		return nil
	}}, nil)
	empty := make([]byte, 5)
	const method = inference.Service + "ServerLive"
	for name, c := range map[string]struct {
		path, contentType string
		body              []byte
		header            []string
		code              connect.Code
	}{
		"unknown method":  {inference.Service + "Nothing", "application/grpc", empty, nil, connect.CodeUnimplemented},
		"unknown service": {"/some.Service/Call", "application/grpc+proto", empty, nil, connect.CodeUnimplemented},
		"path of another protocol": {"/v2/models/m/nothing", "application/grpc", empty, nil,
			connect.CodeUnimplemented},
		"timeout": {method, "application/grpc", empty, []string{"X-Request-Timeout", "soon"},
			connect.CodeInvalidArgument},
		"query": {method + "?x=1", "application/grpc", empty, nil, connect.CodeInvalidArgument},
		"codec": {method, "application/grpc+json", empty, nil, connect.CodeInvalidArgument},
		"compression": {method, "application/grpc", []byte{1, 0, 0, 0, 1, 0}, []string{"Grpc-Encoding", "br"},
			connect.CodeUnimplemented},
		"body": {method, "application/grpc", []byte{0, 0, 0, 0, 9, 1}, nil, connect.CodeInvalidArgument},
	} {
		answer, status := callGRPC(t, r, c.path, c.contentType, bytes.NewReader(c.body), c.header...)
		if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != c.contentType ||
			status != fmt.Sprint(uint32(c.code)) {
			t.Errorf("%s: %s, %s, grpc-status %q, not %d", name, answer.Status, answer.Header.Get("Content-Type"),
				status, c.code)
		}
	}
	// The log has what connect refuses, too.
	_, status := callGRPC(t, r, method, "application/grpc", bytes.NewReader([]byte{0, 0, 0, 0, 2, 255, 255}))
	waitFor(t, "the refusal is in the log", func() bool {
		return strings.Contains(r.log.String(), "unmarshal") && status == "3"
	})
	// What is no gRPC gets an answer that other clients can read.
	answer, text := post(t, r.url+method, "application/json", []byte("{}"))
	if answer.StatusCode != http.StatusUnsupportedMediaType || !bytes.Contains(text, []byte(`"media_type"`)) {
		t.Errorf("%s: %s", answer.Status, text)
	}
	broken.Store(true)
	q := &pb.ModelInferRequest{Inputs: []*inputMessage{{Datatype: "BYTES", Shape: []int64{1},
		Contents: &pb.InferTensorContents{BytesContents: [][]byte{white()}}}}}
	if _, err := inferGRPC(t, r, q); connect.CodeOf(err) != connect.CodeInternal {
		t.Errorf("a panic: %v", err)
	}
}

// TestFieldNames: forms may use the names of fields that other services have.
func TestFieldNames(t *testing.T) {
	r := start(t, &fake{}, nil)
	for _, name := range []string{"picture", "image", "file", "files", "data", "upload"} {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		part, err := w.CreateFormFile(name, "a.gif")
		if err != nil {
			t.Fatal(err)
		}
		if _, err = part.Write(white()); err == nil {
			err = w.WriteField("comment", "ignored")
		}
		if err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		answer, text := post(t, r.url+"/v1/classify", w.FormDataContentType(), body.Bytes())
		if answer.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(`"picture":"a.gif"`)) {
			t.Errorf("%s: %s %s", name, answer.Status, text)
		}
	}
}

// TestQueryParameters: openapi.json describes the query parameters that are accepted.
func TestQueryParameters(t *testing.T) {
	for _, o := range operations(described(t)) {
		var have []string
		for _, p := range slices.Concat(list(o.item["parameters"]), list(o.value["parameters"])) {
			if p := resolved(described(t), p); p["in"] == "query" {
				have = append(have, p["name"].(string))
			}
		}
		if want := queryParameters[o.method+" "+o.path]; !slices.Equal(have, want) {
			t.Errorf("%v: %v are described, %v accepted", o, have, want)
		}
	}
}
