// Package listen opens the sockets that a service listens on: TCP ports, Unix sockets and
// sockets that systemd opened. It also tells systemd about the state of the service.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// The kinds of addresses. Any other address is HOST:PORT.
const (
	unixPrefix    = "unix:"
	systemdPrefix = "systemd"
)

// Validate checks the form of an address. These forms exist:
//
//	localhost:8080              a TCP port of one interface
//	:8080                       a TCP port of all interfaces
//	unix:/run/garb/garb.sock    a Unix socket; ?mode=0660 sets the permissions of its file
//	unix:@garb                  a Unix socket without a file, in Linux's abstract namespace
//	systemd                     all sockets of systemd that no other address has taken
//	systemd:NAME                the sockets with this FileDescriptorName
func Validate(address string) error {
	switch {
	case strings.HasPrefix(address, unixPrefix):
		_, err := parseUnix(address)
		return err
	case isSystemd(address):
		if address == systemdPrefix+":" {
			return &Error{address, errors.New("the name of the socket is missing"),
				"write systemd:NAME, or systemd for all sockets"}
		}
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return &Error{address, errors.New("this is no address"),
			"write HOST:PORT, unix:PATH, unix:@NAME, systemd or systemd:NAME"}
	}
	if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
		return &Error{address, fmt.Errorf("%q is no port", port), "write a number from 0 to 65535"}
	}
	return nil
}

func isSystemd(address string) bool {
	return address == systemdPrefix || strings.HasPrefix(address, systemdPrefix+":")
}

// Error says why a service cannot listen on an address, and what can be done.
type Error struct {
	Address string
	Err     error
	Hint    string // may be empty
}

// Error returns the cause and the hint.
func (e *Error) Error() string {
	text := fmt.Sprintf("cannot listen on %s: %v", e.Address, e.Err)
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Listen opens a listener for each address, in the form that Validate describes. An address of
// systemd may stand for several listeners. If one address fails, Listen closes the listeners of
// all others. Addresses systemd:NAME get their sockets before systemd gets the rest, whatever
// their order.
func (s *Sockets) Listen(ctx context.Context, addresses ...string) (listeners []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range listeners {
				_ = l.Close()
			}
			listeners = nil
		}
	}()
	var rest bool
	for _, address := range addresses {
		if err := Validate(address); err != nil {
			return listeners, err
		}
		if address == systemdPrefix {
			rest = true
			continue
		}
		opened, err := s.listenOne(ctx, address)
		listeners = append(listeners, opened...)
		if err != nil {
			return listeners, err
		}
	}
	if rest {
		opened, err := s.take(systemdPrefix)
		listeners = append(listeners, opened...)
		return listeners, err
	}
	return listeners, nil
}

func (s *Sockets) listenOne(ctx context.Context, address string) ([]net.Listener, error) {
	if isSystemd(address) {
		return s.take(address)
	}
	open := listenTCP
	if strings.HasPrefix(address, unixPrefix) {
		open = listenUnix
	}
	l, err := open(ctx, address)
	if err != nil {
		return nil, err
	}
	return []net.Listener{l}, nil
}

func listenTCP(ctx context.Context, address string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, &Error{address, findCause(err), hintTCP(address, err)}
	}
	return l, nil
}

// hintTCP returns what can be done about an error of a TCP port.
func hintTCP(address string, err error) string {
	_, port, _ := net.SplitHostPort(address)
	var lookup *net.DNSError
	switch n, _ := strconv.Atoi(port); {
	case errors.Is(err, errInUse):
		return "stop the program that listens there, or choose another port"
	case errors.Is(err, errReservedPort):
		return "Windows or another program has reserved that port; choose another port"
	case errors.Is(err, syscall.EACCES) && n < 1024:
		return "choose a port of at least 1024, or give the process the capability CAP_NET_BIND_SERVICE"
	case errors.Is(err, errNoAddress):
		return "no network interface of this machine has that address; :" + port + " listens on all interfaces"
	case errors.As(err, &lookup):
		return "check the host name"
	}
	return ""
}

// findCause returns the error inside those that repeat the address and the system call.
func findCause(err error) error {
	var operation *net.OpError
	if errors.As(err, &operation) {
		err = operation.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err
}
