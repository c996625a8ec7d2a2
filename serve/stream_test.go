package serve

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"

	"garb/serve/health"
	"garb/serve/healthpb"
	"garb/serve/inference"
	pb "garb/serve/inferencepb"
	"garb/serve/tensors"
)

// client returns a client of a procedure, as gRPC has them.
func client[Q, A any](
	t testing.TB, r *running, procedure string, options ...connect.ClientOption,
) *connect.Client[Q, A] {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return connect.NewClient[Q, A](&http.Client{Transport: transport}, r.url+procedure,
		append(options, connect.WithGRPC())...)
}

type inferStream = connect.BidiStreamForClient[pb.ModelInferRequest, pb.ModelStreamInferResponse]

// openStream opens a stream of inferences.
func openStream(t testing.TB, r *running, options ...connect.ClientOption) *inferStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return client[pb.ModelInferRequest, pb.ModelStreamInferResponse](t, r, inference.StreamInfer,
		options...).CallBidiStream(ctx)
}

// pictureMessage is a request with a picture.
func pictureMessage(id string, picture []byte) *pb.ModelInferRequest {
	return &pb.ModelInferRequest{ModelName: "m", Id: id, Inputs: []*inputMessage{{Name: "picture",
		Datatype: tensors.Bytes, Shape: []int64{1},
		Contents: &pb.InferTensorContents{BytesContents: [][]byte{picture}}}}}
}

// TestStream: each request of a stream has its response, errors too.
func TestStream(t *testing.T) {
	for name, options := range map[string][]connect.ClientOption{"plain": nil,
		"compressed": {connect.WithSendGzip()}} {
		r := start(t, &fake{}, nil)
		s := openStream(t, r, options...)
		for _, c := range []struct {
			q    *pb.ModelInferRequest
			says string
		}{
			{pictureMessage("1", white()), ""},
			{pictureMessage("2", []byte("text")), "not a picture"},
			{&pb.ModelInferRequest{ModelName: "n", Id: "3"}, "no such model"},
			{&pb.ModelInferRequest{Id: "4"}, "one input"},
			{pictureMessage("5", black()), ""},
		} {
			if err := s.Send(c.q); err != nil {
				t.Fatal(err)
			}
			a, err := s.Receive()
			if err != nil {
				t.Fatalf("%s: %s: %v", name, c.q.Id, err)
			}
			if a.InferResponse.Id != c.q.Id || (a.ErrorMessage == "") != (c.says == "") ||
				!strings.Contains(a.ErrorMessage, c.says) || (len(a.InferResponse.Outputs) > 0) != (c.says == "") {
				t.Errorf("%s: %s: %v; want %q", name, c.q.Id, a, c.says)
			}
		}
		if err := s.CloseRequest(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Receive(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: the end: %v", name, err)
		}
		waitFor(t, "the budget is free", func() bool { return r.backend.Bodies.Used() == 0 })
		if !strings.Contains(r.log.String(), inference.StreamInfer) {
			t.Errorf("%s: the stream is not in the log: %s", name, r.log)
		}
	}
}

// TestFinalResponse: clients may ask which response of a stream is the last one of a request.
func TestFinalResponse(t *testing.T) {
	s := openStream(t, start(t, &fake{}, nil))
	q := pictureMessage("1", white())
	q.Parameters = map[string]*pb.InferParameter{"triton_enable_empty_final_response": {
		ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: true}}}
	if err := s.Send(q); err != nil {
		t.Fatal(err)
	}
	a, err := s.Receive()
	if err != nil || !a.InferResponse.Parameters["triton_final_response"].GetBoolParam() {
		t.Errorf("%v, %v", a, err)
	}
	if err := errors.Join(s.CloseRequest(), s.CloseResponse()); err != nil {
		t.Error(err)
	}
}

