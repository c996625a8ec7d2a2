// Package project brings vectors of many values to a few, so that people can see which of
// them lie together: principal components and t-SNE. Results depend on the vectors and the
// seed alone, not on the number of cores.
package project

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// chunk is the number of rows that a core takes at a time.
const chunk = 16

// inParallel calls do for 0 to count−1 on all cores. When ctx ends it begins no more, and
// returns ctx's error. What do computes of one number must not depend on others.
func inParallel(ctx context.Context, count int, do func(i int)) error {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), (count+chunk-1)/chunk) {
		wait.Go(func() {
			for ctx.Err() == nil {
				from := int(next.Add(chunk)) - chunk
				if from >= count {
					return
				}
				for i := from; i < min(from+chunk, count); i++ {
					do(i)
				}
			}
		})
	}
	wait.Wait()
	return ctx.Err()
}

// dot is Σ a[i]·b[i], in four sums, so that additions need not wait for each other.
func dot(a, b []float64) float64 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float64
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + (s2 + s3)
}
