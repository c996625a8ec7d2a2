package listen_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"garb/serve/listen"
)

// open listens on one address, and closes the listener when the test ends.
func open(t *testing.T, address string) net.Listener {
	t.Helper()
	listeners, err := new(listen.Sockets).Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listeners[0].Close() })
	return listeners[0]
}

// refuse returns the error of an address that cannot be listened on.
func refuse(t *testing.T, address string) *listen.Error {
	t.Helper()
	listeners, err := new(listen.Sockets).Listen(t.Context(), address)
	var failed *listen.Error
	if !errors.As(err, &failed) || len(listeners) != 0 {
		t.Fatalf("%s: %d listeners, %v", address, len(listeners), err)
	}
	if failed.Address != address {
		t.Errorf("the error of %s is about %s", address, failed.Address)
	}
	return failed
}

// exchange sends a byte through a connection to a listener.
func exchange(t *testing.T, l net.Listener) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = c.Write([]byte("x"))
			err = errors.Join(err, c.Close())
		}
		done <- err
	}()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := io.ReadAll(c); err != nil || string(got) != "x" {
		t.Errorf("read %q, %v", got, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// hasUnixSockets reports whether a process can listen on a Unix socket here.
func hasUnixSockets() bool {
	folder, err := os.MkdirTemp("", "l")
	if err != nil {
		return false
	}
	defer os.RemoveAll(folder)
	l, err := net.Listen("unix", filepath.Join(folder, "s"))
	if err != nil {
		return runtime.GOOS != "windows"
	}
	return l.Close() == nil
}

// shortFolder returns a folder whose path is short enough for sockets. It skips the test if this system,
// such as Windows before 10, has no Unix sockets.
func shortFolder(t *testing.T) string {
	t.Helper()
	if !hasUnixSockets() {
		t.Skip("this system has no Unix sockets")
	}
	return briefFolder(t)
}

// briefFolder returns a temporary folder with a short path.
func briefFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "l")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

func TestEachKindOfAddressAnswers(t *testing.T) {
	addresses := []string{"localhost:0", "127.0.0.1:0"}
	if hasUnixSockets() {
		addresses = append(addresses, "unix:"+filepath.Join(shortFolder(t), "s"))
	}
	if runtime.GOOS == "linux" {
		addresses = append(addresses, fmt.Sprintf("unix:@garb-test-%d", os.Getpid()))
	}
	for _, address := range addresses {
		t.Run(address, func(t *testing.T) { exchange(t, open(t, address)) })
	}
}

func TestSeveralAddressesOpenTogetherOrNotAtAll(t *testing.T) {
	folder := shortFolder(t)
	path := filepath.Join(folder, "s")
	var none listen.Sockets
	listeners, err := none.Listen(t.Context(), "localhost:0", "unix:"+path)
	if err != nil || len(listeners) != 2 {
		t.Fatal(listeners, err)
	}
	for _, l := range listeners {
		exchange(t, l)
		if err = l.Close(); err != nil {
			t.Error(err)
		}
	}
	if listeners, err = none.Listen(t.Context(), "unix:"+path, "nonsense"); err == nil || len(listeners) != 0 {
		t.Errorf("%d listeners, %v", len(listeners), err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the first socket is left: %v", err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	taken := open(t, "127.0.0.1:0").Addr().String()
	folder := briefFolder(t)
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := "unix:" + filepath.Join(folder, strings.Repeat("x", 200))
	for address, want := range map[string]string{
		taken:                             "stop the program that listens there, or choose another port",
		"192.0.2.1:0":                     "no network interface of this machine has that address",
		"garb.invalid:0":                  "check the host name",
		"8080":                            "write HOST:PORT, unix:PATH",
		"localhost:":                      `"" is no port`,
		"localhost:70000":                 `"70000" is no port; write a number from 0 to 65535`,
		"unix:":                           "write unix:PATH or unix:@NAME",
		"unix://run/s":                    "write unix:/run/s",
		"unix:a\x00b":                     "zero byte",
		"unix:" + folder + "/no/s":        "create the folder " + filepath.Join(folder, "no"),
		"unix:" + file:                    "the file exists and is no socket",
		"unix:" + folder + "/s?mode=888":  `"888" is no mode; write an octal number from 0 to 0777`,
		"unix:" + folder + "/s?mode=7777": `"7777" is no mode`,
		"unix:" + folder + "/s?user=x":    "the only parameter is mode",
		"unix:@x?mode=0600":               "omit ?mode=0600",
		long:                              "and the system allows 107; choose a shorter path",
		"systemd":                         "systemd passed no socket to this process; start it by a socket unit",
		"systemd:web":                     "systemd passed no socket to this process",
		"systemd:":                        "write systemd:NAME",
	} {
		if strings.HasPrefix(address, "unix:"+folder) && !strings.Contains(address, "?") && !hasUnixSockets() {
			continue
		}
		if runtime.GOOS != "linux" && (strings.Contains(address, "@") || address == long) {
			continue
		}
		if got := refuse(t, address).Error(); !strings.Contains(got, want) ||
			!strings.HasPrefix(got, "cannot listen on "+address+": ") {
			t.Errorf("%q: %q does not contain %q", address, got, want)
		}
	}
}

func TestValidateNeedsNoSystem(t *testing.T) {
	for _, address := range []string{":8080", "localhost:http", "[::1]:0", "unix:s", "unix:/s?mode=0660", "systemd",
		"systemd:web"} {
		if err := listen.Validate(address); err != nil {
			t.Error(err)
		}
	}
	for _, address := range []string{"", "localhost", "unix:", "systemd:", "::1:80", "systemdx"} {
		if listen.Validate(address) == nil {
			t.Errorf("%q is valid", address)
		}
	}
}

func TestModeOfTheSocketFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files of Windows have no such permissions")
	}
	for _, mode := range []fs.FileMode{0o600, 0o660, 0o666, 0} {
		path := filepath.Join(shortFolder(t), "s")
		open(t, fmt.Sprintf("unix:%s?mode=%#o", path, mode))
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("mode %v, not %v, %v", info.Mode().Perm(), mode, err)
		}
	}
}

