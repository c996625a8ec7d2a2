package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"
)

// attempt calls do until it succeeds, fails for good, or has failed too often. Each call has a
// context of its own, with the time limit of an attempt.
func (s *Store) attempt(ctx context.Context, l location, d Driver, do func(context.Context) error) error {
	for n := 1; ; n++ {
		err := s.try(ctx, do)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failure := l.explain(err, d)
		failure.Attempts = n
		if n == s.options.Attempts || !errors.Is(failure, ErrTemporary) {
			return failure
		}
		select {
		case <-time.After(s.wait(n)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wait returns the wait after attempt n: it doubles, and half of it is random, so that many
// workers do not come back at once.
func (s *Store) wait(n int) time.Duration {
	longest := s.options.MaxWait
	if shift := n - 1; shift < 32 && s.options.FirstWait<<shift < longest {
		longest = s.options.FirstWait << shift
	}
	return longest/2 + rand.N(longest/2+1)
}

// try calls do within the time limit of an attempt. The services' libraries panic when an answer
// lacks what the protocol requires; this is an error like any other wrong answer.
func (s *Store) try(ctx context.Context, do func(context.Context) error) (err error) {
	limit := s.options.AttemptLimit
	ctx, cancel := context.WithTimeoutCause(ctx, limit, &slowError{limit})
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			missing, ok := p.(runtime.Error)
			if !ok {
				panic(p)
			}
			err = fmt.Errorf("%w: %w", errInvalid, missing)
		}
	}()
	err = do(ctx)
	var slow *slowError
	if err != nil && errors.As(context.Cause(ctx), &slow) {
		return slow
	}
	return err
}

// slowError says that an attempt has reached its time limit.
type slowError struct{ limit time.Duration }

func (e *slowError) Error() string { return fmt.Sprintf("not done after %v", e.limit) }

// Timeout and Temporary make it a net.Error that may be tried again.
func (*slowError) Timeout() bool   { return true }
func (*slowError) Temporary() bool { return true }

// isCertificateError reports whether a server's certificate is the reason of an error.
func isCertificateError(err error) bool {
	var verification *tls.CertificateVerificationError
	return errors.As(err, &verification)
}
