package access

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"garb/serve/reload"
)

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// keyFile is a key file, its keys, and a clock.
type keyFile struct {
	*Keys
	t     *testing.T
	path  string
	clock *clock
}

func openKeyFile(t *testing.T, text string) *keyFile {
	t.Helper()
	f := &keyFile{t: t, path: filepath.Join(t.TempDir(), "keys"), clock: &clock{wall: time.Unix(1e9, 0)}}
	write(t, f.path, text)
	c := Default()
	c.APIKeyFile, c.Clock = f.path, f.clock.Clock()
	var err error
	if f.Keys, err = OpenKeys(c); err != nil {
		t.Fatal(err)
	}
	return f
}

// check lets the service check the file n times.
func (f *keyFile) check(n int) {
	for range n {
		f.clock.advance(reload.DefaultInterval)
		f.keys.Check()
	}
}

// header returns a header of fields and their values.
func header(fields ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	return h
}

// wantKey checks which key a header authenticates, or the error.
func (f *keyFile) wantKey(h http.Header, want string, wantErr error) {
	f.t.Helper()
	k, err := f.Authenticate(h)
	if !errors.Is(err, wantErr) || (err == nil) != (k != nil) || err == nil && k.Name() != want {
		f.t.Errorf("%v: %v and %v, want %q and %v", h, k, err, want, wantErr)
	}
}

func TestAuthenticate(t *testing.T) {
	f := openKeyFile(t, "first\n# of the shop\n\nsecond\n")
	many := header("X-Api-Key", "first")
	for range maxCredentials {
		many.Add("X-Api-Key", "wrong")
	}
	for _, c := range []struct {
		header http.Header
		want   string
		err    error
	}{
		{header("Authorization", "Bearer first"), "line-1", nil},
		{header("Authorization", "bearer  second "), "line-4", nil},
		{header("X-Api-Key", "first"), "line-1", nil},
		{header("X-Api-Key", " second "), "line-4", nil},
		// A wrong key beside a right one: a proxy or a library may have added it.
		{header("Authorization", "Bearer wrong", "X-Api-Key", "first"), "line-1", nil},
		{header("Authorization", "Bearer first", "X-Api-Key", "wrong"), "line-1", nil},
		{header("Authorization", "Basic Zmlyc3Q6", "X-Api-Key", "first"), "line-1", nil},
		{header("Authorization", "Basic Zmlyc3Q6", "Authorization", "Bearer second"), "line-4", nil},
		{header("Authorization", "Bearer wrong", "Authorization", "Bearer second"), "line-4", nil},
		{header("X-Api-Key", "wrong", "X-Api-Key", "second"), "line-4", nil},
		{header("Authorization", "Bearer second", "X-Api-Key", "first"), "line-4", nil},

		{header(), "", ErrNoKey},
		{header("Authorization", "Basic first"), "", ErrNoKey},
		{header("Authorization", "first"), "", ErrNoKey},
		{header("Authorization", "Bearer"), "", ErrNoKey},
		{header("Authorization", "Bearer ", "X-Api-Key", " "), "", ErrNoKey},
		{header("X-Api-Key", "# of the shop"), "", ErrUnknownKey},
		{header("X-Api-Key", "firs"), "", ErrUnknownKey},
		{header("X-Api-Key", "First"), "", ErrUnknownKey},
		{header("X-Api-Key", "first\n# of the shop"), "", ErrUnknownKey},
		{header("Authorization", "Bearer first second"), "", ErrUnknownKey},
		{header("Authorization", "Bearer wrong", "X-Api-Key", "wrong"), "", ErrUnknownKey},
		{many, "", ErrUnknownKey},
	} {
		f.wantKey(c.header, c.want, c.err)
	}
}

