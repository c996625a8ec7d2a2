package access

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"garb/serve/reload"
)

// clock is a clock that stands still until a test moves it.
type clock struct {
	wall    time.Time
	elapsed time.Duration
}

func (c *clock) advance(d time.Duration) { c.wall, c.elapsed = c.wall.Add(d), c.elapsed+d }

func (c *clock) Clock() reload.Clock {
	return reload.Clock{Wall: func() time.Time { return c.wall }, Elapsed: func() time.Duration { return c.elapsed }}
}

// limited returns a key with limits.
func limited(l Limits, c *clock) *Key {
	k := &Key{name: "shop", usage: &usage{}, clock: c.Clock()}
	k.usage.setLimits(l)
	return k
}

func TestAdmit(t *testing.T) {
	type step struct {
		after time.Duration
		cost  Cost
		want  string // "" if admitted, else the limit and the time to wait
	}
	request := Cost{Requests: 1}
	pictures := func(n int) Cost { return Cost{Requests: 1, Pictures: n} }
	for name, c := range map[string]struct {
		limits Limits
		steps  []step
	}{
		"no limits": {Limits{}, []step{{0, Cost{1 << 30, 1 << 30, 1 << 60}, ""}, {0, pictures(1 << 30), ""}}},
		"requests": {Limits{RequestsPerSecond: 2, BurstSeconds: 1}, []step{
			{0, request, ""}, {0, request, ""}, {0, request, "requests_per_second 500ms"},
			{400 * time.Millisecond, request, "requests_per_second 100ms"}, {100 * time.Millisecond, request, ""},
			{time.Hour, request, ""}, {0, request, ""}, {0, request, "requests_per_second 500ms"},
		}},
		"less than one in a burst": {Limits{RequestsPerSecond: 0.01, BurstSeconds: 10}, []step{
			{0, request, ""}, {0, request, "requests_per_second 1m40s"}, {100 * time.Second, request, ""},
		}},
		"pictures": {Limits{PicturesPerSecond: 10, BurstSeconds: 2}, []step{
			{0, pictures(21), "pictures_per_second 0s"}, {0, pictures(20), ""}, {0, request, ""},
			{0, pictures(5), "pictures_per_second 500ms"}, {500 * time.Millisecond, pictures(5), ""},
		}},
		"bytes": {Limits{BytesPerSecond: 1e6, BurstSeconds: 10}, []step{
			{0, Cost{Bytes: 10_000_001}, "bytes_per_second 0s"}, {0, Cost{Bytes: 10_000_000}, ""},
			{time.Second, Cost{Bytes: 2_000_000}, "bytes_per_second 1s"}, {0, Cost{Bytes: 1_000_000}, ""},
		}},
		"a refusal takes nothing": {Limits{RequestsPerSecond: 1, PicturesPerSecond: 1, BurstSeconds: 2}, []step{
			{0, pictures(2), ""}, {0, pictures(1), "pictures_per_second 1s"}, {0, request, ""},
			{0, request, "requests_per_second 1s"},
		}},
		"pictures under way": {Limits{MaxPictures: 4}, []step{
			{0, pictures(5), "max_pictures 0s"}, {0, pictures(3), ""}, {0, pictures(2), "max_pictures 1s"},
			{0, pictures(1), ""}, {0, request, ""}, {time.Hour, pictures(1), "max_pictures 1s"},
		}},
	} {
		now := &clock{}
		k := limited(c.limits, now)
		for i, s := range c.steps {
			now.advance(s.after)
			_, err := k.Admit(s.cost)
			got := ""
			var limit *LimitError
			if errors.As(err, &limit) {
				got = fmt.Sprintf("%s %v", limit.Limit, limit.RetryAfter)
				if errors.Is(err, ErrTooLarge) != (limit.RetryAfter == 0) ||
					errors.Is(err, ErrLimited) == errors.Is(err, ErrTooLarge) || limit.Key != "shop" {
					t.Errorf("%s, step %d: %v", name, i, err)
				}
			}
			if got != s.want {
				t.Errorf("%s, step %d: %q, want %q", name, i, got, s.want)
			}
		}
	}
}

