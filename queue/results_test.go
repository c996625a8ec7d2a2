package queue

import (
	"bytes"
	"path/filepath"
	"testing"
)

// TestSecondResultIsRefused: the server keeps the first result of a batch, and refuses another one
// however it is sent: it is not known as a copy by its identifier.
func TestSecondResultIsRefused(t *testing.T) {
	q, err := Open(t.Context(), Options{Dir: filepath.Join(t.TempDir(), "queue")})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	job := Job{Name: "job", Task: Classify, Model: "model", Digest: "digest"}
	if err = q.Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	subject := resultSubject(job.Name, 1, 0)
	first, err := q.js.Publish(t.Context(), subject, []byte("first"))
	if err != nil || first.Sequence != 1 {
		t.Fatal(first, err)
	}
	if _, err = q.js.Publish(t.Context(), subject, []byte("second")); !isTaken(err) {
		t.Errorf("a second result of a batch: %v", err)
	}
	m, err := q.readResult(t.Context(), job.Name, 1, 0)
	if err != nil || !bytes.Equal(m.Data, []byte("first")) {
		t.Errorf("the result is now %v, %v", m, err)
	}
}
