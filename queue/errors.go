package queue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// NoQueueError reports a folder that has no queue.
type NoQueueError struct {
	Dir string
	Err error
}

// Error says why.
func (e *NoQueueError) Error() string {
	if errors.Is(e.Err, fs.ErrNotExist) {
		return "no queue in " + e.Dir
	}
	return fmt.Sprintf("no queue in %s: %v", e.Dir, e.Err)
}

// Unwrap returns the error of the file system.
func (e *NoQueueError) Unwrap() error { return e.Err }

// UnknownJobError reports a job that the queue does not have.
type UnknownJobError struct {
	Name  string
	Known []string
}

// Error names the jobs that there are.
func (e *UnknownJobError) Error() string {
	if len(e.Known) == 0 {
		return fmt.Sprintf("there is no job %q; the queue has no jobs", e.Name)
	}
	return fmt.Sprintf("there is no job %q; the queue has %s", e.Name, strings.Join(e.Known, ", "))
}

// JobExistsError reports a job that exists with other settings.
type JobExistsError struct {
	Name, Setting string
	Have, Want    any
}

// Error names the setting.
func (e *JobExistsError) Error() string {
	return fmt.Sprintf("job %q exists with another %s: %v, not %v; choose another name, or delete the job", e.Name,
		e.Setting, e.Have, e.Want)
}

// DigestError reports a worker whose model is not the job's.
type DigestError struct{ Job, Have, Want string }

// Error says which model is needed.
func (e *DigestError) Error() string {
	return fmt.Sprintf("this worker's model has another digest, %s, than that of job %q, %s: "+
		"give it the same model file", e.Have, e.Job, e.Want)
}

// IncompleteError reports that a job still has pictures without a result.
type IncompleteError struct {
	Job    string
	Status Status
}

// Error counts the pictures.
func (e *IncompleteError) Error() string {
	return fmt.Sprintf("job %q is not complete: %d of %d pictures have no result yet", e.Job, e.Status.Left(),
		e.Status.Put)
}

// TooLongError reports a picture whose name does not fit in a message.
type TooLongError struct {
	Name         string
	Bytes, Limit int
}

// Error shows the beginning of the name.
func (e *TooLongError) Error() string {
	const shown = 60
	return fmt.Sprintf("%.*s…: the name takes %d bytes; the server accepts messages of %d", shown, e.Name, e.Bytes,
		e.Limit)
}

// FullError reports that the server has no space.
type FullError struct {
	Place string
	Err   error
}

// Error says what to do.
func (e *FullError) Error() string {
	return fmt.Sprintf("%s: the queue's disk is full, or its size limit is reached: free space; nothing is lost (%v)",
		e.Place, e.Err)
}

// Unwrap returns the server's error.
func (e *FullError) Unwrap() error { return e.Err }

// NoAnswerError reports a server that did not answer for a long time.
type NoAnswerError struct {
	Place string
	Err   error
}

// Error says what to do.
func (e *NoAnswerError) Error() string {
	return fmt.Sprintf("%s: the server of the queue does not answer: check the network, the server and its disk (%v)",
		e.Place, e.Err)
}

// Unwrap returns the last error.
func (e *NoAnswerError) Unwrap() error { return e.Err }

// StoreError reports a folder whose data the server cannot read.
type StoreError struct {
	Dir  string
	Text string
	Hint string // what to do; "" means the default
}

// Error says what to do.
func (e *StoreError) Error() string {
	hint := e.Hint
	if hint == "" {
		hint = "restore the folder from a backup, or remove it and put the pictures again"
	}
	return fmt.Sprintf("%s: the data of the queue cannot be read: %s; %s", e.Dir, e.Text, hint)
}

// PermanentError marks an error of a Source that another attempt would not change.
type PermanentError struct{ Err error }

// Error returns the text of the cause.
func (e *PermanentError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *PermanentError) Unwrap() error { return e.Err }

// Error codes of the server that nats.go does not name; they are in the server's errors.json.
const (
	codeNoPeers               jetstream.ErrorCode = 10005
	codeInsufficientResources jetstream.ErrorCode = 10023
	codeStorageExceeded       jetstream.ErrorCode = 10047
	codeWrongLastMessageID    jetstream.ErrorCode = 10070
	codeStoreFailed           jetstream.ErrorCode = 10077
	codeStreamOffline         jetstream.ErrorCode = 10118
)

// isTaken reports whether the server refused a second message on a subject.
func isTaken(err error) bool {
	var e *jetstream.APIError
	return errors.As(err, &e) && e.ErrorCode == codeStoreFailed &&
		strings.Contains(e.Description, "maximum messages per subject")
}

// lacksPeers reports whether a cluster has too few servers for the replicas.
func lacksPeers(err error) bool {
	var e *jetstream.APIError
	return errors.As(err, &e) && e.ErrorCode == codeNoPeers
}

// isConflict reports whether another process has published in between.
func isConflict(err error) bool {
	var e *jetstream.APIError
	return errors.As(err, &e) && (e.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		e.ErrorCode == codeWrongLastMessageID ||
		e.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// isFull reports whether the server has no space.
func isFull(err error) bool {
	var full *FullError
	if errors.As(err, &full) {
		return true
	}
	var e *jetstream.APIError
	if !errors.As(err, &e) {
		return false
	}
	switch e.ErrorCode {
	case codeInsufficientResources, codeStorageExceeded:
		return true
	case codeStoreFailed:
		if strings.Contains(e.Description, "maximum bytes") {
			return true
		}
	}
	return saysFull(e.Description)
}

// saysFull reports whether a text has an operating system's words for a disk without space.
func saysFull(text string) bool {
	for _, words := range []string{"no space left", "disk quota exceeded", "not enough space"} { // Unix twice, Windows
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

// explain returns a *FullError for an error whose reason is that the server has no space, and other
// errors unchanged.
func (q *Queue) explain(err error) error {
	var full *FullError
	var answer *jetstream.APIError
	switch {
	case errors.As(err, &full):
	case isFull(err):
		return &FullError{q.place(), err}
	case errors.As(err, &answer) && answer.Code == 500: // such as "error creating store for stream"
		if full := q.checkSpace(); full != nil {
			return full
		}
	}
	return err
}

// isTransient reports whether the server may answer otherwise later: it restarts, elects a
// leader, or is out of reach.
func isTransient(err error) bool {
	for _, known := range []error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrConnectionReconnecting,
		nats.ErrDisconnected, nats.ErrNoServers, nats.ErrReconnectBufExceeded, jetstream.ErrNoStreamResponse,
		jetstream.ErrJetStreamNotEnabled, jetstream.ErrNoHeartbeat, nats.ErrStaleConnection,
		jetstream.ErrConnectionClosed, jetstream.ErrServerShutdown,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	var e *jetstream.APIError
	return errors.As(err, &e) && (e.Code == 503 && e.ErrorCode != codeStoreFailed && !isFull(err) ||
		e.ErrorCode == codeStreamOffline)
}
