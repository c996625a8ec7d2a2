package answers

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Writer stores answers in a folder. Its methods may be called by many goroutines; one goroutine of
// its own writes, so that callers of Store never wait for the disk.
type Writer struct {
	config Config
	log    *slog.Logger
	events Events

	mu      sync.RWMutex // held to send to tasks, and to close it
	closed  bool
	tasks   chan task
	waiting atomic.Int64 // bytes of pictures in tasks
	ended   chan struct{}
	err     error // of closing the folder, once ended is closed

	// What follows belongs to the goroutine that writes.
	folder  *folder
	index   *index
	failing bool // the last write failed
	lost    int  // answers since it began to fail
}

// task is an answer or feedback to be written.
type task struct {
	record   *Record
	picture  []byte
	feedback *Feedback
	key      string
	reply    chan<- error // of feedback
}

// NewWriter opens a folder of answers, which it creates if it does not exist. It writes problems to
// log. The error is *LockedError if another Writer has the folder.
func NewWriter(c Config, log *slog.Logger, events Events) (*Writer, error) {
	w, err := openWriter(c, log, events)
	if err == nil {
		go w.run()
	}
	return w, err
}

// openWriter is NewWriter without starting the goroutine that writes.
func openWriter(c Config, log *slog.Logger, events Events) (*Writer, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	f, err := openFolder(c, events.Removed)
	if err != nil {
		return nil, err
	}
	w := &Writer{
		config: c, log: log, events: events, folder: f, index: newIndex(c.Remember),
		tasks: make(chan task, c.Queue), ended: make(chan struct{}),
	}
	w.index.load(c.Folder, f.files)
	f.makeRoom()
	w.reportSize()
	return w, nil
}

// Samples reports whether the answers to a request are to be stored. It gives the same result for
// the same id everywhere.
func (w *Writer) Samples(requestID string) bool {
	digest := sha256.Sum256([]byte(requestID))
	return float64(binary.BigEndian.Uint64(digest[:])) < w.config.Sample*math.MaxUint64
}

// Embeddings reports whether records should have their embeddings.
func (w *Writer) Embeddings() bool { return w.config.Embeddings }

// Store queues an answer and, if pictures are kept, its picture; otherwise the picture's digest and
// size are stored. picture may be nil. Neither may change any more. Store does not wait: if the
// queue is full, the answer is dropped and counted. It does nothing if the request is not sampled.
func (w *Writer) Store(r *Record, picture []byte) {
	if !w.Samples(r.RequestID) {
		return
	}
	size := int64(cap(picture)) // that much stays in memory
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		w.drop(ReasonClosed)
		return
	}
	// A picture larger than the whole queue is stored if nothing else waits.
	if after := w.waiting.Add(size); after > w.config.QueueBytes && after > size {
		w.waiting.Add(-size)
		w.drop(ReasonQueue)
		return
	}
	select {
	case w.tasks <- task{record: r, picture: picture}:
	default:
		w.waiting.Add(-size)
		w.drop(ReasonQueue)
	}
}

// StoreFeedback stores feedback about an answer that was given to the API key with this name, "" for
// none. It waits until the feedback is written. Errors are *FeedbackError, *UnknownRequestError,
// *UnknownPictureError, ErrFeedbackFull, ErrClosed, ctx's, or those of the disk.
func (w *Writer) StoreFeedback(ctx context.Context, f Feedback, key string) error {
	if err := f.Validate(); err != nil {
		return err
	}
	reply := make(chan error, 1)
	if err := w.send(ctx, task{feedback: &f, key: key, reply: reply}); err != nil {
		return err
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send queues a task, and waits for a place.
func (w *Writer) send(ctx context.Context, t task) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return ErrClosed
	}
	select {
	case w.tasks <- t:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close writes what is queued, and closes the folder. It waits until that is done or ctx ends.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.tasks)
	}
	w.mu.Unlock()
	select {
	case <-w.ended:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run writes tasks until Close.
func (w *Writer) run() {
	defer close(w.ended)
	for t := range w.tasks {
		switch {
		case t.feedback != nil:
			t.reply <- w.writeFeedback(*t.feedback, t.key)
		default:
			w.writeAnswer(*t.record, t.picture)
			w.waiting.Add(-int64(cap(t.picture)))
		}
		w.reportSize()
	}
	w.err = w.folder.close()
}

// writeAnswer writes an answer and its picture.
func (w *Writer) writeAnswer(r Record, picture []byte) {
	if picture != nil {
		r.Picture.SHA256, r.Picture.Bytes = formatDigest(sha256.Sum256(picture)), len(picture)
	}
	r.Picture.File = ""
	if !w.config.Embeddings {
		r.Embedding = nil
	}
	if w.config.Top > 0 && len(r.Predictions) > w.config.Top {
		r.Predictions = r.Predictions[:w.config.Top]
	}
	if err := r.Validate(); err != nil {
		w.reject(&r, err)
		return
	}
	if w.config.KeepPictures && picture != nil {
		var err error
		if r.Picture.File, err = w.folder.keepPicture(picture, r.Picture.SHA256, r.Picture.Format); err != nil {
			w.drop(ReasonPicture)
			w.fail(err)
		}
	}
	line, err := r.encode()
	if err != nil {
		w.reject(&r, err)
		return
	}
	at, err := w.folder.append(line)
	if err != nil {
		w.drop(ReasonWrite)
		w.lost++
		w.fail(err)
		return
	}
	w.recover(r.Picture.File != "" || picture == nil || !w.config.KeepPictures)
	w.index.add(&r, at)
	if w.events.Stored != nil {
		w.events.Stored()
	}
}

// writeFeedback finds the answer that feedback means, and writes both.
func (w *Writer) writeFeedback(f Feedback, key string) error {
	r, err := w.index.find(w.config.Folder, f, key)
	if err != nil {
		return err
	}
	line, err := encodeLine(StoredFeedback{
		RequestID: r.RequestID, Index: r.Index, Time: time.Now().UTC(), Class: f.Class, Note: f.Note, Key: key,
		Answered: r.Class, Model: r.Model, Picture: r.Picture,
	})
	if err != nil {
		return err
	}
	if r.Picture.File != "" {
		w.folder.touchPicture(r.Picture.File)
	}
	if err = w.folder.appendFeedback(line); err != nil {
		if !errors.Is(err, ErrFeedbackFull) {
			w.fail(err)
		}
		return err
	}
	if w.events.Feedback != nil {
		w.events.Feedback()
	}
	return nil
}

// reject counts and logs a record that cannot be stored.
func (w *Writer) reject(r *Record, err error) {
	w.drop(ReasonInvalid)
	w.log.Error("the answer cannot be stored", "request_id", r.RequestID, "error", err)
}

// fail logs the first of several failures.
func (w *Writer) fail(err error) {
	if !w.failing {
		w.failing = true
		w.log.Error("answers cannot be stored; the service goes on without", "folder", w.config.Folder, "error", err)
	}
}

// recover logs that answers are stored again after failures. complete says that the picture was
// stored, too.
func (w *Writer) recover(complete bool) {
	if w.failing && complete {
		w.log.Info("answers are stored again", "folder", w.config.Folder, "lost", w.lost)
		w.failing, w.lost = false, 0
	}
}

func (w *Writer) drop(reason Reason) {
	if w.events.Dropped != nil {
		w.events.Dropped(reason)
	}
}

func (w *Writer) reportSize() {
	if w.events.Size != nil {
		w.events.Size(w.folder.total)
	}
}
