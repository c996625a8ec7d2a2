package queue_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"garb/queue"
)

// startServer runs a NATS server of its own, as a cluster's operator would.
func startServer(t *testing.T, o server.Options) *server.Server {
	t.Helper()
	o.Host, o.NoSigs, o.NoLog = "127.0.0.1", true, true
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	if o.JetStream {
		o.StoreDir = newFolder(t)
	}
	s, err := server.NewServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("the server does not start")
	}
	return s
}

// connect opens a queue on a server and closes it when the test ends.
func connect(t *testing.T, o queue.Options) *queue.Queue {
	t.Helper()
	q, err := queue.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

// A server with JetStream and a token serves a job, and wrong tokens and replicas are refused.
func TestServer(t *testing.T) {
	s := startServer(t, server.Options{JetStream: true, Authorization: "secret"})
	for _, token := range []string{"", "wrong"} {
		_, err := queue.Open(t.Context(), queue.Options{URL: s.ClientURL(), Token: token})
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), "authorization") {
			t.Errorf("token %q: %v", token, err)
		}
	}
	o := queue.Options{URL: s.ClientURL(), Token: "secret"}
	q := connect(t, o)
	create(t, q, queue.Job{})
	put(t, q, number(0, 30))
	work(t, connect(t, o), newWorker(readName))
	if got, _ := collect(t, q); len(got) != 30 {
		t.Errorf("%d rows", len(got))
	}
	o.Replicas = 3
	err := connect(t, o).Create(t.Context(), queue.Job{Name: "three", Task: queue.Embed})
	if err == nil || !strings.Contains(err.Error(), "replicas") {
		t.Errorf("three replicas on one server: %v", err)
	}
}

// Servers without JetStream and addresses without a server are errors that name the address.
func TestServerIsNoUse(t *testing.T) {
	plain := startServer(t, server.Options{})
	_, err := queue.Open(t.Context(), queue.Options{URL: plain.ClientURL()})
	if err == nil || !strings.Contains(err.Error(), "JetStream is off") || !strings.Contains(err.Error(),
		plain.ClientURL()) {
		t.Errorf("without JetStream: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "nats://" + listener.Addr().String()
	listener.Close()
	if _, err = queue.Open(t.Context(), queue.Options{URL: url}); err == nil || !strings.Contains(err.Error(), url) {
		t.Errorf("without a server: %v", err)
	}
	_, err = queue.Open(t.Context(), queue.Options{URL: plain.ClientURL(), Credentials: "/no/such.creds"})
	if err == nil || !strings.Contains(err.Error(), "such.creds") {
		t.Errorf("without credentials: %v", err)
	}
}

// findPorts returns free ports.
func findPorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// A cluster of three keeps three copies: the job goes on when a server ends.
func TestCluster(t *testing.T) {
	ports := findPorts(t, 3)
	var routes []string
	for _, port := range ports {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	var servers []*server.Server
	var urls []string
	for i, port := range ports {
		o := server.Options{JetStream: true, ServerName: fmt.Sprint("s", i),
			Routes: server.RoutesFromStr(strings.Join(routes, ","))}
		o.Cluster.Name, o.Cluster.Host, o.Cluster.Port = "garb", "127.0.0.1", port
		s := startServer(t, o)
		servers, urls = append(servers, s), append(urls, s.ClientURL())
	}
	for !servers[0].JetStreamIsCurrent() || servers[0].NumRoutes() == 0 {
		time.Sleep(50 * time.Millisecond)
	}
	q := connect(t, queue.Options{URL: strings.Join(urls, ","), Replicas: 3})
	create(t, q, queue.Job{DeadlineSeconds: 2})
	put(t, q, number(0, 200))
	w := newWorker(readName)
	w.Threads, w.Readers = 1, 1
	shutdown := sync.OnceFunc(servers[2].Shutdown)
	w.Done = func(int, int) { shutdown() }
	work(t, q, w)
	if got, _ := collect(t, q); len(got) != 200 {
		t.Errorf("%d rows", len(got))
	}
	q = connect(t, queue.Options{URL: urls[0], Replicas: 5})
	err := q.Create(t.Context(), queue.Job{Name: "five", Task: queue.Embed})
	if err == nil || !strings.Contains(err.Error(), "the cluster has no 5 servers that are ready") {
		t.Errorf("five replicas on three servers: %v", err)
	}
}

// A folder that listens is open to other machines that have its token, and to no others.
func TestListen(t *testing.T) {
	q := connect(t, queue.Options{Dir: newFolder(t), Listen: "127.0.0.1:0", Token: "secret"})
	create(t, q, queue.Job{})
	put(t, q, number(0, 9))
	for _, token := range []string{"", "wrong"} {
		if _, err := queue.Open(t.Context(), queue.Options{URL: q.Address(), Token: token}); err == nil {
			t.Errorf("token %q was accepted", token)
		}
	}
	other := connect(t, queue.Options{URL: q.Address(), Token: "secret"})
	work(t, other, newWorker(readName))
	if got, _ := collect(t, q); len(got) != 9 {
		t.Errorf("%d rows", len(got))
	}
	for _, listen := range []string{
		"4222", "a:b", ":99999999", strings.TrimPrefix(q.Address(), "nats://"), // in use
	} {
		if _, err := queue.Open(t.Context(), queue.Options{Dir: newFolder(t), Listen: listen}); err == nil {
			t.Errorf("%q can be listened at", listen)
		}
	}
}
