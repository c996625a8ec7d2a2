// Package download gets files from elsewhere, within a bound and without waiting for
// ever.
package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	answerTimeout = 30 * time.Second // until the first byte of an answer
	stallTimeout  = 60 * time.Second // between two pieces of a download
)

// DefaultClient returns a client that obeys the usual proxy variables
// (HTTPS_PROXY, NO_PROXY) and does not wait for ever.
func DefaultClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = answerTimeout
	return &http.Client{Transport: transport}
}

// Get returns what is at an http or https address: at most maxBytes. progress, if not
// nil, is called with the bytes had so far and in all (−1 if unknown). Its errors do
// not repeat the address.
func Get(ctx context.Context, client *http.Client, address string, maxBytes int64,
	progress func(done, total int64)) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("its scheme is %q, not http or https", u.Scheme)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(request)
	if err != nil {
		// What it says of the URL is said already.
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err
		}
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", answer.Status)
	}
	total := answer.ContentLength
	if total > maxBytes {
		return nil, fmt.Errorf("it would be %d bytes, at most %d were expected", total, maxBytes)
	}
	stalled := fmt.Errorf("nothing came for %v", stallTimeout)
	watch := time.AfterFunc(stallTimeout, func() { cancel(stalled) })
	defer watch.Stop()
	var data []byte
	piece := make([]byte, 256<<10)
	for {
		n, err := answer.Body.Read(piece)
		data = append(data, piece[:n]...)
		watch.Reset(stallTimeout)
		if int64(len(data)) > maxBytes {
			return nil, fmt.Errorf("it is longer than the %d bytes that were expected at most", maxBytes)
		}
		if progress != nil && n > 0 {
			progress(int64(len(data)), total)
		}
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return nil, cause
			}
			return nil, err
		}
	}
}
