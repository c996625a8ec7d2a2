package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Notifier tells systemd about the state of the service, as sd_notify(3) defines. The methods of a
// nil Notifier do nothing: systemd does not wait for notifications.
type Notifier struct {
	address  *net.UnixAddr
	watchdog time.Duration // 0: systemd does not watch
}

// NewNotifier reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and removes them from the
// environment. It returns nil if systemd waits for no notifications.
func NewNotifier() (*Notifier, error) {
	values := map[string]string{}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		values[name] = os.Getenv(name)
		_ = os.Unsetenv(name)
	}
	path := values["NOTIFY_SOCKET"]
	if path == "" {
		return nil, nil
	}
	if path[0] != '/' && path[0] != '@' {
		return nil, fmt.Errorf("NOTIFY_SOCKET is %q, which is no Unix socket", path)
	}
	watchdog, err := parseWatchdog(values["WATCHDOG_USEC"], values["WATCHDOG_PID"], os.Getpid())
	if err != nil {
		return nil, err
	}
	return &Notifier{&net.UnixAddr{Name: path, Net: "unixgram"}, watchdog}, nil
}

// parseWatchdog returns the time within which systemd expects a sign of life, or 0.
func parseWatchdog(microseconds, pid string, own int) (time.Duration, error) {
	if microseconds == "" || pid != "" && pid != strconv.Itoa(own) {
		return 0, nil
	}
	n, err := strconv.ParseInt(microseconds, 10, 64)
	if err != nil || n <= 0 || n > int64((1<<63-1)/time.Microsecond) {
		return 0, fmt.Errorf("WATCHDOG_USEC is %q, which is no number of microseconds", microseconds)
	}
	return time.Duration(n) * time.Microsecond, nil
}

// Ready tells systemd that the service accepts requests, after its start or after a reload.
func (n *Notifier) Ready() error { return n.send("READY=1") }

// Reloading tells systemd that the service reads its settings again. Ready ends the reload.
func (n *Notifier) Reloading() error {
	if n == nil {
		return nil
	}
	now, err := readMonotonicClock()
	if err != nil {
		return fmt.Errorf("cannot notify systemd: %w", err)
	}
	return n.send("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Microseconds()))
}

// Stopping tells systemd that the service shuts down.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1") }

// Status sets the text that systemctl status shows. Line breaks in it become spaces.
func (n *Notifier) Status(text string) error {
	return n.send("STATUS=" + strings.NewReplacer("\n", " ", "\r", " ").Replace(text))
}

// send sends assignments as one datagram.
func (n *Notifier) send(assignments ...string) error {
	if n == nil {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, n.address)
	if err != nil {
		return fmt.Errorf("cannot notify systemd: %w", err)
	}
	_, err = c.Write([]byte(strings.Join(assignments, "\n")))
	if err = errors.Join(err, c.Close()); err != nil {
		return fmt.Errorf("cannot notify systemd: %w", err)
	}
	return nil
}

// Watch sends a sign of life at half the interval that WatchdogSec= sets, as long as healthy
// returns nil, until ctx ends. It calls report with each error of healthy and of sending. After a
// whole interval without a sign of life, systemd restarts the service. Without WatchdogSec=, Watch
// returns at once.
func (n *Notifier) Watch(ctx context.Context, healthy func(context.Context) error, report func(error)) {
	if n == nil || n.watchdog == 0 {
		return
	}
	ticker := time.NewTicker(max(n.watchdog/2, time.Microsecond))
	defer ticker.Stop()
	for {
		err := healthy(ctx)
		if err == nil {
			err = n.send("WATCHDOG=1")
		}
		if err != nil && ctx.Err() == nil {
			report(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
