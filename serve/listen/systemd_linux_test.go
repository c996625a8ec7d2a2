package listen_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"garb/serve/listen"
)

// helperVariable makes the test binary a service that systemd starts: its value has the addresses.
const helperVariable = "LISTEN_TEST_ADDRESSES"

// TestMain runs the tests, or the service of TestSocketActivation. systemd starts a service by
// exec, so that its process number is known before: a first helper sets LISTEN_PID and does that.
func TestMain(m *testing.M) {
	addresses, ok := os.LookupEnv(helperVariable)
	switch {
	case !ok:
		os.Exit(m.Run())
	case os.Getenv("LISTEN_PID") == "self":
		_ = os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
		fmt.Println(syscall.Exec(os.Args[0], os.Args, os.Environ()))
		os.Exit(1)
	}
	if err := runActivated(addresses); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// runActivated prints its listeners, and answers one connection on each.
func runActivated(addresses string) error {
	sockets, err := listen.Inherit()
	if err != nil {
		return err
	}
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if _, ok := os.LookupEnv(name); ok {
			return fmt.Errorf("%s is still set", name)
		}
	}
	var notifier *listen.Notifier
	if notifier, err = listen.NewNotifier(); err != nil {
		return err
	}
	for group := range strings.SplitSeq(addresses, " ") {
		listeners, err := sockets.Listen(context.Background(), strings.Split(group, ",")...)
		if err != nil {
			return err
		}
		for _, l := range listeners {
			fmt.Println(group, l.Addr())
			c, err := l.Accept()
			if err != nil {
				return err
			}
			_, err = c.Write([]byte(group))
			if err = errors.Join(err, c.Close()); err != nil {
				return err
			}
		}
	}
	fmt.Println("unused", sockets.Unused())
	return errors.Join(sockets.Close(), notifier.Stopping())
}

// activate starts the service with files as systemd does, and returns what it prints.
func activate(t *testing.T, addresses, names string, files ...*os.File) (string, error) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.ExtraFiles = files
	c.Env = []string{helperVariable + "=" + addresses, "LISTEN_PID=self", "LISTEN_FDS=" + strconv.Itoa(len(files)),
		"LISTEN_FDNAMES=" + names}
	timer := time.AfterFunc(20*time.Second, func() { _ = c.Process.Kill() })
	defer timer.Stop()
	out, err := c.Output()
	return string(out), err
}

// listenForSystemd opens a socket as systemd does for a unit. The file is closed with the test.
func listenForSystemd(t *testing.T, network, address string) (*os.File, net.Addr) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	file, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file, l.Addr()
}

