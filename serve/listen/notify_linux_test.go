package listen_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"garb/serve/listen"
)

// listenAsSystemd opens the socket that systemd waits on, and sets the variables of a service.
func listenAsSystemd(t *testing.T, path string, watchdog time.Duration) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	if watchdog > 0 {
		t.Setenv("WATCHDOG_USEC", strconv.FormatInt(watchdog.Microseconds(), 10))
		t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	}
	return c
}

// receive returns the next datagram, or "" if none arrives.
func receive(t *testing.T, c *net.UnixConn, wait time.Duration) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	n, err := c.Read(buffer)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

func newNotifier(t *testing.T) *listen.Notifier {
	t.Helper()
	n, err := listen.NewNotifier()
	if err != nil || n == nil {
		t.Fatal(n, err)
	}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		if _, ok := os.LookupEnv(name); ok {
			t.Errorf("%s is still set", name)
		}
	}
	return n
}

func TestNotifications(t *testing.T) {
	for _, path := range []string{filepath.Join(shortFolder(t), "n"), fmt.Sprintf("@garb-notify-%d", os.Getpid())} {
		systemd := listenAsSystemd(t, path, 0)
		n := newNotifier(t)
		for want, send := range map[string]func() error{
			"READY=1": n.Ready, "STOPPING=1": n.Stopping,
			"STATUS=two models READY=1": func() error { return n.Status("two models\nREADY=1") },
		} {
			if err := send(); err != nil {
				t.Error(err)
			}
			if got := receive(t, systemd, time.Second); got != want {
				t.Errorf("%q, not %q", got, want)
			}
		}
		if err := n.Reloading(); err != nil {
			t.Error(err)
		}
		got := receive(t, systemd, time.Second)
		m := regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=(\d+)$`).FindStringSubmatch(got)
		if m == nil {
			t.Fatalf("%q", got)
		}
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
			t.Fatal(err)
		}
		sent, err := strconv.ParseInt(m[1], 10, 64)
		if age := now.Nano()/1000 - sent; err != nil || age < 0 || age > 10_000_000 {
			t.Errorf("the time is off by %d microseconds, %v", age, err)
		}
	}
}

func TestWatchdog(t *testing.T) {
	const interval = 100 * time.Millisecond
	systemd := listenAsSystemd(t, filepath.Join(shortFolder(t), "n"), interval)
	n := newNotifier(t)
	ctx, cancel := context.WithCancel(t.Context())
	health := make(chan error) // the next results of the health check
	reports := make(chan error, 100)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.Watch(ctx, func(ctx context.Context) error {
			select {
			case err := <-health:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}, func(err error) { reports <- err })
	}()
	for range 3 {
		health <- nil
		if got := receive(t, systemd, 10*time.Second); got != "WATCHDOG=1" {
			t.Errorf("%q", got)
		}
	}
	ill := errors.New("no model answers")
	health <- ill
	if err := <-reports; !errors.Is(err, ill) {
		t.Error(err)
	}
	if got := receive(t, systemd, interval); got != "" {
		t.Errorf("an ill service sends %q", got)
	}
	health <- nil
	if got := receive(t, systemd, 10*time.Second); got != "WATCHDOG=1" {
		t.Errorf("a recovered service sends %q", got)
	}
	cancel()
	<-ended
	if len(reports) != 0 {
		t.Error("the end was reported:", <-reports)
	}
}

func TestWithoutSystemdNothingIsSent(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n, err := listen.NewNotifier()
	if n != nil || err != nil {
		t.Fatal(n, err)
	}
	for _, send := range []func() error{n.Ready, n.Reloading, n.Stopping, func() error { return n.Status("x") }} {
		if err := send(); err != nil {
			t.Error(err)
		}
	}
	n.Watch(t.Context(), nil, nil)
}

func TestNotifierVariables(t *testing.T) {
	for _, c := range []struct {
		socket, microseconds, pid string
		ok                        bool
	}{
		{"/run/n", "1000", "", true},
		{"/run/n", "x", "1", true}, // for another process
		{"/run/n", "0", "", false},
		{"/run/n", "9223372036854775807", "", false},
		{"/run/n", "x", "", false},
		{"vsock:2:1", "", "", false},
	} {
		t.Setenv("NOTIFY_SOCKET", c.socket)
		t.Setenv("WATCHDOG_USEC", c.microseconds)
		t.Setenv("WATCHDOG_PID", c.pid)
		if _, err := listen.NewNotifier(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestNotificationsThatFail(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	if err := newNotifier(t).Ready(); err == nil || !strings.Contains(err.Error(), "cannot notify systemd") {
		t.Error(err)
	}
}
