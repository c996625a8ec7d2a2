package serve

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"garb/answers"
)

// TestAnswersFullDisk: a full disk fails no request. The log says so once, and again when there is room.
func TestAnswersFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("only root can mount a disk:", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, 0) })
	folder, ballast := filepath.Join(disk, "answers"), filepath.Join(disk, "ballast")
	r := start(t, &fake{}, func(c *Config) {
		c.Answers = answers.Default(folder)
		c.Answers.KeepPictures = true
	})
	classify := func(id string) {
		t.Helper()
		data := append(white(), id...) // decoders ignore what follows
		data = append(data, make([]byte, 8<<10)...)
		answer, text := post(t, r.url+"/v1/classify", "", data, "X-Request-Id", id)
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", id, answer.Status, text)
		}
	}
	classify("before")
	for i := range 300 {
		classify(fmt.Sprintf("full-%d", i))
	}
	waitFor(t, "the disk is full", func() bool { return strings.Contains(r.log.String(), "answers cannot be stored") })
	_ = os.WriteFile(ballast, make([]byte, 1<<20), 0o600) // what is left, so that answers do not fit either
	for i := range 50 {
		classify(fmt.Sprintf("fuller-%d", i))
	}
	waitFor(t, "answers are lost", func() bool {
		text := metricsOf(t, r)
		return !strings.Contains(text, `garb_answers_dropped_total{reason="write_failed"} 0`+"\n") &&
			!strings.Contains(text, `garb_answers_dropped_total{reason="picture_failed"} 0`+"\n")
	})
	waitFor(t, "the pictures are gone", func() bool { // the writer may still be adding some
		return os.RemoveAll(filepath.Join(folder, "pictures")) == nil
	})
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	classify("after")
	waitFor(t, "answers are stored again", func() bool {
		return strings.Contains(r.log.String(), "answers are stored again")
	})
	if n := strings.Count(r.log.String(), "answers cannot be stored"); n != 1 {
		t.Errorf("the log says %d times that answers cannot be stored", n)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	all := readAnswers(t, folder)
	if first, last := all[0].RequestID, all[len(all)-1].RequestID; first != "before" || last != "after" {
		t.Errorf("the answers are from %s to %s", first, last)
	}
}
