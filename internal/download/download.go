// Package download gets files by HTTP, bounded in size and in time.
package download

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"garb/internal/safefile"
)

const (
	answerTimeout = 30 * time.Second // for the header of an answer
	stallTimeout  = 60 * time.Second // between two reads of a body
	maxAttempts   = 5                // in a row that receive no new bytes
)

// minWait is the wait after the first failed attempt, which doubles after each further one up to
// maxWait. Tests shorten it.
var minWait = time.Second / 4

const maxWait = 15 * time.Second

// DefaultClient returns a client that respects the usual proxy variables (HTTPS_PROXY,
// NO_PROXY) and does not wait longer than answerTimeout for an answer.
func DefaultClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = answerTimeout
	return &http.Client{Transport: transport}
}

// Progress is called with the bytes received so far and in total (−1 if unknown).
type Progress func(done, total int64)

// Get returns the file at an http or https address, of at most maxBytes, in one attempt.
// progress may be nil. Errors do not repeat the address.
func Get(ctx context.Context, client *http.Client, address string, maxBytes int64, progress Progress) ([]byte, error) {
	d := transfer{client: client, address: address, maxBytes: maxBytes, progress: progress}
	if err := d.check(); err != nil {
		return nil, err
	}
	if _, err := d.receive(ctx); err != nil {
		return nil, withoutAddress(err)
	}
	return d.data, nil
}

// Fetch returns a file as Get does, but tries again after transient failures and then asks only
// for the missing bytes. If it fails, or ctx ends, it stores the received bytes at partial, from
// where the next Fetch of the same address continues; if it succeeds, it removes partial. The
// server's entity tag or date ensures that all bytes are of one version of the file; the
// caller should still check a digest. partial may be "".
func Fetch(ctx context.Context, client *http.Client, address string, maxBytes int64, partial string,
	progress Progress) ([]byte, error) {
	d := transfer{client: client, address: address, maxBytes: maxBytes, progress: progress}
	if err := d.check(); err != nil {
		return nil, err
	}
	if partial != "" {
		d.load(partial)
	}
	err := d.receiveAll(ctx)
	if partial == "" {
		return d.data, err
	}
	if err != nil {
		return nil, errors.Join(err, d.store(partial))
	}
	return d.data, remove(partial)
}

// transfer is a download with what it has received.
type transfer struct {
	client   *http.Client
	address  string
	maxBytes int64
	progress Progress

	data      []byte
	validator string // the version of data for If-Range; "" if it cannot be resumed
	loaded    bool   // data began with a partial file
}

// check returns an error unless the address is of http or https.
func (d *transfer) check() error {
	u, err := url.Parse(d.address)
	if err != nil {
		return err
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("the address has the scheme %q, not http or https", u.Scheme)
	}
	return nil
}

