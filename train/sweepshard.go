package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"garb/shard"
)

// claimWait is how long RunShard waits for other shards that check the sweep's folder, which takes
// them milliseconds.
const claimWait = 30 * time.Second

// RunShard trains the runs of a shard that have not finished yet, and returns their number. Shards of
// one sweep may run at the same time, on machines that share the sweep's folder. Once all have
// finished, Run ranks the points, and trains nothing. A run that diverges does not end the shard; any
// other error does, and names the run. The errors are those of Run.
func (s Sweep) RunShard(ctx context.Context, part shard.Shard, begin func(point *Point, run, runs int) Progress) (
	int, error) {
	points, err := s.Points()
	if err != nil {
		return 0, err
	}
	if err = os.MkdirAll(s.Base.Out, 0o755); err != nil {
		return 0, err
	}
	if err = s.claimShared(ctx); err != nil {
		return 0, err
	}
	runs := s.runsPerPoint() * len(points)
	from, to := part.Range(runs)
	for i := from; i < to; i++ {
		p := points[i/s.runsPerPoint()]
		c, err := s.configureRun(p, i%s.runsPerPoint())
		if err != nil {
			return 0, err
		}
		_, err = finishRun(ctx, c, begin(p, i+1, runs))
		var diverged *DivergedError
		switch {
		case errors.As(err, &diverged):
		case ctx.Err() != nil:
			return 0, err
		case err != nil:
			return 0, fmt.Errorf("%s, %s: %w", p.Name, describeRun(c), err)
		}
	}
	return to - from, nil
}

// claimShared claims the sweep's folder as Run does, but keeps it locked only meanwhile.
func (s Sweep) claimShared(ctx context.Context) error {
	waiting, stop := context.WithTimeout(ctx, claimWait)
	defer stop()
	l := flock.New(filepath.Join(s.Base.Out, lockFile), flock.SetPermissions(0o666))
	ok, err := l.TryLockContext(waiting, 10*time.Millisecond)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return &LockedError{s.Base.Out}
	case err != nil || !ok:
		return fmt.Errorf("locking %s: %w", s.Base.Out, err)
	}
	defer l.Unlock()
	return s.claim()
}