// TestStreamLimits: messages of a stream are within the limits of bodies, and a stream may last longer
// than a request, but not without messages.
func TestStreamLimits(t *testing.T) {
	r := start(t, &fake{}, func(c *Config) {
		c.Bodies.MaxBytes, c.Bodies.BudgetBytes = 1<<20, 3<<20
		c.RequestTimeout, c.Connection.HeaderTimeout = 300*time.Millisecond, 100*time.Millisecond
		c.Connection.IdleTimeout = 2 * time.Second
	})
	for name, options := range map[string][]connect.ClientOption{"large": nil, "bomb": {connect.WithSendGzip()}} {
		s := openStream(t, r, options...)
		if err := s.Send(pictureMessage("1", make([]byte, 2<<20))); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if _, err := s.Receive(); connect.CodeOf(err) != connect.CodeResourceExhausted ||
			!strings.Contains(err.Error(), "1048576 bytes") {
			t.Errorf("%s: %v", name, err)
		}
		_ = s.CloseRequest()
	}
	s := openStream(t, r)
	for range 5 {
		if err := s.Send(pictureMessage("1", white())); err != nil {
			t.Fatal(err)
		}
		if a, err := s.Receive(); err != nil || a.ErrorMessage != "" {
			t.Fatalf("%v, %v", a, err)
		}
		time.Sleep(150 * time.Millisecond) // in all, beyond every timeout of a request
	}
	began := time.Now()
	if _, err := s.Receive(); connect.CodeOf(err) != connect.CodeDeadlineExceeded || time.Since(began) < time.Second {
		t.Errorf("an idle stream: %v after %v", err, time.Since(began))
	}
	_ = s.CloseRequest()
	waitFor(t, "the budget is free", func() bool { return r.backend.Bodies.Used() == 0 })
}

// TestStreamFrames: messages that stop half way, and timeouts that a client sets, end a stream.
func TestStreamFrames(t *testing.T) {
	r := start(t, &fake{}, func(c *Config) { c.RequestTimeout = time.Second })
	for name, c := range map[string]struct {
		body   []byte
		ends   bool // the body ends
		header []string
		code   connect.Code
	}{
		"a stalled message": {[]byte{0, 0, 1, 0, 0, 1, 2}, false, nil, connect.CodeDeadlineExceeded},
		"a cut message":     {[]byte{0, 0, 1, 0, 0, 1, 2}, true, nil, connect.CodeInvalidArgument},
		"a cut prefix":      {[]byte{0, 0}, true, nil, connect.CodeInvalidArgument},
		"too large":         {[]byte{0, 255, 0, 0, 0}, false, nil, connect.CodeResourceExhausted},
		"another compression": {[]byte{1, 0, 0, 0, 1, 1}, false, []string{"Grpc-Encoding", "br"},
			connect.CodeUnimplemented},
		"not compressed": {[]byte{1, 0, 0, 0, 1, 1}, false, []string{"Grpc-Encoding", "gzip"},
			connect.CodeInvalidArgument},
		"no message":            {[]byte{0, 0, 0, 0, 2, 255, 255}, false, nil, connect.CodeInvalidArgument},
		"a timeout of a client": {nil, false, []string{"X-Request-Timeout", "200ms"}, connect.CodeDeadlineExceeded},
	} {
		in, out := io.Pipe()
		go func() {
			_, _ = out.Write(c.body)
			if c.ends {
				out.Close()
			}
		}()
		_, status := callGRPC(t, r, inference.StreamInfer, "application/grpc", in, c.header...)
		if status != strconv.Itoa(int(c.code)) {
			t.Errorf("%s: grpc-status %s, not %d", name, status, c.code)
		}
		in.Close()
	}
	waitFor(t, "the budget is free", func() bool { return r.backend.Bodies.Used() == 0 })
}

// TestStreamStops: an idle stream ends when the service stops, and does not take its grace period.
func TestStreamStops(t *testing.T) {
	r := start(t, &fake{}, nil)
	s := openStream(t, r)
	if err := s.Send(pictureMessage("1", white())); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Receive(); err != nil {
		t.Fatal(err)
	}
	watch := watchHealth(t, r, "")
	began := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	if _, err := s.Receive(); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("the stream: %v", err)
	}
	if !watch.Receive() || watch.Msg().Status != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("the watch: %v, %v", watch.Msg(), watch.Err())
	}
	if watch.Receive() || connect.CodeOf(watch.Err()) != connect.CodeUnavailable {
		t.Errorf("the end of the watch: %v", watch.Err())
	}
	if err := <-stopped; err != nil || time.Since(began) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// TestStreamNeedsKey: a stream is refused as a whole.
func TestStreamNeedsKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	writeFile(t, path, []byte("secret\n"))
	r := start(t, &fake{}, func(c *Config) { c.APIKeyFile = path })
	s := openStream(t, r)
	_ = s.Send(nil) // the header
	if _, err := s.Receive(); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("a stream: %v", err)
	}
	_ = s.CloseRequest()
	if _, err := checkHealth(t, r, "m"); err != nil {
		t.Errorf("health: %v", err)
	}
	if _, err := reflectServices(t, r, nil); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("reflection: %v", err)
	}
	names, err := reflectServices(t, r, http.Header{"X-Api-Key": {"secret"}})
	if err != nil || len(names) < 3 {
		t.Errorf("reflection with a key: %v, %v", names, err)
	}
}

type (
	healthQuestion = healthpb.HealthCheckRequest
	healthAnswer   = healthpb.HealthCheckResponse
)

// watchHealth watches the health of a service, until its first status.
func watchHealth(t testing.TB, r *running, service string) *connect.ServerStreamForClient[healthAnswer] {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	s, err := client[healthQuestion, healthAnswer](t, r, health.Watch).CallServerStream(ctx,
		connect.NewRequest(&healthQuestion{Service: service}))
	if err != nil {
		t.Fatal(err)
	}
	if !s.Receive() {
		t.Fatal(s.Err())
	}
	return s
}

func checkHealth(t testing.TB, r *running, service string) (healthpb.HealthCheckResponse_ServingStatus, error) {
	t.Helper()
	a, err := client[healthQuestion, healthAnswer](t, r, "/"+health.Name+"/Check").CallUnary(t.Context(),
		connect.NewRequest(&healthQuestion{Service: service}))
	if err != nil {
		return 0, err
	}
	return a.Msg.Status, nil
}

// TestHealth: the service as a whole, its gRPC services and its models have a health.
func TestHealth(t *testing.T) {
	r := start(t, &fake{}, nil)
	const serving, notServing = healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING
	for _, service := range []string{"", "m", "inference.GRPCInferenceService"} {
		if s, err := checkHealth(t, r, service); err != nil || s != serving {
			t.Errorf("%q: %v, %v", service, s, err)
		}
	}
	if _, err := checkHealth(t, r, "hats"); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("an unknown service: %v", err)
	}
	watch := watchHealth(t, r, "hats")
	if watch.Msg().Status != healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
		t.Errorf("a watch of an unknown service: %v", watch.Msg())
	}
	if err := watch.Close(); err != nil {
		t.Error(err)
	}
	lister := client[healthpb.HealthListRequest, healthpb.HealthListResponse](t, r, "/"+health.Name+"/List")
	all, err := lister.CallUnary(t.Context(), connect.NewRequest(&healthpb.HealthListRequest{}))
	if err != nil || len(all.Msg.Statuses) != 2+len(services) || all.Msg.Statuses["m"].GetStatus() != serving {
		t.Errorf("%v, %v", all, err)
	}
	r.backend.Scheduler.Stop()
	for _, service := range []string{"", "m"} {
		if s, err := checkHealth(t, r, service); err != nil || s != notServing {
			t.Errorf("%q while stopping: %v, %v", service, s, err)
		}
	}
}

// reflectServices lists the services by reflection, in both versions of it, and their descriptors.
func reflectServices(t testing.TB, r *running, header http.Header) (names []string, err error) {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	var options []grpcreflect.ClientStreamOption
	if header != nil {
		options = append(options, grpcreflect.WithRequestHeaders(header))
	}
	s := grpcreflect.NewClient(&http.Client{Transport: transport}, r.url, connect.WithGRPC()).NewStream(t.Context(),
		options...)
	defer s.Close()
	found, err := s.ListServices()
	for _, name := range found {
		names = append(names, string(name))
		if _, err = s.FileContainingSymbol(name); err != nil {
			return nil, err
		}
	}
	return names, err
}

// TestReflection: clients find the services, and the messages of each.
func TestReflection(t *testing.T) {
	names, err := reflectServices(t, start(t, &fake{}, nil), nil)
	if err != nil || strings.Join(names, " ") != "inference.GRPCInferenceService "+
		"tensorflow.serving.PredictionService tensorflow.serving.ModelService grpc.health.v1.Health "+
		"grpc.reflection.v1.ServerReflection grpc.reflection.v1alpha.ServerReflection" {
		t.Errorf("%v, %v", names, err)
	}
}