// receiveAll calls receive until it succeeds, fails for good, or fails several times in a row
// without receiving anything.
func (d *transfer) receiveAll(ctx context.Context) error {
	longest := len(d.data)
	for attempt := 1; ; attempt++ {
		answer, err := d.receive(ctx)
		if err == nil {
			return nil
		}
		if len(d.data) > longest { // a server that begins again has not helped until then
			longest, attempt = len(d.data), 1
		}
		if attempt == maxAttempts || !isTransient(ctx, answer, err) {
			return withoutAddress(err)
		}
		select {
		case <-time.After(min(retryablehttp.DefaultBackoff(minWait, maxWait, attempt-1, answer), maxWait)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// isTransient reports whether another attempt may succeed.
func isTransient(ctx context.Context, answer *http.Response, err error) bool {
	var tooLong *tooLongError
	var status *statusError
	switch {
	case errors.As(err, &tooLong):
		return false
	case errors.As(err, &status):
		err = nil // the policy looks at the answer
	}
	retry, _ := retryablehttp.DefaultRetryPolicy(ctx, answer, err)
	return retry
}

// withoutAddress returns the cause of an error of package http, which repeats the address.
func withoutAddress(err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		return inner.Err
	}
	return err
}

// statusError says that a server's answer has no file.
type statusError struct{ status string }

func (e *statusError) Error() string { return "the server answered " + e.status }

// tooLongError says that a file is longer than the caller's maximum.
type tooLongError struct{ bytes, maxBytes int64 }

func (e *tooLongError) Error() string {
	if e.bytes == 0 {
		return fmt.Sprintf("the file is longer than the %d bytes expected at most", e.maxBytes)
	}
	return fmt.Sprintf("the file has %d bytes; at most %d were expected", e.bytes, e.maxBytes)
}

// errWrongRange says that the received bytes cannot be continued. Another attempt asks for the
// whole file.
var errWrongRange = errors.New("the server cannot continue the download")

// receive asks for the bytes that are missing and appends what arrives. The answer, if there was
// one, is returned for its status and header; its body is closed.
func (d *transfer) receive(ctx context.Context) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.address, nil)
	if err != nil {
		return nil, err
	}
	if len(d.data) > 0 && d.validator != "" {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", len(d.data)))
		request.Header.Set("If-Range", d.validator)
	}
	answer, err := d.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if err = d.begin(answer); err != nil {
		return answer, err
	}
	return answer, d.read(ctx, cancel, answer)
}

// begin checks an answer's header, and drops the data if the answer has the whole file.
func (d *transfer) begin(answer *http.Response) error {
	resumed := answer.StatusCode == http.StatusPartialContent &&
		strings.HasPrefix(answer.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", len(d.data)))
	switch {
	case resumed:
	case answer.StatusCode == http.StatusOK:
		d.data, d.validator = nil, findValidator(answer.Header)
	case answer.StatusCode == http.StatusPartialContent,
		answer.StatusCode == http.StatusRequestedRangeNotSatisfiable && len(d.data) > 0:
		d.data, d.validator = nil, ""
		return errWrongRange
	default:
		return &statusError{answer.Status}
	}
	if total := int64(len(d.data)) + answer.ContentLength; answer.ContentLength >= 0 && total > d.maxBytes {
		return &tooLongError{total, d.maxBytes}
	}
	return nil
}

// findValidator returns what identifies the version of a file, if ranges can be asked for: a
// strong entity tag, or else the date of the last change.
func findValidator(h http.Header) string {
	if h.Get("Accept-Ranges") != "bytes" {
		return ""
	}
	if tag := h.Get("ETag"); tag != "" && !strings.HasPrefix(tag, "W/") {
		return tag
	}
	return h.Get("Last-Modified")
}

// read appends the body of an answer to the data. It cancels the request if nothing arrives for
// stallTimeout.
func (d *transfer) read(ctx context.Context, cancel context.CancelCauseFunc, answer *http.Response) error {
	total := answer.ContentLength
	if total >= 0 {
		total += int64(len(d.data))
	}
	stalled := fmt.Errorf("nothing arrived for %v", stallTimeout)
	watch := time.AfterFunc(stallTimeout, func() { cancel(stalled) })
	defer watch.Stop()
	buffer := make([]byte, 256<<10)
	for {
		n, err := answer.Body.Read(buffer)
		d.data = append(d.data, buffer[:n]...)
		watch.Reset(stallTimeout)
		if int64(len(d.data)) > d.maxBytes {
			return &tooLongError{0, d.maxBytes}
		}
		if d.progress != nil && n > 0 {
			d.progress(int64(len(d.data)), total)
		}
		if errors.Is(err, io.EOF) {
			if int64(len(d.data)) < parseRangeTotal(answer) {
				return io.ErrUnexpectedEOF // the server sent a part of the requested range
			}
			return nil
		}
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
	}
}

// parseRangeTotal returns the length of the whole file that an answer with a range states, 0 if
// it states none.
func parseRangeTotal(answer *http.Response) int64 {
	if answer.StatusCode != http.StatusPartialContent {
		return 0
	}
	_, total, _ := strings.Cut(answer.Header.Get("Content-Range"), "/")
	n, err := strconv.ParseInt(total, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// load reads a partial file, which has the address and the validator in its first two lines and
// then the data. It ignores any other file.
func (d *transfer) load(path string) {
	const maxHeader = 64 << 10
	content, err := safefile.Read(path, d.maxBytes+maxHeader)
	if err != nil {
		return
	}
	address, rest, _ := bytes.Cut(content, []byte("\n"))
	validator, data, ok := bytes.Cut(rest, []byte("\n"))
	if ok && string(address) == d.address && int64(len(data)) <= d.maxBytes {
		d.data, d.validator, d.loaded = data, string(validator), true
	}
}

// store writes a partial file, or removes it if its data could not be resumed. It leaves the
// file of another address alone if nothing was received.
func (d *transfer) store(path string) error {
	if len(d.data) == 0 && !d.loaded {
		return nil
	}
	if len(d.data) == 0 || d.validator == "" || int64(len(d.data)) > d.maxBytes {
		return remove(path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return safefile.Write(path, func(w io.Writer) error {
		if _, err := fmt.Fprintf(w, "%s\n%s\n", d.address, d.validator); err != nil {
			return err
		}
		_, err := w.Write(d.data)
		return err
	})
}

// remove removes a file if it exists.
func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
