package serve

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
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
	// While it still wrote some, there would be room for a moment as soon as pictures are removed.
	waitFor(t, "the writer has tried all answers", func() bool { return countTried(t, metricsOf(t, r)) == 1+300+50 })
	for _, reason := range []answers.Reason{answers.ReasonWrite, answers.ReasonPicture} {
		if strings.Contains(metricsOf(t, r), fmt.Sprintf("garb_answers_dropped_total{reason=%q} 0\n", reason)) {
			t.Errorf("nothing was dropped for %s", reason)
		}
	}
	if err := os.RemoveAll(filepath.Join(folder, "pictures")); err != nil {
		t.Fatal(err)
	}
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

// countTried returns the number of answers that metrics say were stored or dropped. An answer whose picture was
// dropped is stored.
func countTried(t *testing.T, metrics string) int {
	t.Helper()
	tried := 0
	for _, match := range storedOrDropped.FindAllStringSubmatch(metrics, -1) {
		n, err := strconv.Atoi(match[1])
		if err != nil {
			t.Fatal(err)
		}
		tried += n
	}
	return tried
}

var storedOrDropped = regexp.MustCompile(
	`(?m)^garb_answers_(?:stored_total|dropped_total\{reason="(?:queue_full|write_failed)"\}) (\d+)$`)