// TestRelease: pictures in flight are counted until they are released, once.
func TestRelease(t *testing.T) {
	k := limited(Limits{MaxPictures: 2}, &clock{})
	first, err := k.Admit(Cost{Pictures: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = k.Admit(Cost{Pictures: 1}); err != nil {
		t.Fatal(err)
	}
	refused, err := k.Admit(Cost{Pictures: 1})
	if !errors.Is(err, ErrLimited) {
		t.Error(err)
	}
	refused()
	if _, err := k.Admit(Cost{Pictures: 1}); !errors.Is(err, ErrLimited) {
		t.Errorf("after the release of a refused request: %v", err)
	}
	first()
	first()
	if _, err := k.Admit(Cost{Pictures: 1}); err != nil {
		t.Error(err)
	}
	if _, err := k.Admit(Cost{Pictures: 1}); !errors.Is(err, ErrLimited) {
		t.Errorf("a second release counted: %v", err)
	}
}

// TestLowerMaxPictures: a request without pictures is admitted even if more pictures are in flight than a
// new limit allows.
func TestLowerMaxPictures(t *testing.T) {
	k := limited(Limits{MaxPictures: 2}, &clock{})
	if _, err := k.Admit(Cost{Pictures: 2}); err != nil {
		t.Fatal(err)
	}
	k.usage.setLimits(Limits{MaxPictures: 1})
	if _, err := k.Admit(Cost{Requests: 1}); err != nil {
		t.Error(err)
	}
	if _, err := k.Admit(Cost{Pictures: 1}); !errors.Is(err, ErrLimited) {
		t.Error(err)
	}
}

// TestAdmitClockJumps: the time of day has no influence on limits.
func TestAdmitClockJumps(t *testing.T) {
	now := &clock{wall: time.Unix(1e9, 0)}
	k := limited(Limits{RequestsPerSecond: 1, BurstSeconds: 3}, now)
	admitted := 0
	for i := range 1000 { // in 100 s
		now.advance(100 * time.Millisecond)
		now.wall = now.wall.Add([]time.Duration{-24 * time.Hour, 36 * time.Hour, -12 * time.Hour}[i%3])
		if _, err := k.Admit(Cost{Requests: 1}); err == nil {
			admitted++
		}
	}
	if admitted < 101 || admitted > 103 { // a burst of 3 and one a second
		t.Errorf("%d requests", admitted)
	}
}

// TestAdmitBound: in no span of time is more admitted than the burst and the rate allow; what is refused is
// admitted after the time that the error tells.
func TestAdmitBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := &clock{}
		l := Limits{
			RequestsPerSecond: rapid.Float64Range(0.1, 100).Draw(t, "requests per second"),
			PicturesPerSecond: rapid.Float64Range(0.1, 100).Draw(t, "pictures per second"),
			BytesPerSecond:    rapid.Float64Range(1, 1e9).Draw(t, "bytes per second"),
			BurstSeconds:      rapid.Float64Range(0, 20).Draw(t, "burst"),
		}
		k := limited(l, now)
		type admitted struct {
			at   time.Duration
			cost Cost
		}
		var all []admitted
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now.advance(time.Duration(rapid.Int64Range(0, 3e9).Draw(t, "pause")))
			cost := Cost{rapid.IntRange(0, 3).Draw(t, "requests"), rapid.IntRange(0, 20).Draw(t, "pictures"),
				rapid.Int64Range(0, 1e9).Draw(t, "bytes")}
			_, err := k.Admit(cost)
			var limit *LimitError
			for try := 0; errors.Is(err, ErrLimited) && errors.As(err, &limit); try++ {
				if try == 3 { // each limit may refuse once; float64 rounds by less than a microsecond
					t.Fatalf("refused again and again: %v", err)
				}
				now.advance(limit.RetryAfter + time.Microsecond)
				_, err = k.Admit(cost)
			}
			if err == nil {
				all = append(all, admitted{now.elapsed, cost})
			}
		}
		bound := func(rate float64, span time.Duration) float64 {
			return max(rate*l.BurstSeconds, 1) + rate*span.Seconds() + 1e-3
		}
		for i := range all {
			var sum Cost
			for _, a := range all[i:] {
				sum.Requests, sum.Pictures = sum.Requests+a.cost.Requests, sum.Pictures+a.cost.Pictures
				sum.Bytes += a.cost.Bytes
				span := a.at - all[i].at
				if float64(sum.Requests) > bound(l.RequestsPerSecond, span) ||
					float64(sum.Pictures) > bound(l.PicturesPerSecond, span) ||
					float64(sum.Bytes) > bound(l.BytesPerSecond, span)+1 {
					t.Fatalf("%+v in %v", sum, span)
				}
			}
		}
	})
}
