package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maxPathBytes is the maximum length of the path of a Unix socket: sun_path less its final zero.
const maxPathBytes = len(syscall.RawSockaddrUnix{}.Path) - 1

// answerTimeout limits the wait for the process that owns a socket file.
const answerTimeout = time.Second

// unixAddress is the address of a Unix socket.
type unixAddress struct {
	text    string      // as it was written
	path    string      // of the file; @NAME has none
	mode    fs.FileMode // of the file
	hasMode bool
}

func (a unixAddress) isAbstract() bool { return strings.HasPrefix(a.path, "@") }

// fail returns an Error about the address.
func (a unixAddress) fail(err error, hint string) error { return &Error{a.text, err, hint} }

// parseUnix parses unix:PATH, unix:PATH?mode=0660 and unix:@NAME.
func parseUnix(address string) (unixAddress, error) {
	a := unixAddress{text: address}
	path, query, hasQuery := strings.Cut(strings.TrimPrefix(address, unixPrefix), "?")
	a.path = path
	switch {
	case path == "" || path == "@":
		return a, a.fail(errors.New("the path of the socket is missing"), "write unix:PATH or unix:@NAME")
	case strings.HasPrefix(path, "//"):
		return a, a.fail(errors.New("the path begins with two slashes"), "write unix:"+"/"+strings.TrimLeft(path, "/"))
	case strings.ContainsRune(path, 0):
		return a, a.fail(errors.New("the path contains a zero byte"), "")
	case len(path) > maxPathBytes:
		return a, a.fail(fmt.Errorf("the path has %d bytes, and the system allows %d", len(path), maxPathBytes),
			"choose a shorter path")
	case a.isAbstract() && runtime.GOOS != "linux":
		return a, a.fail(errors.New("only Linux has abstract sockets"), "write unix:PATH")
	case !hasQuery:
		return a, nil
	case a.isAbstract():
		return a, a.fail(errors.New("an abstract socket has no file, and so no permissions"), "omit ?"+query)
	}
	values, err := url.ParseQuery(query)
	modes := values["mode"]
	if err != nil || len(values) != 1 || len(modes) != 1 {
		return a, a.fail(fmt.Errorf("?%s is unknown", query), "the only parameter is mode, as in ?mode=0660")
	}
	mode, err := strconv.ParseUint(modes[0], 8, 32)
	if err != nil || mode > 0o777 {
		return a, a.fail(fmt.Errorf("%q is no mode", modes[0]), "write an octal number from 0 to 0777, such as 0660")
	}
	a.mode, a.hasMode = fs.FileMode(mode), true
	return a, nil
}

// unixListener removes its socket file when it is closed, unless the file has been replaced.
type unixListener struct {
	net.Listener
	path string
	file fs.FileInfo
}

// Close closes the listener and removes its file.
func (l *unixListener) Close() error {
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.file) {
		_ = os.Remove(l.path)
	}
	return l.Listener.Close()
}

func listenUnix(ctx context.Context, address string) (net.Listener, error) {
	a, err := parseUnix(address)
	if err != nil {
		return nil, err
	}
	l, err := bindUnix(ctx, a)
	if errors.Is(err, errInUse) && !a.isAbstract() {
		if err = removeStale(ctx, a); err != nil {
			return nil, err
		}
		l, err = bindUnix(ctx, a)
	}
	if err != nil {
		return nil, a.fail(findCause(err), hintUnix(a, err))
	}
	if a.isAbstract() {
		return l, nil
	}
	var file fs.FileInfo
	if a.hasMode {
		err = os.Chmod(a.path, a.mode)
	}
	if err == nil {
		file, err = os.Lstat(a.path)
	}
	if err != nil {
		return nil, errors.Join(a.fail(err, ""), l.Close())
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // unixListener removes the file
	return &unixListener{l, a.path, file}, nil
}

// bindUnix creates the socket. Where the system allows it, the file never has more permissions
// than the mode of the address.
func bindUnix(ctx context.Context, a unixAddress) (net.Listener, error) {
	var config net.ListenConfig
	if a.hasMode {
		config.Control = func(_, _ string, c syscall.RawConn) error { return restrictSocket(c, a.mode) }
	}
	return config.Listen(ctx, "unix", a.path)
}

// removeStale removes the file of a socket whose process has ended. It is an error if a process
// answers, or if the file is no socket.
func removeStale(ctx context.Context, a unixAddress) error {
	before, err := os.Lstat(a.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // its process has just removed it
	}
	if err != nil {
		return a.fail(err, "")
	}
	if before.Mode().Type() != fs.ModeSocket {
		return a.fail(errors.New("the file exists and is no socket"), "choose another path, or remove the file")
	}
	dialer := net.Dialer{Timeout: answerTimeout}
	c, err := dialer.DialContext(ctx, "unix", a.path)
	if err == nil {
		_ = c.Close()
	}
	if !errors.Is(err, errRefused) {
		return a.fail(errors.New("another process listens there"), "stop it, or choose another path")
	}
	// Another process may have replaced the stale file in the meantime.
	if now, err := os.Lstat(a.path); err == nil && os.SameFile(before, now) {
		if err = os.Remove(a.path); err != nil {
			return a.fail(fmt.Errorf("the file of a process that has ended cannot be removed: %w", err), "remove it")
		}
	}
	return nil
}

// hintUnix returns what can be done about an error of a Unix socket.
func hintUnix(a unixAddress, err error) string {
	folder := filepath.Dir(a.path)
	switch {
	case errors.Is(err, errNoUnixSockets):
		return "this system has no Unix sockets (Windows has them since version 10); use a TCP port"
	case errors.Is(err, errInUse):
		return "stop the process that listens there, or choose another name"
	case errors.Is(err, fs.ErrNotExist):
		return "create the folder " + folder
	case errors.Is(err, fs.ErrPermission):
		return "the user of this process needs write permission for the folder " + folder
	case errors.Is(err, syscall.EROFS):
		return "choose a path on a file system that is writable"
	}
	return ""
}
