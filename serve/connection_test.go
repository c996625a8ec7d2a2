package serve

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func dial(t testing.TB, r *running) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// untilClosed returns what a server says before it closes a connection, and when that is.
func untilClosed(t testing.TB, c net.Conn, began time.Time) (string, time.Duration) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(c)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatal("the connection stays open")
	}
	return string(text), time.Since(began)
}

// TestSlowClients: who sends a header or a body byte by byte is cut off, and others are
// answered meanwhile.
func TestSlowClients(t *testing.T) {
	r := start(t, &fake{}, func(c *Config) {
		c.Connection.HeaderTimeout, c.RequestTimeout, c.Connection.IdleTimeout = 200*time.Millisecond,
			400*time.Millisecond,
			300*time.Millisecond
	})
	began := time.Now()
	slowHeader, slowBody, idle := dial(t, r), dial(t, r), dial(t, r)
	drip := func(c net.Conn, text string) {
		for i := range text {
			if _, err := c.Write([]byte{text[i]}); err != nil {
				return // cut off
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		drip(slowHeader, "POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nX-Slow: "+strings.Repeat("a", 200))
	})
	wait.Go(func() {
		fmt.Fprint(slowBody, "POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000000\r\n\r\n")
		drip(slowBody, strings.Repeat("a", 200))
	})
	wait.Go(func() { fmt.Fprint(idle, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") })
	for range 5 {
		if answer, text := post(t, r.url+"/v1/classify", "", white()); answer.StatusCode != 200 {
			t.Errorf("meanwhile: %s %s", answer.Status, text)
		}
	}
	// What has come is a few bytes: no more memory than for these is taken.
	if taken := r.backend.Bodies.Used(); taken > 128<<10 {
		t.Errorf("%d bytes are taken for slow bodies", taken)
	}
	for name, c := range map[string]net.Conn{"header": slowHeader, "body": slowBody, "idle": idle} {
		if text, after := untilClosed(t, c, began); after > 5*time.Second {
			t.Errorf("a slow %s: %v, %q", name, after, text)
		}
	}
	wait.Wait()
	waitFor(t, "nothing is taken", func() bool { return r.backend.Bodies.Used() == 0 })
}

// TestSlowBodyTimesOut checks that a client's own timeout bounds the reading of its body, for each protocol.
func TestSlowBodyTimesOut(t *testing.T) {
	r := start(t, &fake{}, nil)
	for _, path := range []string{"/v1/classify", "/v1/models/m:predict", "/v2/models/m/infer"} {
		c := dial(t, r)
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nX-Request-Timeout: 50ms\r\nContent-Length: 1000000\r\n"+
			"Content-Type: application/json\r\n\r\n{", path)
		if text, _ := untilClosed(t, c, time.Now()); !strings.HasPrefix(text, "HTTP/1.1 504 ") {
			t.Errorf("%s: %q", path, text)
		}
	}
}

// TestRefusedUploads checks that a client that sends its whole body first reads why it was refused.
func TestRefusedUploads(t *testing.T) {
	r := start(t, &fake{}, nil)
	for range 5 {
		c := dial(t, r)
		const size = 40_000_000 // over the limit of a body
		fmt.Fprintf(c, "POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", size)
		if _, err := c.Write(make([]byte, size)); err != nil {
			t.Error(err)
		}
		if text, _ := untilClosed(t, c, time.Now()); !strings.HasPrefix(text, "HTTP/1.1 413 ") {
			t.Errorf("%q", text)
		}
	}
}

// TestHalfClosed: who closes their side is told something true, and nothing is left.
func TestHalfClosed(t *testing.T) {
	f, entered, open := gate()
	defer open()
	r := start(t, f, nil)
	c := dial(t, r)
	fmt.Fprintf(c, "POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(white()),
		white())
	<-entered
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil {
		defer answer.Body.Close()
		if answer.StatusCode == 200 {
			t.Errorf("%s", answer.Status)
		}
	}
	waitFor(t, "nothing is under way", func() bool { return r.backend.Scheduler.Depth() == 0 })
}

// TestBodiesTogether: many large bodies at a time are refused, not kept.
func TestBodiesTogether(t *testing.T) {
	r := start(t, &fake{}, func(c *Config) { c.Bodies.MaxBytes, c.Bodies.BudgetBytes = 1<<20, 3<<20 })
	var held []net.Conn
	for range 3 {
		c := dial(t, r)
		fmt.Fprint(c, "POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
		if _, err := c.Write(make([]byte, 900_000)); err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	waitFor(t, "most is taken", func() bool { return r.backend.Bodies.Used() > 2_700_000 })
	answer, text := post(t, r.url+"/v1/classify", "", make([]byte, 500_000))
	if answer.StatusCode != 429 {
		t.Errorf("%s %s", answer.Status, text)
	}
	for _, c := range held {
		c.Close()
	}
	waitFor(t, "all is given back", func() bool { return r.backend.Bodies.Used() == 0 })
	if answer, _ := post(t, r.url+"/v1/classify", "", white()); answer.StatusCode != 200 {
		t.Errorf("afterwards: %s", answer.Status)
	}
}

// TestConnections: more than so many wait until one ends.
func TestConnections(t *testing.T) {
	r := start(t, &fake{}, func(c *Config) {
		c.Connection.MaxConnections, c.Connection.IdleTimeout = 2,
			300*time.Millisecond
	})
	for range 2 {
		fmt.Fprint(dial(t, r), "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	began := time.Now()
	third := dial(t, r)
	fmt.Fprint(third, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	if text, _ := untilClosed(t, third, began); !strings.HasPrefix(text, "HTTP/1.1 200") {
		t.Errorf("%q", text)
	}
}

// TestLargeHeader: a header beyond the bound is refused.
func TestLargeHeader(t *testing.T) {
	r := start(t, &fake{}, nil)
	c := dial(t, r)
	fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Large: "+strings.Repeat("a", 22<<10)+"\r\n\r\n")
	if text, _ := untilClosed(t, c, time.Now()); !strings.HasPrefix(text, "HTTP/1.1 431") {
		t.Errorf("%q", text)
	}
}

// TestStopUnderLoad: told to stop while many ask, the service finishes all that it took:
// each request is answered in full, or refused, or finds nobody.
func TestStopUnderLoad(t *testing.T) {
	f := &fake{OnOutputs: func(context.Context, []float32, []float32) error {
		time.Sleep(time.Millisecond)
		return nil
	}}
	r := start(t, f, nil)
	var answered, refused, unheard, broken atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	defer client.CloseIdleConnections()
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			for ctx.Err() == nil {
				answer, err := client.Post(r.url+"/v1/classify", "image/gif", bytes.NewReader(white()))
				if err != nil {
					unheard.Add(1) // the port is closed, or the connection was, before it was heard
					time.Sleep(time.Millisecond)
					continue
				}
				text, err := io.ReadAll(answer.Body)
				answer.Body.Close()
				switch {
				case err == nil && answer.StatusCode == 200 && strings.Contains(string(text), `"class":"light"`):
					answered.Add(1)
				case err == nil && answer.StatusCode == 503:
					refused.Add(1)
				default:
					broken.Add(1)
				}
			}
		})
	}
	waitFor(t, "a hundred answers", func() bool { return answered.Load() > 100 })
	if err := r.stop(); err != nil {
		t.Errorf("%v", err)
	}
	cancel()
	wait.Wait()
	// Every request that the service took is in its log, as answered or refused.
	logged := strings.Count(r.log.String(), `"status":200`)
	if int64(logged) != answered.Load() || broken.Load() > 0 {
		t.Errorf("%d answered, %d refused, %d unheard, %d broken; the log has %d answers", answered.Load(),
			refused.Load(), unheard.Load(), broken.Load(), logged)
	}
}