func TestSocketActivation(t *testing.T) {
	path := filepath.Join(shortFolder(t), "s")
	web, webAddress := listenForSystemd(t, "tcp", "127.0.0.1:0")
	admin, adminAddress := listenForSystemd(t, "unix", path)
	extra, _ := listenForSystemd(t, "tcp", "127.0.0.1:0")
	answers := make(chan string, 2)
	for _, address := range []net.Addr{webAddress, adminAddress} {
		go func() { // systemd has the connection wait until the service accepts it
			c, err := net.Dial(address.Network(), address.String())
			if err != nil {
				answers <- err.Error()
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			buffer := make([]byte, 100)
			n, _ := c.Read(buffer)
			answers <- string(buffer[:n])
		}()
	}
	out, err := activate(t, "systemd:admin systemd:web", "web:admin:extra", web, admin, extra)
	want := fmt.Sprintf("systemd:admin %s\nsystemd:web %s\nunused [extra]\n", adminAddress, webAddress)
	if err != nil || out != want {
		t.Errorf("%v, it printed\n%sand not\n%s", err, out, want)
	}
	if first, second := <-answers, <-answers; first == second || !strings.HasPrefix(first, "systemd:") ||
		!strings.HasPrefix(second, "systemd:") {
		t.Errorf("answers %q and %q", first, second)
	}
	// The file is systemd's: it stays for the next start.
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// TestSocketActivationTakesTheRest: systemd gets what no name has taken, whatever the order.
func TestSocketActivationTakesTheRest(t *testing.T) {
	var files []*os.File
	var want []string
	for range 3 {
		file, address := listenForSystemd(t, "tcp", "127.0.0.1:0")
		files = append(files, file)
		want = append(want, "systemd,systemd:b "+address.String())
		go func() {
			if c, err := net.Dial("tcp", address.String()); err == nil {
				defer c.Close()
				_, _ = c.Read(make([]byte, 100))
			}
		}()
	}
	want = []string{want[1], want[0], want[2], "unused []", ""} // b is the second one
	if out, err := activate(t, "systemd,systemd:b", "a:b:c", files...); err != nil ||
		out != strings.Join(want, "\n") {
		t.Errorf("%v, it printed\n%s", err, out)
	}
}

func TestSocketActivationErrors(t *testing.T) {
	stream, _ := listenForSystemd(t, "tcp", "127.0.0.1:0")
	datagram, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer datagram.Close()
	udp, err := datagram.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	plain, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	for _, c := range []struct {
		addresses, names, want string
		file                   *os.File
	}{
		{"systemd:web", "other", "systemd passed no such socket; the sockets that are left: other", stream},
		{"systemd:web", "", "the sockets that are left: unknown", stream},
		{"systemd", "web", "web is no listening stream socket: its unit needs ListenStream= and Accept=no", udp},
		{"systemd:web", "web", "web is no listening stream socket", plain},
	} {
		if out, err := activate(t, c.addresses, c.names, c.file); err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s of %q: %v %s", c.addresses, c.names, err, out)
		}
	}
}

func TestVariablesOfAnotherProcessAreIgnored(t *testing.T) {
	t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()+1))
	t.Setenv("LISTEN_FDS", "1")
	sockets, err := listen.Inherit()
	if err != nil || len(sockets.Unused()) != 0 || os.Getenv("LISTEN_FDS") != "" {
		t.Error(sockets, err)
	}
	for _, variables := range [][2]string{{"x", "1"}, {"1", "x"}, {"1", "-1"}, {"1", "99999999"}} {
		t.Setenv("LISTEN_PID", variables[0])
		t.Setenv("LISTEN_FDS", variables[1])
		if _, err := listen.Inherit(); err == nil {
			t.Errorf("LISTEN_PID=%s LISTEN_FDS=%s is taken", variables[0], variables[1])
		}
	}
}

// TestUmaskDoesNotNarrowTheMode: the mode is the one that was asked for, under any umask, and the
// file never has more.
func TestUmaskDoesNotNarrowTheMode(t *testing.T) {
	for _, mask := range []int{0, 0o777} {
		before := syscall.Umask(mask)
		path := filepath.Join(shortFolder(t), "s")
		if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		open(t, "unix:"+path+"?mode=0640")
		syscall.Umask(before)
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("under umask %#o: %v, %v", mask, info.Mode(), err)
		}
	}
}

func TestErrorsOfPermission(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may do all of this; TestErrorsOfPermissionAsNobody starts it as another user")
	}
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o500); err != nil {
		t.Fatal(err)
	}
	if got := refuse(t, "unix:"+folder+"/s").Error(); !strings.Contains(got, "needs write permission for the folder") {
		t.Error(got)
	}
	first, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if n, _ := strconv.Atoi(strings.TrimSpace(string(first))); err == nil && n > 80 {
		if got := refuse(t, "127.0.0.1:80").Error(); !strings.Contains(got, "CAP_NET_BIND_SERVICE") {
			t.Error(got)
		}
	}
}

func TestErrorsOfPermissionAsNobody(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can start a process as another user")
	}
	folder := shortFolder(t)
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(folder, "test")
	if err := os.Link(os.Args[0], binary); err != nil {
		text, err := os.ReadFile(os.Args[0])
		if err == nil {
			err = os.WriteFile(binary, text, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(binary, "-test.run=^TestErrorsOfPermission$", "-test.v")
	c.Dir, c.Env = folder, []string{"TMPDIR=" + os.TempDir()}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestErrorsOfPermission") {
		t.Errorf("%v\n%s", err, out)
	}
}
