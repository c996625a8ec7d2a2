package answers

import (
	"errors"
	"fmt"
	"time"
)

// Config says what a Writer stores, and how much.
type Config struct {
	Folder string
	// Sample is the share of requests whose answers are stored, from 0 to 1. A request is chosen
	// by a hash of its id, so all replicas of a service choose the same requests.
	Sample float64
	// Embeddings stores the records' embeddings.
	Embeddings bool
	// KeepPictures stores the pictures, too.
	KeepPictures bool
	// Top is the maximum number of predictions in a record; 0 stores all.
	Top int

	// A new file is started when the current one would become larger than MaxFileBytes or is
	// older than MaxFileAge.
	MaxFileBytes int64
	MaxFileAge   time.Duration
	// MaxTotalBytes bounds the folder. The oldest files and pictures are removed to stay below
	// it. Feedback is not removed, but counts.
	MaxTotalBytes int64
	// MaxFeedbackBytes bounds the file of feedback. When it is full, feedback is refused.
	MaxFeedbackBytes int64
	// Remember is the number of stored answers that feedback can refer to: the newest ones.
	Remember int

	// Answers that wait to be written are at most Queue, with pictures of at most QueueBytes
	// together. Further ones are dropped.
	Queue      int
	QueueBytes int64
}

// Default returns the usual settings for a folder: all answers with their embeddings, without
// pictures.
func Default(folder string) Config {
	return Config{
		Folder: folder, Sample: 1, Embeddings: true, Top: 10,
		MaxFileBytes: 64 << 20, MaxFileAge: 24 * time.Hour, MaxTotalBytes: 1 << 30,
		MaxFeedbackBytes: 64 << 20, Remember: 100_000, Queue: 1024, QueueBytes: 64 << 20,
	}
}

// Validate reports the first invalid setting.
func (c Config) Validate() error {
	switch {
	case c.Folder == "":
		return errors.New("answers need a folder")
	case !(c.Sample >= 0 && c.Sample <= 1):
		return fmt.Errorf("the share of answers to store is %v; it must be from 0 to 1", c.Sample)
	case c.Top < 0:
		return fmt.Errorf("the number of predictions to store is %d; it must not be negative", c.Top)
	case c.MaxFileBytes < maxLine:
		return fmt.Errorf("the maximum size of a file of answers is %d bytes; it must be at least %d", c.MaxFileBytes,
			maxLine)
	case c.MaxFileAge <= 0:
		return fmt.Errorf("the maximum age of a file of answers is %v; it must be positive", c.MaxFileAge)
	case c.MaxTotalBytes < 2*c.MaxFileBytes:
		return fmt.Errorf("the maximum size of all answers is %d bytes; it must be at least twice that of a file (%d)",
			c.MaxTotalBytes, c.MaxFileBytes)
	case c.MaxFeedbackBytes < maxLine:
		return fmt.Errorf("the maximum size of the feedback is %d bytes; it must be at least %d", c.MaxFeedbackBytes,
			maxLine)
	case c.Remember < 1 || c.Queue < 1 || c.QueueBytes < 1:
		return errors.New("the number of answers to remember and the size of their queue must be positive")
	}
	return nil
}

// Reason says why an answer, or a part of it, was not stored.
type Reason string

// The reasons.
const (
	ReasonQueue   Reason = "queue_full"     // the disk is slower than the answers
	ReasonInvalid Reason = "invalid"        // the record is not valid, or too long
	ReasonWrite   Reason = "write_failed"   // such as a full disk
	ReasonPicture Reason = "picture_failed" // the answer was stored, but without its picture
	ReasonClosed  Reason = "closed"         // the writer has been closed
)

// Reasons returns all reasons.
func Reasons() []Reason {
	return []Reason{ReasonQueue, ReasonInvalid, ReasonWrite, ReasonPicture, ReasonClosed}
}

// Events are functions that a Writer calls, such as to count in metrics. Any may be nil. They must
// return at once.
type Events struct {
	Stored   func()              // an answer was stored
	Dropped  func(reason Reason) // an answer, or its picture, was not stored
	Feedback func()              // feedback was stored
	Removed  func(bytes int64)   // an old file or picture was removed to make room
	Size     func(bytes int64)   // the folder now has this size
}