func TestAuthenticateByDigestAndUntilExpiry(t *testing.T) {
	f := openKeyFile(t, shopFile)
	shop, warehouse := header("Authorization", "Bearer "+secret), header("X-Api-Key", "test")
	f.wantKey(shop, "shop", nil)
	f.wantKey(warehouse, "warehouse", nil)
	if names := f.Names(); !slices.Equal(names, []string{"shop", "warehouse"}) {
		t.Error(names)
	}
	f.clock.wall = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	f.wantKey(shop, "shop", nil)
	f.clock.wall = f.clock.wall.Add(1)
	f.wantKey(shop, "", ErrExpiredKey)
	shop.Set("X-Api-Key", "wrong")
	f.wantKey(shop, "", ErrExpiredKey)
	shop.Set("X-Api-Key", "test")
	f.wantKey(shop, "warehouse", nil)
}

func TestNoKeyFile(t *testing.T) {
	keys, err := OpenKeys(Default())
	if err != nil {
		t.Fatal(err)
	}
	keys.Watch(t.Context()) // returns at once
	k, err := keys.Authenticate(header("X-Api-Key", "whatever"))
	if err != nil || k.Name() != "" || k.Limits() != (Limits{}) {
		t.Errorf("%+v, %v", k, err)
	}
	if _, err := k.Admit(Cost{Requests: 1, Pictures: 1 << 20, Bytes: 1 << 40}); err != nil {
		t.Error(err)
	}
	if _, ok := keys.State(); ok || keys.Required() || keys.Names() != nil || keys.Reload() != nil {
		t.Error("there is a key file")
	}
}

// TestEmptiedFileRevokesAllKeys also at a start.
func TestEmptiedFileRevokesAllKeys(t *testing.T) {
	f := openKeyFile(t, "first\n")
	for _, text := range []string{"", "# none left\n", "\uFEFF"} {
		write(t, f.path, text)
		f.check(2)
		f.wantKey(header("X-Api-Key", "first"), "", ErrUnknownKey)
		f.wantKey(header(), "", ErrNoKey)
		if s, ok := f.State(); !ok || s.Status != reload.Current || !strings.HasPrefix(s.Detail, "no keys") {
			t.Errorf("%+v", s)
		}
		write(t, f.path, "first\n")
		f.check(2)
		f.wantKey(header("X-Api-Key", "first"), "line-1", nil)
	}
	f = openKeyFile(t, "")
	f.wantKey(header("X-Api-Key", "first"), "", ErrUnknownKey)
}

// TestUnusableFileRefusesEveryRequest after the grace period.
func TestUnusableFileRefusesEveryRequest(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"removed":   os.Remove,
		"malformed": func(path string) error { return os.WriteFile(path, []byte("[[key]]\nname=1\n"), 0o600) },
		"UTF-16":    func(path string) error { return os.WriteFile(path, []byte("\xFF\xFEa\x00"), 0o600) },
		"a folder":  func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		f := openKeyFile(t, "first\n")
		if err := spoil(f.path); err != nil {
			t.Fatal(name, err)
		}
		f.check(10)
		f.wantKey(header("X-Api-Key", "first"), "line-1", nil)
		if s, _ := f.State(); s.Status != reload.Stale || !strings.Contains(s.Err.Error(), f.path) {
			t.Errorf("%s: %+v", name, s)
		}
		f.check(1)
		for _, h := range []http.Header{header(), header("X-Api-Key", "first"), header("X-Api-Key", "wrong")} {
			f.wantKey(h, "", ErrUnavailable)
		}
		if f.Names() != nil {
			t.Errorf("%s: there are names", name)
		}
	}
}

