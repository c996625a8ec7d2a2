package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"gocloud.dev/blob"

	"garb/dataset"
)

// readObject reads a version of an object of a bucket.
func (s *Store) readObject(ctx context.Context, l location, version string, maxBytes int64) ([]byte, error) {
	if l.key == "" {
		return nil, l.fail(ErrURL, "", errors.New("the URL names a bucket, not an object in it"))
	}
	b, failed := s.bucket(ctx, l)
	if failed != nil {
		return nil, failed
	}
	var data []byte
	err := s.attempt(ctx, l, b.driver, func(ctx context.Context) error {
		r, err := b.NewReader(ctx, l.key, &blob.ReaderOptions{
			BeforeRead: func(as func(any) bool) error { b.driver.Once(as); return nil },
		})
		if err != nil {
			return err
		}
		defer r.Close()
		if _, have := b.driver.Describe(r.As); isChanged(version, have, r.ModTime()) {
			return ErrChanged
		}
		if r.Size() > maxBytes {
			return ErrTooLarge
		}
		// The size that the service states may be wrong.
		data, err = io.ReadAll(io.LimitReader(r, maxBytes+1))
		if err != nil && !isTemporary(0, err) { // such as a wrong checksum
			err = fmt.Errorf("%w: %w", errInvalid, err)
		}
		if err != nil {
			return err
		}
		if int64(len(data)) > maxBytes {
			return ErrTooLarge
		}
		return nil
	})
	if errors.Is(err, ErrTooLarge) {
		err = l.fail(ErrTooLarge, "", fmt.Errorf("it has more than %d bytes", maxBytes))
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

const (
	pageSize     = 1000           // objects in a request; S3 allows no more
	maxListBytes = 16 << 20       // of an answer; a page of the longest keys has less than half of it
	maxRequests  = pageSize + 100 // for a page
)

// listObjects yields the object of a URL, or those below it.
func (s *Store) listObjects(ctx context.Context, l location, tally *dataset.Tally,
	yield func(Object, error) bool) error {
	b, err := s.bucket(ctx, l)
	if err != nil {
		return err
	}
	n := listing{store: s, location: l, bucket: b, prefix: l.key, tally: tally, yield: yield}
	if n.prefix != "" && !strings.HasSuffix(n.prefix, "/") {
		switch o, err := s.stat(ctx, l, b); {
		case err == nil:
			yield(o, nil)
			return nil
		case !errors.Is(err, ErrNotFound):
			return err
		}
		n.prefix += "/"
	}
	for token := blob.FirstPageToken; len(token) > 0; {
		page, next, err := n.load(ctx, token)
		if err != nil {
			return err
		}
		if err := n.use(page); err != nil {
			return err
		}
		token = next
	}
	if n.seen == 0 {
		return l.fail(ErrNotFound, "", errors.New("there is neither such an object nor any below it"))
	}
	return nil
}

// stat returns the object of a URL.
func (s *Store) stat(ctx context.Context, l location, b *bucket) (Object, error) {
	var o Object
	err := s.attempt(ctx, l, b.driver, func(ctx context.Context) error {
		a, err := b.Attributes(ctx, l.key)
		if err != nil {
			return err
		}
		_, version := b.driver.Describe(a.As)
		o = Object{l.join(l.key), a.Size, orTime(version, a.ModTime)}
		return nil
	})
	return o, err
}

// orTime returns a version, or the time of the last change if it is unknown.
func orTime(version string, changed time.Time) string {
	if version == "" {
		return changed.UTC().Format(time.RFC3339Nano)
	}
	return version
}

// isChanged reports whether an object that is read has another version than the wanted one. A
// listing of objects without versions has their times, of which readings have only the seconds.
func isChanged(want, have string, changed time.Time) bool {
	if want == "" {
		return false
	}
	if at, err := time.Parse(time.RFC3339Nano, want); err == nil {
		return at.Unix() != changed.Unix()
	}
	return have != "" && have != want
}

// listing is a listing in progress.
type listing struct {
	store    *Store
	location location
	bucket   *bucket
	prefix   string
	tally    *dataset.Tally
	yield    func(Object, error) bool

	seen int    // objects
	last string // the key of the last object, as the service sorts it
}

// load returns a page of the listing, and the token of the next one.
func (n *listing) load(ctx context.Context, token []byte) (page []*blob.ListObject, next []byte, err error) {
	driver := n.bucket.driver
	err = n.store.attempt(ctx, n.location, driver, func(ctx context.Context) error {
		requests := 0
		page, next, err = n.bucket.ListPage(withBodyLimit(ctx, maxListBytes), token, pageSize, &blob.ListOptions{
			Prefix: n.prefix,
			BeforeList: func(as func(any) bool) error {
				driver.Once(as)
				if requests++; requests > maxRequests { // empty answers are allowed, but not for ever
					return fmt.Errorf("%w: the listing does not end", errInvalid)
				}
				return nil
			},
		})
		return err
	})
	return page, next, err
}

// use yields the pictures of a page, and counts the other objects.
func (n *listing) use(page []*blob.ListObject) error {
	for _, o := range page {
		stored, version := n.bucket.driver.Describe(o.As)
		if stored == "" {
			stored = o.Key
		}
		if n.seen > 0 && stored <= n.last || !strings.HasPrefix(o.Key, n.prefix) {
			return n.location.fail(ErrTemporary, "",
				fmt.Errorf("%w: the listing repeats keys, or has them out of order, at %q", errInvalid, tidy(o.Key)))
		}
		n.last = stored
		n.seen++
		below := o.Key[len(n.prefix):]
		if below == "" { // the folder itself
			continue
		}
		url := n.location.join(o.Key)
		if reason := dataset.JudgeKey(below); reason != "" {
			n.tally.Add(reason, url, skipWords[reason])
			continue
		}
		if !n.yield(Object{url, o.Size, orTime(version, o.ModTime)}, nil) {
			return errStop
		}
	}
	return nil
}

// skipWords says why an object is left out.
var skipWords = map[dataset.Reason]string{
	dataset.ReasonHidden: "a hidden or system file",
	dataset.ReasonOther:  "its name is not that of a picture",
	dataset.ReasonEmpty:  "an object that stands for a folder",
}

// objectWriter writes an object of a bucket.
type objectWriter struct {
	location location
	driver   Driver
	ctx      context.Context
	cancel   context.CancelFunc
	writer   *blob.Writer
	closed   bool
}

// createObject starts to write an object.
func (s *Store) createObject(ctx context.Context, l location) (Writer, error) {
	if l.key == "" || strings.HasSuffix(l.key, "/") {
		return nil, l.fail(ErrURL, "add a name", errors.New("the URL names a bucket or a folder, not an object in it"))
	}
	b, err := s.bucket(ctx, l)
	if err != nil {
		return nil, err
	}
	inner, cancel := context.WithCancel(ctx)
	w, err := b.NewWriter(inner, l.key, nil)
	if err != nil {
		cancel()
		return nil, l.explain(err, b.driver)
	}
	return &objectWriter{location: l, driver: b.driver, ctx: ctx, cancel: cancel, writer: w}, nil
}

// Write appends to the object.
func (w *objectWriter) Write(p []byte) (int, error) {
	n, err := w.writer.Write(p)
	return n, w.explain(err)
}

// Close makes the object appear.
func (w *objectWriter) Close() error {
	w.closed = true
	defer w.cancel()
	return w.explain(w.writer.Close())
}

// Abort drops the object.
func (w *objectWriter) Abort() error {
	if w.closed {
		return nil
	}
	w.closed = true
	w.cancel()
	w.writer.Close() // its error says that it was cancelled
	return nil
}

// explain returns the error of a step.
func (w *objectWriter) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case w.ctx.Err() != nil:
		return w.ctx.Err()
	}
	return w.location.explain(err, w.driver)
}
