package weights

import (
	"compress/gzip"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"garb/backbone"
	"garb/internal/download"
	"garb/keras"
	"garb/tensor"
)

// TestBuiltInEqualsItsOriginal compares the built-in file with the one that it was converted from.
func TestBuiltInEqualsItsOriginal(t *testing.T) {
	shared := os.Getenv("GARB_SHARED")
	if shared == "" {
		t.Skip("set GARB_SHARED to the folder with weights/efficientnet-lite0-imagenet.safetensors")
	}
	original, err := Read(filepath.Join(shared, "weights", "efficientnet-lite0-imagenet.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	f, _ := BuiltIn("efficientnet-lite0")
	if f.Metadata[KeySourceDigest] != original.Metadata[KeySourceDigest] {
		t.Errorf("made from %s, not %s", f.Metadata[KeySourceDigest], original.Metadata[KeySourceDigest])
	}
	for name, want := range original.Tensors {
		got, err := f.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range want.Data {
			// binary16 keeps 11 bits, and steps of 2⁻²⁴ below 2⁻¹⁴.
			tolerance := max(math.Abs(float64(v))/2048, 1.0/(1<<25))
			if math.Abs(float64(got.Data[i]-v)) > tolerance {
				t.Fatalf("value %d of %s is %g, was %g", i, name, got.Data[i], v)
			}
		}
	}
}

func TestImageNetClasses(t *testing.T) {
	all := ImageNetClasses()
	if len(all) != 1000 {
		t.Fatalf("%d classes", len(all))
	}
	seen := map[string]bool{}
	for i, c := range all {
		if c.Index != i || len(c.WNID) != 9 || c.Name == "" || seen[c.WNID] {
			t.Errorf("class %d is %+v", i, c)
		}
		seen[c.WNID] = true
	}
	// Places that anyone can check in ImageNet's list.
	for index, want := range map[int]string{0: "tench", 608: "jean", 999: "toilet tissue"} {
		if !strings.HasPrefix(all[index].Name, want) {
			t.Errorf("class %d is %q, want %q", index, all[index].Name, want)
		}
	}
	all[0].Name = "changed"
	if ImageNetClasses()[0].Name == "changed" {
		t.Error("the caller can change the table")
	}
}

func TestSources(t *testing.T) {
	for _, s := range Sources() {
		if _, err := backbone.Lookup(s.Architecture); (err != nil) != (s.Application != nil) {
			t.Error(s.Name, err)
		}
		if _, ok := BuiltIn(s.Name); ok != s.BuiltIn {
			t.Errorf("%s: built in is %v", s.Name, ok)
		}
		digest := len(s.MD5) == 32 && s.SHA256Prefix == "" ||
			s.MD5 == "" && len(s.SHA256Prefix) == 8 && strings.Contains(s.URL, "-"+s.SHA256Prefix+".pth")
		// Keras's source has no digests of these two.
		digest = digest || s.Name == "keras-mobilenet" || s.Name == "keras-mobilenetv2"
		if complete := strings.HasPrefix(s.URL, "https://") && digest && s.MaxBytes > 0; complete == s.BuiltIn {
			t.Errorf("%s has URL %q, MD5 %q, SHA-256 %q", s.Name, s.URL, s.MD5, s.SHA256Prefix)
		}
		if s.Licence == "" || s.Origin == "" || s.Description == "" {
			t.Errorf("%s is not described", s.Name)
		}
	}
}

// official returns a small Keras file as a stand-in for an official one, and the source that
// describes it.
func official(t testing.TB) ([]byte, Source) {
	t.Helper()
	packed, err := os.Open(filepath.Join("..", "keras", "testdata", "small2.weights.h5.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data, Source{
		Name: "stand-in", Architecture: "small-cnn", WithTop: true, Licence: "test",
		MD5: fmt.Sprintf("%x", md5.Sum(data)), MaxBytes: 1 << 20,
	}
}

// home sets a GARB_HOME of the test's own and returns a function that lists the files in it.
func home(t *testing.T) (contents func() []string) {
	folder := t.TempDir()
	t.Setenv("GARB_HOME", folder)
	return func() []string {
		files, err := filepath.Glob(filepath.Join(folder, "weights", "*"))
		hidden, hiddenErr := filepath.Glob(filepath.Join(folder, "weights", ".*"))
		if err != nil || hiddenErr != nil {
			t.Fatal(err, hiddenErr)
		}
		return append(files, hidden...)
	}
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func TestPull(t *testing.T) {
	contents := home(t)
	data, s := official(t)
	s.URL = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Write(data)
	}) + "/weights.h5"
	var last, total int64
	path, err := pull(context.Background(), s, func(done, all int64) {
		if done < last {
			t.Errorf("%d bytes after %d", done, last)
		}
		last, total = done, all
	})
	if err != nil {
		t.Fatal(err)
	}
	if last != int64(len(data)) || total != last {
		t.Errorf("progress ended at %d of %d bytes, want %d", last, total, len(data))
	}
	if files := contents(); len(files) != 1 || files[0] != path {
		t.Errorf("the folder holds %q, want %q", files, path)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if architecture, withTop, ok := Recognise(f); architecture != "small-cnn" || !withTop || !ok {
		t.Errorf("recognised as %q, top %v, %v", architecture, withTop, ok)
	}
	if f.Metadata[KeySource] != s.URL || f.Metadata[KeySourceDigest] != "md5:"+s.MD5 ||
		f.Metadata["licence"] != s.Licence {
		t.Errorf("metadata %v", f.Metadata)
	}
}

func TestFailedPullsLeaveNothing(t *testing.T) {
	data, good := official(t)
	whole := func(w http.ResponseWriter, _ *http.Request) { w.Write(data) }
	var failed *DownloadError
	var digest *DigestError
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		change  func(*Source)
		as      any
		text    string
	}{
		{"not found", http.NotFound, nil, &failed, "404"},
		{"another file", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }, nil, &digest,
			"not the official file"},
		{"too long", whole, func(s *Source) { s.MaxBytes = 1000 }, &failed, "at most"},
		{"too long without a length", func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				w.Write(data)
				w.(http.Flusher).Flush()
			}
		}, nil, &failed, "longer than"},
		{"another network", whole, func(s *Source) { s.Architecture = "xception" }, nil, "instead of xception"},
		{"other scheme", whole, func(s *Source) { s.URL = "file:///etc/hostname" }, &failed, "scheme"},
	} {
		contents := home(t)
		s := good
		s.URL = serve(t, test.handler)
		if test.change != nil {
			test.change(&s)
		}
		_, err := pull(context.Background(), s, nil)
		if err == nil || test.as != nil && !errors.As(err, test.as) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: error %v, want one with %q", test.name, err, test.text)
		}
		if files := contents(); len(files) != 0 {
			t.Errorf("%s: left %q", test.name, files)
		}
	}
}

