// Package project maps vectors of many values to vectors of a few, so that people can see
// which of them lie close together: by principal components and t-SNE. The results depend on
// the vectors and the seed, not on the number of cores.
package project

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// chunk is the number of rows that one goroutine computes.
const chunk = 64

// inParallel calls compute for 0 to count−1 on all cores. compute(i) must not depend on
// other calls. When ctx ends, inParallel starts no more chunks and returns ctx's error.
func inParallel(ctx context.Context, count int, compute func(i int)) error {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for begin := 0; begin < count && ctx.Err() == nil; begin += chunk {
		group.Go(func() error {
			for i := begin; i < min(begin+chunk, count); i++ {
				compute(i)
			}
			return nil
		})
	}
	group.Wait()
	return ctx.Err()
}
