package connection

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long tests wait for what has to happen. No test depends on how soon it does.
const patience = 2 * time.Minute

var ok = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })

// dial connects to a server on this machine from one of its loopback addresses.
func dial(t testing.TB, from, host string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// send sends a GET request and reads the status of the answer. The connection stays open.
func send(t testing.TB, c net.Conn) int {
	t.Helper()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode
}

// untilClosed returns what the server sends before it closes the connection.
func untilClosed(t testing.TB, c net.Conn) string {
	t.Helper()
	text, err := io.ReadAll(c)
	if err != nil && isTimeout(err) {
		t.Fatal("the connection stays open")
	}
	return string(text)
}

// waitFor waits until a condition holds.
func waitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not so after %v", what, patience)
		}
	}
}

// events counts events.
type events struct {
	mu     sync.Mutex
	counts map[Event]int
}

func (e *events) count(event Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.counts == nil {
		e.counts = map[Event]int{}
	}
	e.counts[event]++
}

func (e *events) of(event Event) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.counts[event]
}

func TestValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Config){
		"connections":        func(c *Config) { c.MaxConnections = -1 },
		"of a client":        func(c *Config) { c.MaxPerClient = -1 },
		"128":                func(c *Config) { c.IPv6Prefix = 129 },
		"header timeout":     func(c *Config) { c.HeaderTimeout = 0 },
		"shorter than":       func(c *Config) { c.ReadTimeout = time.Second },
		"streams":            func(c *Config) { c.HTTP2.MaxStreams = 0 },
		"lingering close":    func(c *Config) { c.Linger.Bytes = -1 },
		"burst of resets":    func(c *Config) { c.HTTP2.Resets = Rate{} },
		"bytes of a header":  func(c *Config) { c.MaxHeaderBytes = 0 },
		"bits of an IPv6":    func(c *Config) { c.IPv6Prefix = 0 },
		"CONTINUATION":       func(c *Config) { c.HTTP2.MaxContinuations = 0 },
		"burst of window":    func(c *Config) { c.HTTP2.Windows.Burst = 0 },
		"burst of control":   func(c *Config) { c.HTTP2.Controls.Burst = 0 },
		"idle timeout":       func(c *Config) { c.IdleTimeout = 0 },
		"after its answer":   func(c *Config) { c.Linger.StreamIdle = -1 },
		"write timeout":      func(c *Config) { c.WriteTimeout = -1 },
		"lingering conn":     func(c *Config) { c.Linger.Max = -1 },
		"connections of a c": func(c *Config) { c.Linger.MaxPerClient = -1 },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestClientAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"fe80::1%eth0": "fe80::/64",
	} {
		a, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(address, "1234"))
		if err != nil {
			t.Fatal(err)
		}
		if have := clientAddress(a, 64).String(); have != want {
			t.Errorf("%s belongs to %s, want %s", address, have, want)
		}
	}
	if have := clientAddress(&net.UnixAddr{Name: "x"}, 64); have.IsValid() {
		t.Errorf("a unix socket has the address %v", have)
	}
}

// TestIdleConnectionsOfOneClient checks that a client that holds more connections than the server allows stops
// neither another client nor itself.
func TestIdleConnectionsOfOneClient(t *testing.T) {
	var seen events
	s, host := start(t, ok, func(c *Config) { c.Count = seen.count })
	const held = 1100
	for range held {
		if status := send(t, dial(t, "127.0.0.1", host)); status != 200 {
			t.Fatal(status)
		}
	}
	if status := send(t, dial(t, "127.0.0.2", host)); status != 200 {
		t.Error(status)
	}
	limit := DefaultConfig().MaxPerClient
	if have := s.Stats(); have.Open != limit+1 || have.Clients != 2 {
		t.Errorf("%+v", have)
	}
	if have := seen.of(Evicted); have != held-limit {
		t.Errorf("%d connections were closed for others, want %d", have, held-limit)
	}
}

