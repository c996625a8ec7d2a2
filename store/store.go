// Package store lists, reads and writes objects by URL: files and folders of this machine, buckets
// of S3 and of services that speak its protocol (s3://), and, with the packages below this one,
// Google Cloud Storage (gs://) and Azure Blob Storage (azblob://).
//
// An object's URL is s3://BUCKET/KEY, with the characters of the key escaped as in every URL. The
// parameters of gocloud.dev choose the service, for example a MinIO server:
//
//	s3://pictures/2024/?endpoint=http://minio:9000&use_path_style=true&region=us-east-1
//
// and Cloudflare R2:
//
//	s3://pictures/2024/?endpoint=https://ACCOUNT.r2.cloudflarestorage.com&region=auto
//
// Credentials never stand in a URL. They come from where each service's own tools look for them,
// such as AWS_PROFILE.
package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"sync"
	"time"

	"gocloud.dev/blob"

	"garb/dataset"
)

// Object is an object in a listing.
type Object struct {
	URL     string // to read it again; a path for files of this machine that a path listed
	Size    int64
	Version string // differs between versions of the object: the entity tag, generation or time
}

// Options are the limits of a Store.
type Options struct {
	Attempts     int           // for each request, with those that fail, from 1
	FirstWait    time.Duration // after the first failed attempt; it doubles after each further one
	MaxWait      time.Duration // the longest wait between attempts
	AttemptLimit time.Duration // for one attempt to read an object or a part of a listing
	StallLimit   time.Duration // without a byte sent or received
}

// Default returns the limits that commands use.
func Default() Options {
	return Options{
		Attempts:     5,
		FirstWait:    time.Second / 4,
		MaxWait:      15 * time.Second,
		AttemptLimit: 5 * time.Minute,
		StallLimit:   time.Minute,
	}
}

// Validate returns an error for limits that allow no request.
func (o Options) Validate() error {
	switch {
	case o.Attempts < 1:
		return fmt.Errorf("store: %d attempts; at least 1 is needed", o.Attempts)
	case o.FirstWait <= 0 || o.MaxWait < o.FirstWait:
		return fmt.Errorf("store: waits from %v to %v; they must be positive, and in order", o.FirstWait, o.MaxWait)
	case o.AttemptLimit <= 0 || o.StallLimit <= 0:
		return errors.New("store: the time limits must be positive")
	}
	return nil
}

// Store lists, reads and writes objects. It keeps the buckets open that it has used. Several
// goroutines may use it.
type Store struct {
	options Options

	mu      sync.Mutex
	buckets map[string]*bucket // by scheme, name and parameters
	closed  bool
}

// New returns a Store. It panics if the options are not valid.
func New(o Options) *Store {
	if err := o.Validate(); err != nil {
		panic(err.Error())
	}
	return &Store{options: o, buckets: map[string]*bucket{}}
}

// bucket is an open bucket.
type bucket struct {
	*blob.Bucket
	driver    Driver
	transport closingTransport
}

// Close closes the buckets. No other method may run, or be called afterwards.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var all []error
	for _, b := range s.buckets {
		all = append(all, b.Close())
		b.transport.CloseIdleConnections()
	}
	clear(s.buckets)
	return errors.Join(all...)
}

// bucket returns the open bucket of a location.
func (s *Store) bucket(ctx context.Context, l location) (*bucket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		panic("store: used after Close")
	}
	key := l.bucketURL().String()
	if b, ok := s.buckets[key]; ok {
		return b, nil
	}
	driver, err := findDriver(l.url.Scheme)
	if err != nil {
		return nil, l.fail(err, "", nil) // which is ErrScheme
	}
	var transport closingTransport
	opened, err := driver.Open(ctx, l.bucketURL(), func(t *http.Transport) http.RoundTripper {
		transport.transports = append(transport.transports, t)
		return &guard{t, s.options.StallLimit}
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, l.fail(kindOf(err, errOpen), driver.Hint(), err)
	}
	b := &bucket{opened, driver, transport}
	s.buckets[key] = b
	return b, nil
}

// closingTransport closes the idle connections of a bucket.
type closingTransport struct{ transports []*http.Transport }

// CloseIdleConnections closes connections that no request uses.
func (c closingTransport) CloseIdleConnections() {
	for _, t := range c.transports {
		t.CloseIdleConnections()
	}
}

// List yields the objects at a URL or path: the object or file itself, or all below a folder. A
// URL is a folder if there is no object of exactly this key. Objects come in the order of their
// keys, files in the order of dataset.Pictures; what is no picture by the rules of dataset is left
// out and counted in tally. At most one error is yielded, at the end. It is ErrNotFound if there is
// nothing at all. The memory does not grow with the number of objects; it holds the names in one
// folder of this machine at a time.
func (s *Store) List(ctx context.Context, url string, tally *dataset.Tally) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		l, err := parse(url)
		switch {
		case err != nil:
		case l.isFile():
			err = listFiles(ctx, l, tally, yield)
		default:
			err = s.listObjects(ctx, l, tally, yield)
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(Object{}, err)
		}
	}
}

// errStop says that the consumer of a listing wants no more.
var errStop = errors.New("stop")

// Read returns the content of an object, of at most maxBytes. It tries again after errors that may
// pass.
func (s *Store) Read(ctx context.Context, url string, maxBytes int64) ([]byte, error) {
	return s.ReadVersion(ctx, url, "", maxBytes)
}

// ReadVersion reads an object as Read does. The error is ErrChanged if the object has another
// version than that of its Object in a listing; "" means any.
func (s *Store) ReadVersion(ctx context.Context, url, version string, maxBytes int64) ([]byte, error) {
	l, err := parse(url)
	switch {
	case err != nil:
		return nil, err
	case l.isFile():
		return readFile(ctx, l, version, maxBytes)
	}
	return s.readObject(ctx, l, version, maxBytes)
}

// Writer writes an object, which appears when Close returns nil. One of Close and Abort must end
// it; Abort after Close does nothing. It is not safe for concurrent use.
type Writer interface {
	Write(p []byte) (int, error)
	Close() error
	Abort() error
}

// Create starts to write an object, and replaces one of the same URL. The context must not end
// before the Writer has.
func (s *Store) Create(ctx context.Context, url string) (Writer, error) {
	l, err := parse(url)
	switch {
	case err != nil:
		return nil, err
	case l.isFile():
		return createFile(l)
	}
	return s.createObject(ctx, l)
}