func TestSocketFileIsRemovedAtClose(t *testing.T) {
	path := filepath.Join(shortFolder(t), "s")
	l := open(t, "unix:"+path)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
	// A file that has taken its place is not the listener's.
	l = open(t, "unix:"+path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other := open(t, "unix:"+path)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	exchange(t, other)
}

// leaveStale leaves the socket file of a listener that has ended.
func leaveStale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStaleSocketIsReplacedAndALivingOneIsNot(t *testing.T) {
	path := filepath.Join(shortFolder(t), "s")
	leaveStale(t, path)
	l := open(t, "unix:"+path)
	if got := refuse(t, "unix:"+path).Error(); !strings.Contains(got, "another process listens there") {
		t.Error(got)
	}
	go func() { // the refused attempt has left a connection
		if c, err := l.Accept(); err == nil {
			_ = c.Close()
		}
	}()
	if c, err := net.Dial("unix", path); err != nil {
		t.Error("the first listener is gone:", err)
	} else {
		_ = c.Close()
	}
}

// TestSocketOfAnotherKindIsKept: a datagram socket does not refuse streams as a dead process does.
func TestSocketOfAnotherKindIsKept(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no datagram sockets with files")
	}
	path := filepath.Join(shortFolder(t), "s")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	refuse(t, "unix:"+path)
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
}

func TestAbstractSocketInUse(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has abstract sockets")
	}
	address := fmt.Sprintf("unix:@garb-use-%d", os.Getpid())
	open(t, address)
	if failed := refuse(t, address); !errors.Is(failed, syscall.EADDRINUSE) ||
		!strings.Contains(failed.Hint, "choose another name") {
		t.Error(failed)
	}
}

func TestCanceledContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if listeners, err := new(listen.Sockets).Listen(ctx, "localhost:0"); err == nil {
		_ = listeners[0].Close()
		t.Error("it listens")
	}
}

func FuzzValidate(f *testing.F) {
	for _, address := range []string{":8080", "unix:/run/s?mode=0660", "unix:@x", "systemd:web", "[::1]:0"} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		var failed *listen.Error
		if err := listen.Validate(address); err != nil && (!errors.As(err, &failed) || failed.Address != address) {
			t.Errorf("%q: %v", address, err)
		}
	})
}

// A service listens on a TCP port and on a Unix socket at once.
func ExampleSockets_Listen() {
	sockets, err := listen.Inherit() // what systemd passed, if anything
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sockets.Close()
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	listeners, err := sockets.Listen(context.Background(), "localhost:0", "unix:"+folder+"/garb.sock?mode=0660")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range listeners {
		fmt.Println(l.Addr().Network())
		l.Close()
	}
	// Output:
	// tcp
	// unix
}

// An error says what can be done.
func ExampleError() {
	fmt.Println(listen.Validate("unix:/run/s?mode=9"))
	// Output:
	// cannot listen on unix:/run/s?mode=9: "9" is no mode; write an octal number from 0 to 0777, such as 0660
}
