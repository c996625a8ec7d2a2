package answers

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestFullDiskForReal fills a disk of two megabytes in memory, and makes room on it.
func TestFullDiskForReal(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=2m"); err != nil {
		t.Skip("only root can mount a disk:", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, 0) })
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1900<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Default(filepath.Join(disk, "answers"))
	c.KeepPictures = true
	var n counts
	w := newTestWriter(t, c, n.events())
	for range 20 {
		storeWaiting(t, w, makeRecord("before", 0), nil)
	}
	for i := range 20 {
		r := makeRecord("full", i)
		r.Labels = []string{strings.Repeat("x", 20<<10)}
		storeWaiting(t, w, r, []byte(strings.Repeat("p", 30<<10+i)))
	}
	storeWaiting(t, w, makeRecord("full", 0), nil)
	for n.stored.Load()+n.dropped[ReasonWrite].Load() < 41 {
		runtime.Gosched()
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	storeWaiting(t, w, makeRecord("after", 0), []byte("picture"))
	closeWriter(t, w)
	r := &Reader{Folder: c.Folder}
	all := readAll(t, r)
	if n.dropped[ReasonWrite].Load() == 0 || n.dropped[ReasonPicture].Load() == 0 {
		t.Errorf("dropped %d answers, %d pictures", n.dropped[ReasonWrite].Load(), n.dropped[ReasonPicture].Load())
	}
	if last := all[len(all)-1]; last.RequestID != "after" || last.Picture.File == "" || r.Skipped().Total() != 0 {
		t.Errorf("the last of %d is %+v, skipped %+v", len(all), last, r.Skipped())
	}
	if int64(len(all)) != n.stored.Load() {
		t.Errorf("%d read, %d stored", len(all), n.stored.Load())
	}
}
