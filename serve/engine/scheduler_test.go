package engine

import (
	"errors"
	"testing"

	"garb/serve/observe"
)

// TestPlaces: as many pictures have a place as the queue is long, and none once the service
// stops.
func TestPlaces(t *testing.T) {
	c := DefaultConfig()
	c.Queue = 3
	s := NewScheduler(c, observe.NewMetrics(func() float64 { return 0 }))
	release, err := s.admit(2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.admit(2); !errors.Is(err, ErrFull) {
		t.Errorf("one more than there is room for: %v", err)
	}
	other, err := s.admit(1)
	if err != nil {
		t.Errorf("the last place: %v", err)
	}
	if depth := s.depth.Load(); depth != 3 {
		t.Errorf("%d places are taken", depth)
	}
	release()
	other()
	if depth := s.depth.Load(); depth != 0 {
		t.Errorf("%d places are not given back", depth)
	}
	s.Stop()
	if release, err := s.admit(1); !errors.Is(err, ErrStopping) || release != nil {
		t.Errorf("while it stops: %v", err)
	}
	s.stopping.Store(false)
}

// TestApply: a longer queue has more places at once, and limits of pictures are the new ones; the number of
// workers stays.
func TestApply(t *testing.T) {
	c := DefaultConfig()
	c.Queue, c.Workers = 1, 2
	s := NewScheduler(c, observe.NewMetrics(func() float64 { return 0 }))
	if _, err := s.admit(2); !errors.Is(err, ErrFull) {
		t.Errorf("before: %v", err)
	}
	c.Queue, c.Workers, c.Limits.MaxPixels = 2, 3, 7
	s.Apply(c)
	release, err := s.admit(2)
	if err != nil {
		t.Fatal(err)
	}
	release()
	if s.Limits().MaxPixels != 7 || s.config.Load().Workers != 2 {
		t.Errorf("%d pixels, %d workers", s.Limits().MaxPixels, s.config.Load().Workers)
	}
}
