package serve

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestCoresServeNetworksFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCores(1)
		leave := c.network()
		order := make(chan string, 3)
		go func() {
			leave, err := c.decoder(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			order <- "decoder"
			leave()
		}()
		synctest.Wait()
		for _, name := range []string{"first", "second"} {
			go func() {
				leave := c.network()
				order <- name
				leave()
			}()
			synctest.Wait()
		}
		leave()
		for _, want := range []string{"first", "second", "decoder"} {
			if got := <-order; got != want {
				t.Errorf("%s had the place, want %s", got, want)
			}
		}
		synctest.Wait()
		if c.free != 1 {
			t.Errorf("%d places are free, want 1", c.free)
		}
	})
}

func TestCoresLeftWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCores(1)
		leave := c.network()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.decoder(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a decoder that waits for longer than its context: %v", err)
		}
		leave()
		if c.free != 1 || len(c.decoders) != 0 {
			t.Errorf("%d places are free and %d wait, want 1 and 0", c.free, len(c.decoders))
		}
	})
}

// A decoder that takes seconds does not keep networks from a core.
func TestCoresSharedByLongDecoding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCores(1)
		leave, err := c.decoder(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		c.network()()
		if waited := time.Since(began); waited != longDecoding {
			t.Errorf("a network waited %v for a decoder, want %v", waited, longDecoding)
		}
		leave() // the place is back already
		if c.free != 1 {
			t.Errorf("%d places are free, want 1", c.free)
		}
	})
}