// TestEviction checks which connection is closed for a new one: the longest idle one of the client with most.
func TestEviction(t *testing.T) {
	s, host := start(t, ok, func(c *Config) { c.MaxConnections = 4 })
	open := 0
	// A connection is idle a little after its answer.
	sendUntilIdle := func(c net.Conn) {
		send(t, c)
		waitFor(t, "all are idle", func() bool { return s.Stats().Idle == open })
	}
	dialOne := func(from string) net.Conn {
		c := dial(t, from, host)
		open++
		sendUntilIdle(c)
		return c
	}
	one := dialOne("127.0.0.2")
	many := []net.Conn{dialOne("127.0.0.1"), dialOne("127.0.0.1"), dialOne("127.0.0.1")}
	sendUntilIdle(many[0]) // now many[1] is the longest idle
	if status := send(t, dial(t, "127.0.0.3", host)); status != 200 {
		t.Error(status)
	}
	if text := untilClosed(t, many[1]); text != "" {
		t.Errorf("%q", text)
	}
	for _, c := range []net.Conn{one, many[0], many[2]} {
		send(t, c) // fails the test if the connection is closed
	}
}

// TestBusyConnections checks the limits when no connection is idle: a client over its own limit is refused, and
// other clients wait for a place.
func TestBusyConnections(t *testing.T) {
	entered, leave := make(chan bool), make(chan bool)
	var seen events
	_, host := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered <- true
		<-leave
	}), func(c *Config) { c.MaxConnections, c.MaxPerClient, c.Count = 3, 2, seen.count })
	for _, client := range []string{"127.0.0.1", "127.0.0.1", "127.0.0.2"} {
		fmt.Fprint(dial(t, client, host), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		<-entered
	}
	refused := dial(t, "127.0.0.1", host)
	if text := untilClosed(t, refused); text != "" || seen.of(ClientLimit) != 1 {
		t.Errorf("%q, refused %d", text, seen.of(ClientLimit))
	}
	answered := make(chan int)
	waiting := dial(t, "127.0.0.3", host)
	go func() { answered <- send(t, waiting) }()
	leave <- true // the first is answered, and its connection is idle
	<-entered
	close(leave)
	if status := <-answered; status != 200 {
		t.Error(status)
	}
}

