package model

import (
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
)

// TestMemoryBytes compares the estimate with the heap, before and after concurrent calls.
func TestMemoryBytes(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector, which make test-race runs with -short, lets pools drop what they hold at random")
	}
	// A collection that starts by itself would empty the pools that are to be counted.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	warm, err := Open(Clothing, Options{Threads: 1}) // unpacks the built-in backbone, which is not counted
	if err != nil {
		t.Fatal(err)
	}
	const calls, batch = 2, 4
	for _, name := range []string{Clothing, Garments, ImageNet} {
		before := settledHeapBytes()
		c, err := Open(name, Options{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		begin := make(chan struct{})
		for range calls {
			wait.Go(func() {
				inputs, rows := make([]float32, batch*c.Spec().ValueCount()), make([]float32, batch*c.OutputCount())
				<-begin
				if err := c.Outputs(t.Context(), inputs, rows); err != nil {
					t.Error(err)
				}
			})
		}
		close(begin)
		wait.Wait()
		got, want := c.MemoryBytes(calls, batch), heapBytes()-before
		t.Logf("%s: estimate %.1f MB, heap %.1f MB", name, float64(got)/1e6, float64(want)/1e6)
		// The calls may run one after another; then the heap has the memory of one.
		if float64(got) < 0.7*float64(want) || float64(got) > 1.7*float64(want) {
			t.Errorf("%s: the estimate is %d bytes, and the heap grew by %d", name, got, want)
		}
		if more := c.MemoryBytes(calls+1, batch); more <= got {
			t.Errorf("%s: %d bytes with one more call, %d without", name, more, got)
		}
		runtime.KeepAlive(c)
	}
	runtime.KeepAlive(warm)
}

// heapBytes returns the size of what is in use. Only the second collection empties pools' victims, so
// one collection keeps what the pools of a model hold.
func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// settledHeapBytes returns the size of what is in use when further collections free nothing more: what
// earlier tests left in pools, and what waits for a cleanup, is gone.
func settledHeapBytes() int64 {
	size := heapBytes()
	for unchanged := 0; unchanged < 3; {
		next := heapBytes()
		if next > size-1<<16 {
			unchanged++
		} else {
			unchanged = 0
		}
		size = next
	}
	return size
}