// TestAdminHealth: the listener for probes has the health protocol, without reflection or models' protocols.
func TestAdminHealth(t *testing.T) {
	r := start(t, &fake{}, nil)
	admin := httptest.NewUnstartedServer(r.adminHandler(true))
	admin.Config.Protocols = new(http.Protocols)
	admin.Config.Protocols.SetUnencryptedHTTP2(true)
	admin.Start()
	defer admin.Close()
	probes := &running{Server: r.Server, url: admin.URL}
	if s, err := checkHealth(t, probes, "m"); err != nil || s != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("%v, %v", s, err)
	}
	if _, err := inferGRPC(t, probes, pictureMessage("1", white())); connect.CodeOf(err) != connect.CodeUnimplemented {
		t.Errorf("inference: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestStreamKey: a key that is revoked while its stream is open has no more answers, and no more reflection.
func TestStreamKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	writeFile(t, path, []byte("secret\nother\n"))
	r := start(t, &fake{}, func(c *Config) { c.APIKeyFile = path })
	s := openStream(t, r)
	s.RequestHeader().Set("X-Api-Key", "secret")
	reflection := openReflection(t, r, "secret")
	ask := func() (inferring, reflecting error) {
		if err := s.Send(pictureMessage("1", white())); err != nil {
			t.Fatal(err)
		}
		_, inferring = s.Receive()
		_, reflecting = reflection.ListServices()
		return inferring, reflecting
	}
	if inferring, reflecting := ask(); inferring != nil || reflecting != nil {
		t.Fatalf("a valid key: %v, %v", inferring, reflecting)
	}
	writeFile(t, path, []byte("other\n"))
	if err := r.ReloadFiles(); err != nil {
		t.Fatal(err)
	}
	inferring, reflecting := ask()
	for _, err := range []error{inferring, reflecting} {
		if connect.CodeOf(err) != connect.CodeUnauthenticated {
			t.Errorf("a revoked key: %v", err)
		}
	}
}

// TestReflectionLimit: each question of a stream of reflection counts as a request of its key.
func TestReflectionLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	writeFile(t, path, []byte("[[key]]\nname = \"a\"\nkey = \"sixteen-characters\"\nrequests_per_second = 0.1\n"+
		"burst_seconds = 30\n"))
	r := start(t, &fake{}, func(c *Config) { c.APIKeyFile = path })
	s := openReflection(t, r, "sixteen-characters")
	for range 3 {
		if _, err := s.ListServices(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.ListServices(); connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("beyond the limit: %v", err)
	}
}

// TestManyWatches: streams of Watch, which need no API key, cannot take all connections.
func TestManyWatches(t *testing.T) {
	r := start(t, &fake{}, nil)
	c := client[healthQuestion, healthAnswer](t, r, health.Watch)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 513 {
		s, err := c.CallServerStream(ctx, connect.NewRequest(&healthQuestion{}))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := s.Receive(), i < 512; got != want {
			t.Fatalf("stream %d: %v", i, s.Err())
		}
		if i == 512 && connect.CodeOf(s.Err()) != connect.CodeResourceExhausted {
			t.Error(s.Err())
		}
	}
}

// openReflection opens a stream of reflection with an API key.
func openReflection(t testing.TB, r *running, key string) *grpcreflect.ClientStream {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return grpcreflect.NewClient(&http.Client{Transport: transport}, r.url, connect.WithGRPC()).NewStream(t.Context(),
		grpcreflect.WithRequestHeaders(http.Header{"X-Api-Key": {key}}))
}

// TestProbeBodies: who has no key cannot take the budget of those who have one, and full bodies fail no probe.
func TestProbeBodies(t *testing.T) {
	r := start(t, &fake{}, nil)
	long := strings.Repeat("x", 5<<10)
	if _, err := checkHealth(t, r, long); connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("a name of 5 KiB: %v", err)
	}
	for range 3 {
		watchHealth(t, r, long[:3<<10])
	}
	waitFor(t, "the streams take nothing", func() bool { return r.backend.Probes.Used() == 0 })
	if used := r.backend.Bodies.Used(); used != 0 {
		t.Errorf("%d bytes of the budget are taken", used)
	}
}
