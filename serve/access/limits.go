package access

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Errors of Key.Admit. They come as a *LimitError.
var (
	// ErrLimited is the error of a request that must come later.
	ErrLimited = errors.New("the API key's limit is reached")
	// ErrTooLarge is the error of a request that exceeds a limit by itself, so that it can never be
	// admitted.
	ErrTooLarge = errors.New("the request is larger than the API key's limit allows")
)

// Limit names a limit. It is the name of the limit's field in the key file.
type Limit string

// The limits of a key.
const (
	RequestsPerSecond Limit = "requests_per_second"
	PicturesPerSecond Limit = "pictures_per_second"
	BytesPerSecond    Limit = "bytes_per_second"
	MaxPictures       Limit = "max_pictures"
)

// LimitError is the error of a request that a limit refuses. It wraps ErrLimited or ErrTooLarge.
type LimitError struct {
	Key   string // the name of the key
	Limit Limit
	// RetryAfter is the time after which the same request can be admitted if no other one comes
	// first. It is 0 if that can never be.
	RetryAfter time.Duration
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%v: %s of the key %s", e.Unwrap(), e.Limit, e.Key)
}

// Unwrap returns ErrLimited, or ErrTooLarge if the request can never be admitted.
func (e *LimitError) Unwrap() error {
	if e.RetryAfter == 0 {
		return ErrTooLarge
	}
	return ErrLimited
}

// Limits are the limits of a key. 0 means no limit.
type Limits struct {
	RequestsPerSecond float64
	PicturesPerSecond float64
	BytesPerSecond    float64
	// BurstSeconds is how many seconds' worth of the rates above may come at once after a pause:
	// at least one request, picture or byte, and at most 2³¹-1.
	BurstSeconds float64
	// MaxPictures is the largest number of pictures in flight at a time.
	MaxPictures int
}

// Default and bounds of limits. Within the bounds no time to wait overflows a time.Duration.
const (
	defaultBurstSeconds = 10
	minRate, maxRate    = 1e-6, 1e12
	maxBurstSeconds     = 3600
	maxMaxPictures      = 1 << 20
)

// Cost is what a request needs. A part that is not known yet is 0, and admitted later.
type Cost struct {
	Requests, Pictures int
	Bytes              int64
}

// bucket is a token bucket of one limit.
type bucket struct {
	limit  Limit
	tokens *rate.Limiter
	cost   func(Cost) int64
}

// usage is what a key has used of its limits. It outlives reloads of the key file.
type usage struct {
	mu       sync.Mutex
	limits   Limits
	buckets  []bucket
	pictures int // in flight
}

// setLimits sets the limits. If they differ from the previous ones, all buckets are full again.
func (u *usage) setLimits(l Limits) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.limits == l {
		return
	}
	u.limits, u.buckets = l, nil
	for _, b := range []struct {
		limit Limit
		rate  float64
		cost  func(Cost) int64
	}{
		{RequestsPerSecond, l.RequestsPerSecond, func(c Cost) int64 { return int64(c.Requests) }},
		{PicturesPerSecond, l.PicturesPerSecond, func(c Cost) int64 { return int64(c.Pictures) }},
		{BytesPerSecond, l.BytesPerSecond, func(c Cost) int64 { return c.Bytes }},
	} {
		if b.rate > 0 {
			burst := int(min(max(b.rate*l.BurstSeconds, 1), math.MaxInt32))
			u.buckets = append(u.buckets, bucket{b.limit, rate.NewLimiter(rate.Limit(b.rate), burst), b.cost})
		}
	}
}

// admit takes the cost from all buckets, or from none and returns an error.
func (u *usage) admit(name string, c Cost, now time.Time) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if most := u.limits.MaxPictures; most > 0 && c.Pictures > 0 && u.pictures+c.Pictures > most {
		e := &LimitError{Key: name, Limit: MaxPictures}
		if c.Pictures <= most {
			e.RetryAfter = time.Second // nobody knows when pictures in flight will be done
		}
		return e
	}
	for _, b := range u.buckets {
		if wait, ok := b.waitFor(b.cost(c), now); !ok || wait > 0 {
			return &LimitError{name, b.limit, wait}
		}
	}
	for _, b := range u.buckets {
		b.tokens.AllowN(now, int(b.cost(c)))
	}
	u.pictures += c.Pictures
	return nil
}

// waitFor returns the time until a bucket has n tokens. It is not ok if it never will.
func (b bucket) waitFor(n int64, now time.Time) (wait time.Duration, ok bool) {
	if n > int64(b.tokens.Burst()) {
		return 0, false
	}
	missing := float64(n) - b.tokens.TokensAt(now)
	if missing <= 0 {
		return 0, true
	}
	return time.Duration(math.Ceil(missing / float64(b.tokens.Limit()) * float64(time.Second))), true
}

// release records that pictures are no longer in flight.
func (u *usage) release(pictures int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.pictures -= pictures
}