// TestLimitsOutliveReloads: as long as the name and the limits stay, a reload refills nothing.
func TestLimitsOutliveReloads(t *testing.T) {
	file := func(lines ...string) string {
		return "[[key]]\nname = \"shop\"\nmax_pictures = 1\n" + strings.Join(lines, "\n") + "\n"
	}
	old, rate := "key = \""+secret+"\"", "requests_per_second = 0.001"
	f := openKeyFile(t, file(old, rate))
	admit := func(key string, c Cost) error {
		t.Helper()
		k, err := f.Authenticate(header("X-Api-Key", key))
		if err != nil {
			t.Fatal(err)
		}
		_, err = k.Admit(c)
		return err
	}
	replace := func(text string) {
		t.Helper()
		write(t, f.path, text)
		if err := f.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	if err := admit(secret, Cost{Requests: 1, Pictures: 1}); err != nil {
		t.Fatal(err)
	}
	renewed := strings.ToUpper(secret)
	replace(file("key = \""+renewed+"\"", rate) + "\n[[key]]\nname = \"other\"\n" + old + "\n")
	if err := admit(renewed, Cost{Requests: 1}); !errors.Is(err, ErrLimited) {
		t.Errorf("the key was renewed under its name: %v", err)
	}
	if err := admit(secret, Cost{Requests: 1}); err != nil {
		t.Errorf("another name: %v", err)
	}
	replace(file("key = \""+renewed+"\"", "requests_per_second = 0.002"))
	if err := admit(renewed, Cost{Requests: 1}); err != nil {
		t.Errorf("new limits: %v", err)
	}
	if err := admit(renewed, Cost{Pictures: 1}); !errors.Is(err, ErrLimited) {
		t.Errorf("pictures under way were forgotten: %v", err)
	}
}

func TestOpenKeysRefuses(t *testing.T) {
	c := Default()
	c.APIKeyFile = filepath.Join(t.TempDir(), "keys")
	if _, err := OpenKeys(c); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	write(t, c.APIKeyFile, "[[key]]\nnam = \"shop\"\n")
	if _, err := OpenKeys(c); err == nil || !strings.Contains(err.Error(), "line 2: there is no field key.nam") ||
		!strings.Contains(err.Error(), c.APIKeyFile) {
		t.Errorf("a misspelled field: %v", err)
	}
}

func TestValidate(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"certificate only":  func(c *Config) { c.TLSCert = "cert.pem" },
		"private key only":  func(c *Config) { c.TLSKey = "key.pem" },
		"negative interval": func(c *Config) { c.Interval = -1 },
		"negative grace":    func(c *Config) { c.Grace = -1 },
	} {
		c := Default()
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
		change(&c)
		if err := c.Validate(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// admitOne lets a request with one picture in and out.
func admitOne(t *testing.T, keys *Keys) {
	k, err := keys.Authenticate(header("X-Api-Key", secret))
	if err != nil {
		t.Error(err)
		return
	}
	release, err := k.Admit(Cost{Requests: 1, Pictures: 1, Bytes: 1})
	if err != nil && !errors.Is(err, ErrLimited) {
		t.Error(err)
	}
	release()
}

// TestConcurrentReload is for the race detector: requests are admitted while the file is replaced.
func TestConcurrentReload(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not replace a file that is open at nearly all times")
	}
	path := filepath.Join(t.TempDir(), "keys")
	replace := func(text string) {
		write(t, path+".new", text)
		if err := os.Rename(path+".new", path); err != nil {
			t.Error(err)
		}
	}
	replace(shopFile)
	c := Default()
	c.APIKeyFile, c.Interval = path, time.Millisecond
	keys, err := OpenKeys(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { keys.Watch(ctx) })
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				admitOne(t, keys)
			}
		})
	}
	for range 20 {
		for _, max := range []string{"16", "17"} {
			replace(strings.Replace(shopFile, "max_pictures = 16", "max_pictures = "+max, 1))
			time.Sleep(5 * time.Millisecond)
		}
	}
	cancel()
	all.Wait()
	if s, _ := keys.State(); s.Reloads == 0 {
		t.Error("no reload took place")
	}
	k, err := keys.Authenticate(header("X-Api-Key", secret))
	if err != nil {
		t.Fatal(err)
	}
	if k.usage.pictures != 0 {
		t.Errorf("%d pictures are under way", k.usage.pictures)
	}
}
