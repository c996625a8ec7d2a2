package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"garb/internal/safefile"
)

// The kinds of errors. errors.Is finds them in the errors of this package.
var (
	ErrNotFound  = errors.New("not found")
	ErrDenied    = errors.New("access denied")
	ErrTooLarge  = errors.New("too large")
	ErrChanged   = errors.New("it was changed")
	ErrRedirect  = errors.New("the store redirects to another address")
	ErrTemporary = errors.New("the store does not answer properly") // after all attempts
	ErrScheme    = errors.New("unknown scheme")
	ErrURL       = errors.New("invalid URL")
	errFailed    = errors.New("failed")
	errOpen      = errors.New("the bucket cannot be opened")
)

// Error is an error of a store.
type Error struct {
	URL      string // without user information and parameters
	Kind     error  // one of the kinds, or another error if none fits
	Attempts int    // the number of attempts, if there was more than one
	Hint     string // what to do; may be empty
	Err      error  // the cause; its own text may hold secrets, that of Error does not
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %v", e.URL, e.Kind)
	if e.Attempts > 1 {
		fmt.Fprintf(&b, " after %d attempts", e.Attempts)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %s", tidy(e.Err.Error()))
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, "; %s", e.Hint)
	}
	return b.String()
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Err} }

// fail returns an error about a location.
func (l location) fail(kind error, hint string, cause error) *Error {
	return &Error{URL: l.String(), Kind: kind, Hint: hint, Err: l.redactCause(cause)}
}

// redactCause returns an error whose text does not repeat the location as it was given.
func (l location) redactCause(cause error) error {
	if cause == nil || !strings.Contains(l.given, "://") {
		return cause
	}
	quoted := strconv.Quote(l.given)
	forms := []string{l.given, quoted[1 : len(quoted)-1]}
	if l.url != nil {
		forms = append(forms, l.url.String())
	}
	text := cause.Error()
	for _, form := range forms {
		text = strings.ReplaceAll(text, form, l.String())
	}
	if text == cause.Error() {
		return cause
	}
	return &shortError{text, cause}
}

// maxCause bounds the text of a cause, which may come from a server.
const maxCause = 500

// tidy returns a text from outside without secrets and control characters, shortened.
func tidy(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, redact(text))
	if runes := []rune(text); len(runes) > maxCause {
		return string(runes[:maxCause]) + " …"
	}
	return text
}

// kindOf returns the kind of an error of this package, or another kind if it has none.
func kindOf(err, otherwise error) error {
	for _, kind := range []error{ErrNotFound, ErrDenied, ErrTooLarge, ErrChanged, ErrRedirect, ErrTemporary, ErrScheme,
		ErrURL} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return otherwise
}

// errInvalid is wrapped by errors about answers that break the store's protocol.
var errInvalid = errors.New("invalid answer of the store")

// explain returns the error of an attempt as an *Error.
func (l location) explain(err error, d Driver) *Error {
	status, cause := d.Explain(err)
	if cause == nil {
		cause = err
	}
	var redirect *redirectError
	switch {
	case errors.As(err, &redirect):
		return l.fail(ErrRedirect, "name that address as the endpoint if you trust it", redirect)
	case errors.Is(err, ErrTooLarge):
		return l.fail(ErrTooLarge, "", nil)
	case errors.Is(err, ErrChanged):
		return l.fail(ErrChanged, "", nil)
	case status == http.StatusNotFound:
		return l.fail(ErrNotFound, "", cause)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return l.fail(ErrDenied, d.Hint(), cause)
	case isTemporary(status, err):
		return l.fail(ErrTemporary, "", cause)
	}
	return l.fail(errFailed, "", cause)
}

// isTemporary reports whether another attempt may succeed. status is that of the answer, or 0.
func isTemporary(status int, err error) bool {
	switch {
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
		return true
	case status >= 500:
		return status != http.StatusNotImplemented
	case status >= 300:
		return false
	case status >= 200: // the answer was cut off or is nonsense
		return true
	}
	var host *net.DNSError
	if errors.As(err, &host) && host.IsNotFound || isCertificateError(err) {
		return false
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, errInvalid) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// failFile returns the error of a file operation.
func (l location) failFile(err error) error {
	var tooLarge *safefile.TooLargeError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return l.fail(ErrNotFound, "check the path", err)
	case errors.Is(err, fs.ErrPermission):
		return l.fail(ErrDenied, "check the permissions", err)
	case errors.As(err, &tooLarge):
		return l.fail(ErrTooLarge, "", err)
	}
	return l.fail(errFailed, "", err)
}

// credentialsError says that a driver has found no credentials.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string        { return "no credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error        { return e.err }
func (e *credentialsError) Is(target error) bool { return target == ErrDenied }

// CredentialsError returns the error of a Driver that has found no credentials.
func CredentialsError(err error) error { return &credentialsError{err} }

// shortError is an error with a shorter text.
type shortError struct {
	text string
	err  error
}

func (e *shortError) Error() string { return e.text }
func (e *shortError) Unwrap() error { return e.err }

// withoutAddress returns the cause of an error of package http, which repeats the address.
func withoutAddress(err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		return inner.Err
	}
	return err
}