// TestSlowHeader checks that a header that does not end is cut off, that the connection counts as idle, and that it
// does not linger: it has no answer to read.
func TestSlowHeader(t *testing.T) {
	s, host := start(t, ok, func(c *Config) { c.HeaderTimeout = 200 * time.Millisecond })
	c := dial(t, "127.0.0.1", host)
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n")
	waitFor(t, "it is idle", func() bool { return s.Stats().Idle == 1 })
	stopped := make(chan bool)
	go func() {
		defer close(stopped)
		for {
			if _, err := fmt.Fprint(c, "X: y\r\n"); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	untilClosed(t, c)
	if lingering := s.Stats().Lingering; lingering != 0 {
		t.Errorf("%d connections linger", lingering)
	}
	c.Close()
	<-stopped
}

// TestLingering checks the limits of a lingering close. Such a connection takes no place.
func TestLingering(t *testing.T) {
	var seen events
	s, host := start(t, refuser, func(c *Config) {
		c.MaxConnections, c.Linger.Bytes, c.Linger.Max, c.Linger.MaxPerClient = 1, 1<<20, 2, 1
		c.Linger.Timeout, c.Linger.Idle = patience, patience
		c.Count = seen.count
	})
	upload := func(from string) net.Conn {
		c := dial(t, from, host)
		fmt.Fprint(c, "POST /401 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || answer.StatusCode != 401 || !answer.Close {
			t.Fatalf("%v, %v", answer, err)
		}
		answer.Body.Close()
		return c
	}
	first := upload("127.0.0.1")
	waitFor(t, "one lingers", func() bool { return s.Stats() == Stats{Lingering: 1, Clients: 1} })
	upload("127.0.0.1") // over the limit of the client
	waitFor(t, "it is closed", func() bool { return seen.of(LingerLimit) == 1 && s.Stats().Open == 0 })
	upload("127.0.0.2")
	waitFor(t, "two linger", func() bool { return s.Stats().Lingering == 2 })
	upload("127.0.0.3") // over the limit of all
	waitFor(t, "it is closed", func() bool { return seen.of(LingerLimit) == 2 && s.Stats().Open == 0 })
	for { // beyond the limit of bytes
		if _, err := first.Write(make([]byte, 64<<10)); err != nil {
			break
		}
	}
	waitFor(t, "it is cut", func() bool { return seen.of(LingerCut) == 1 && s.Stats().Lingering == 1 })
}

// TestLingeringOverTLS checks that a refusal over TLS lingers, too.
func TestLingeringOverTLS(t *testing.T) {
	s, host := start(t, refuser, func(c *Config) { c.TLS = certificate(t) })
	c := tls.Client(dial(t, "127.0.0.1", host), &tls.Config{InsecureSkipVerify: true})
	fmt.Fprint(c, "POST /401 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
	if answer, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || answer.StatusCode != 401 {
		t.Fatalf("%v, %v", answer, err)
	}
	waitFor(t, "it lingers", func() bool { return s.Stats().Lingering == 1 })
	c.Close()
	waitFor(t, "nothing is left", func() bool { return s.Stats() == Stats{} })
}

// TestLingeringEnds checks that a lingering connection ends when the client closes its side, or is silent.
func TestLingeringEnds(t *testing.T) {
	var seen events
	s, host := start(t, refuser, func(c *Config) { c.Linger.Idle, c.Count = 100*time.Millisecond, seen.count })
	for _, closes := range []bool{true, false} {
		c := dial(t, "127.0.0.1", host)
		fmt.Fprint(c, "POST /401 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
		if text := untilClosed(t, c); !strings.HasPrefix(text, "HTTP/1.1 401 ") {
			t.Errorf("%q", text)
		}
		if closes {
			c.Close()
		}
		waitFor(t, "nothing is left", func() bool { return s.Stats() == Stats{} })
	}
	if seen.of(LingerCut) == 0 {
		t.Error("the silent client was not counted")
	}
}

// TestShutdown checks that requests in progress are answered, and that clients that still send read their answer.
func TestShutdown(t *testing.T) {
	entered, leave := make(chan bool), make(chan bool)
	s, host := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- true
		<-leave
		refuser(w, r)
	}), nil)
	c := dial(t, "127.0.0.1", host)
	fmt.Fprint(c, "POST /503 HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n")
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(context.Background()) }()
	waitFor(t, "it takes no connection", func() bool {
		late, err := net.Dial("tcp", host)
		if err == nil {
			late.Close()
		}
		return err != nil
	})
	leave <- true
	if _, err := c.Write(make([]byte, 10_000_000)); err != nil {
		t.Error(err)
	}
	if text := untilClosed(t, c); !strings.HasPrefix(text, "HTTP/1.1 503 ") {
		t.Errorf("%q", text)
	}
	c.Close()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestShutdownInVain checks that Shutdown gives up, and that Close then ends everything.
func TestShutdownInVain(t *testing.T) {
	entered := make(chan bool)
	s, host := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		entered <- true
		<-r.Context().Done()
	}), nil)
	fmt.Fprint(dial(t, "127.0.0.1", host), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestUnixSocket checks that connections without an address are served, and not limited as one client.
func TestUnixSocket(t *testing.T) {
	s, _ := start(t, ok, func(c *Config) { c.MaxPerClient = 1 })
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil && runtime.GOOS == "windows" {
		t.Skip("Windows has Unix sockets since version 10:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	for range 3 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if status := send(t, c); status != 200 {
			t.Error(status)
		}
	}
	waitFor(t, "three are idle", func() bool { return s.Stats() == Stats{Open: 3, Idle: 3, Clients: 1} })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestEvents checks that each event is listed once.
func TestEvents(t *testing.T) {
	all := Events()
	slices.Sort(all)
	if n := len(all); len(slices.Compact(all)) != n || n != 9 {
		t.Errorf("%v", all)
	}
}
