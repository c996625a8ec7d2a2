package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
)

// firstDescriptor is SD_LISTEN_FDS_START of sd_listen_fds(3).
const firstDescriptor = 3

// maxDescriptors limits LISTEN_FDS.
const maxDescriptors = 1024

// Sockets holds the sockets that systemd opened for this process. The zero value has none, and
// opens all other addresses.
type Sockets struct {
	inherited bool
	files     []*os.File // their names are those of FileDescriptorName
}

// Inherit takes over the sockets that systemd passed to this process, as sd_listen_fds(3) defines.
// It removes the variables from the environment, so that child processes do not use them. It
// returns empty Sockets if systemd passed none.
func Inherit() (*Sockets, error) {
	defer func() {
		for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
			_ = os.Unsetenv(name)
		}
	}()
	count, err := countInherited(os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getpid())
	if err != nil {
		return nil, err
	}
	s := &Sockets{inherited: count > 0}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for i := range count {
		name := "unknown" // as in sd_listen_fds_with_names
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		closeOnExec(firstDescriptor + i)
		s.files = append(s.files, os.NewFile(uintptr(firstDescriptor+i), name))
	}
	return s, nil
}

// countInherited returns the number of sockets in the variables of systemd. It is 0 if they are
// for another process.
func countInherited(pid, count string, own int) (int, error) {
	if pid == "" || count == "" {
		return 0, nil
	}
	p, err := strconv.Atoi(pid)
	if err != nil {
		return 0, fmt.Errorf("LISTEN_PID is %q, which is no process number", pid)
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxDescriptors {
		return 0, fmt.Errorf("LISTEN_FDS is %q, which is no number from 0 to %d", count, maxDescriptors)
	}
	if p != own {
		return 0, nil
	}
	return n, nil
}

// take returns listeners for the sockets that an address of systemd names.
func (s *Sockets) take(address string) (listeners []net.Listener, err error) {
	if !s.inherited {
		return nil, &Error{address, errors.New("systemd passed no socket to this process"),
			"start it by a socket unit: systemctl start garb.socket"}
	}
	name, named := strings.CutPrefix(address, systemdPrefix+":")
	var left []*os.File
	for _, f := range s.files {
		if named && f.Name() != name || err != nil {
			left = append(left, f)
			continue
		}
		var l net.Listener
		if l, err = listenFile(f); err != nil {
			err = &Error{address, err, ""}
			continue
		}
		listeners = append(listeners, l)
	}
	s.files = left
	if err == nil && len(listeners) == 0 {
		err = &Error{address, errors.New("systemd passed no such socket"), "the sockets that are left: " + s.describe()}
	}
	return listeners, err
}

// listenFile returns a listener for a socket that systemd passed, and closes the file.
func listenFile(f *os.File) (net.Listener, error) {
	defer f.Close()
	if !isListening(f) {
		return nil, fmt.Errorf("%s is no listening stream socket: its unit needs ListenStream= and Accept=no", f.Name())
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("%s is no listening stream socket: %w", f.Name(), findCause(err))
	}
	return l, nil
}

// Unused returns the names of the sockets of systemd that no address has taken.
func (s *Sockets) Unused() []string {
	var names []string
	for _, f := range s.files {
		names = append(names, f.Name())
	}
	return names
}

func (s *Sockets) describe() string {
	names := s.Unused()
	if len(names) == 0 {
		return "none"
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// Close closes the sockets that no address has taken.
func (s *Sockets) Close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	s.files = nil
	return errors.Join(errs...)
}