func TestPullOffline(t *testing.T) {
	home(t)
	_, s := official(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.URL = "http://" + listener.Addr().String()
	listener.Close() // now nobody listens there
	var failed *DownloadError
	if _, err := pull(context.Background(), s, nil); !errors.As(err, &failed) || failed.Name != "stand-in" {
		t.Errorf("error %v", err)
	}
}

func TestPullStops(t *testing.T) {
	contents := home(t)
	data, s := official(t)
	ctx, cancel := context.WithCancel(context.Background())
	s.URL = serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write(data[:1000])
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	})
	if _, err := pull(ctx, s, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if files := contents(); len(files) != 0 {
		t.Errorf("left %q", files)
	}
}

func TestPullFile(t *testing.T) {
	home(t)
	data, s := official(t)
	path := filepath.Join(t.TempDir(), "downloaded.h5")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	kept, err := pullFile(s, path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(kept); err != nil {
		t.Error(err)
	}
	data[len(data)-1]++
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	var digest *DigestError
	if _, err := pullFile(s, path); !errors.As(err, &digest) || digest.File != path {
		t.Errorf("a changed file gives %v", err)
	}
}

func TestRead(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a.h5")
	data, s := official(t)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	n, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	// Keras's count of the homework's network for 6×6 pixels, without Keras: 896 for
	// the convolution, 128·64+64 and 64+1 for the dense layers.
	if n.Architecture != s.Architecture || !n.WithTop || n.ParameterCount() != 896+128*64+64+65 ||
		n.Format != "Keras 2.21.0, weights only" {
		t.Errorf("%s, top %v, %d parameters, %s", n.Architecture, n.WithTop, n.ParameterCount(), n.Format)
	}
	// The network can be written and read again, and keeps its origin.
	again := filepath.Join(folder, "b.safetensors")
	n.NoteStep("rounded to float16")
	n.NoteStep("rounded to float16")
	if err = tensor.WriteFile(again, n.Metadata, n.Tensors, tensor.Float16); err != nil {
		t.Fatal(err)
	}
	m, err := Read(again)
	if err != nil {
		t.Fatal(err)
	}
	if m.Architecture != n.Architecture || m.Metadata[KeySource] != "a.h5" ||
		m.Metadata[KeyConverted] != "from Keras 2.21.0, weights only, rounded to float16" {
		t.Errorf("%s, metadata %v", m.Architecture, m.Metadata)
	}

	other := filepath.Join(folder, "c.safetensors")
	if err := tensor.WriteFile(other, nil, tensor.Map{"a": tensor.New(1)}, tensor.Float32); err != nil {
		t.Fatal(err)
	}
	var none *NotANetworkError
	if _, err := Read(other); !errors.As(err, &none) || !strings.Contains(err.Error(), other) {
		t.Errorf("tensors of no network give %v", err)
	}
	var format *tensor.FormatError
	var kerasFormat *keras.FormatError
	for _, test := range []struct {
		content string
		as      any
	}{{"", &format}, {"hello", &format}, {"PK\x03\x04", &kerasFormat}, {"\x89HDF\r\n\x1a\n", &kerasFormat}} {
		if err := os.WriteFile(other, []byte(test.content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(other); !errors.As(err, test.as) || !strings.Contains(err.Error(), other) {
			t.Errorf("a file of %q gives %T: %v", test.content, err, err)
		}
	}
}

func BenchmarkBuiltIn(b *testing.B) {
	for b.Loop() {
		f, _ := BuiltIn("efficientnet-lite0")
		for _, name := range f.Names() {
			if _, err := f.Tensor(name); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// pull downloads a source's file and keeps it.
func pull(ctx context.Context, s Source, progress func(done, total int64)) (string, error) {
	data, err := Download(ctx, download.DefaultClient(), s, progress)
	if err != nil {
		return "", err
	}
	return Keep(s, s.URL, data)
}

// pullFile keeps a file that was downloaded before.
func pullFile(s Source, path string) (string, error) {
	data, err := ReadCopy(s, path)
	if err != nil {
		return "", err
	}
	return Keep(s, path, data)
}
