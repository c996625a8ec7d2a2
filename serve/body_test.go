package serve

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"runtime"
	"testing"

	"connectrpc.com/connect"

	"garb/serve/grpc"
	"garb/serve/inference"
	pb "garb/serve/inferencepb"
	"garb/serve/tensors"
)

func packed(t testing.TB, with func(io.Writer) io.WriteCloser, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := with(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(w io.Writer) io.WriteCloser  { return gzip.NewWriter(w) }
func deflated(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }

// TestCompressedBodies: what is compressed is read as what it holds, within the same bounds.
func TestCompressedBodies(t *testing.T) {
	r := start(t, &fake{}, func(c *Config) { c.Bodies.MaxBytes, c.Bodies.BudgetBytes = 1<<20, 3<<20 })
	whole := packed(t, gzipped, white())
	for _, c := range []struct {
		name, encoding string
		body           []byte
		status         int
	}{
		{"gzip", "gzip", whole, 200},
		{"large letters", "GZIP", whole, 200},
		{"deflate", "deflate", packed(t, deflated, white()), 200},
		{"as it is", "identity", white(), 200},
		{"not compressed", "gzip", white(), 400},
		{"cut", "gzip", whole[:len(whole)-6], 400},
		{"empty", "gzip", nil, 400},
		{"unknown", "br", whole, 415},
		{"twice", "gzip, gzip", packed(t, gzipped, whole), 415},
		{"the largest", "gzip", packed(t, gzipped, append(white(), make([]byte, 1<<20-len(white()))...)), 200},
		{"one byte more", "gzip", packed(t, gzipped, append(white(), make([]byte, 1<<20-len(white())+1)...)), 413},
		{"a bomb", "gzip", packed(t, gzipped, make([]byte, 1<<28)), 413},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		answer, text := post(t, r.url+"/v1/classify", "", c.body, "Content-Encoding", c.encoding)
		runtime.ReadMemStats(&after)
		if answer.StatusCode != c.status {
			t.Errorf("%s: %s %s, want %d", c.name, answer.Status, text, c.status)
		}
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 16<<20 {
			t.Errorf("%s: %d bytes were allocated", c.name, allocated)
		}
		if r.backend.Bodies.Used() != 0 {
			t.Errorf("%s: %d bytes are left", c.name, r.backend.Bodies.Used())
		}
	}
}

// TestCompressedMessages: the same for gRPC.
func TestCompressedMessages(t *testing.T) {
	r := start(t, &fake{}, func(c *Config) { c.Bodies.MaxBytes, c.Bodies.BudgetBytes = 1<<20, 3<<20 })
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	client := connect.NewClient[pb.ModelInferRequest, pb.ModelInferResponse](&http.Client{Transport: transport},
		r.url+inference.Service+"ModelInfer", connect.WithGRPC(), connect.WithSendGzip())
	infer := func(picture []byte) (*pb.ModelInferResponse, error) {
		answer, err := client.CallUnary(t.Context(),
			connect.NewRequest(&pb.ModelInferRequest{ModelName: "m", Inputs: []*inputMessage{{
				Name: "picture", Datatype: tensors.Bytes, Shape: []int64{1},
				Contents: &pb.InferTensorContents{BytesContents: [][]byte{picture}},
			}}}))
		if err != nil {
			return nil, err
		}
		return answer.Msg, nil
	}
	if answer, err := infer(white()); err != nil || len(answer.Outputs) == 0 {
		t.Errorf("%v, %v", answer, err)
	}
	if _, err := infer(make([]byte, 1<<26)); connect.CodeOf(err) != grpc.Code(413) {
		t.Errorf("a bomb: %v", err)
	}
	// Frames that connect's client does not make.
	for name, frame := range map[string][]byte{
		"not compressed": {1, 0, 0, 0, 3, 1, 2, 3},
		"too short":      {1, 0, 0, 0, 9, 1, 2, 3},
		"too long":       {1, 0, 0, 0, 1, 1, 2, 3},
	} {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+inference.Service+"ModelInfer",
			bytes.NewReader(frame))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Content-Type", "application/grpc")
		q.Header.Set("Grpc-Encoding", "gzip")
		answer, err := transport.RoundTrip(q)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if status := answer.Trailer.Get("Grpc-Status") + answer.Header.Get("Grpc-Status"); status != "3" {
			t.Errorf("%s: status %q, want 3", name, status)
		}
	}
	if r.backend.Bodies.Used() != 0 {
		t.Errorf("%d bytes are left", r.backend.Bodies.Used())
	}
}
