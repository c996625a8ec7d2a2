// Package reload holds values that are loaded from files, and loads them again when the files change.
//
// Its rule is that an old value is never used for long without anybody knowing. Each check that finds
// the files as they were loaded confirms the value. Once they differ, cannot be read or cannot be
// loaded, the value is stale: Config.OnFailure is told why, and State shows it. A stale value remains
// usable for Config.Grace, and beyond that until the time that Config.KeepUntil returns. Then Get
// returns ErrUnavailable. The same happens if nothing checks the files any more, for example because a network
// file system hangs.
//
// Changed files are loaded when two checks in a row find the same contents. So a file that is being
// written, a certificate whose key is about to be replaced, or an editor that removes a file before it
// writes the new one, is normally not noticed. The contents are compared, not times and sizes: a change
// counts even if the file's time and size stay, and a Kubernetes secret's symbolic links need no special
// treatment.
package reload

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"garb/internal/safefile"
)

// ErrUnavailable is the error of a value that is too old to be used, because its files can no longer be
// loaded. State has the reason.
var ErrUnavailable = errors.New("the value is no longer usable")

// Reasons why a value is stale although its files can be read.
var (
	errChanging  = errors.New("the files do not stop changing")
	errUnchecked = errors.New("the files have not been checked for too long")
)

// Defaults of Config. At the default interval, a change takes effect within a second: after two checks.
const (
	DefaultInterval = 500 * time.Millisecond
	DefaultGrace    = 5 * time.Second
	DefaultMaxBytes = 1 << 20
)

// Clock tells the time. Tests replace it.
type Clock struct {
	// Wall returns the time of day, which may jump when it is set.
	Wall func() time.Time
	// Elapsed returns the time since some fixed moment. It never jumps or goes backwards.
	Elapsed func() time.Duration
}

// SystemClock returns the clock of the system.
func SystemClock() Clock {
	start := time.Now()
	return Clock{Wall: time.Now, Elapsed: func() time.Duration { return time.Since(start) }}
}

// Config says how a value is loaded. Name, Paths and Load are required; zero values of the others
// stand for the defaults.
type Config[T any] struct {
	// Name is what the value is called in errors and in State, such as "keys".
	Name string
	// Paths are the files, which must be regular ones.
	Paths []string
	// Load makes the value of the contents of the files. It also gets the previous value, which is
	// the zero value at first. One call runs at a time.
	Load func(files [][]byte, previous T) (T, error)

	// Describe, if not nil, returns a few words about a value for State, such as how many keys it has.
	Describe func(T) string

	// Interval is the time between checks.
	Interval time.Duration
	// Grace is how long a value may be used after it was last confirmed.
	Grace time.Duration
	// KeepUntil, if not nil, returns until when a value may be used after the grace period.
	KeepUntil func(T) time.Time
	// MaxBytes is the largest size of a file.
	MaxBytes int64

	// OnSuccess is called when a value was loaded, at first and after each change, and when a stale
	// value is current again.
	OnSuccess func(State)
	// OnFailure is called when a value becomes stale, when the reason changes, and when the stale
	// value can no longer be used.
	OnFailure func(State)
	// Clock replaces the system's clock in tests.
	Clock Clock
}

// Validate reports settings that cannot work.
func (c Config[T]) Validate() error {
	switch {
	case c.Name == "" || len(c.Paths) == 0 || c.Load == nil:
		return errors.New("reload: a name, files and a function that loads them are required")
	case c.Interval < 0 || c.Grace < 0 || c.MaxBytes < 0:
		return fmt.Errorf("reload: %s: the interval, the grace period and the size limit must not be negative", c.Name)
	}
	return nil
}

// setDefaults replaces zero values by the defaults.
func (c *Config[T]) setDefaults() {
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	if c.Grace == 0 {
		c.Grace = DefaultGrace
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.Describe == nil {
		c.Describe = func(T) string { return "" }
	}
	if c.OnSuccess == nil {
		c.OnSuccess = func(State) {}
	}
	if c.OnFailure == nil {
		c.OnFailure = func(State) {}
	}
	if c.Clock.Wall == nil {
		c.Clock = SystemClock()
	}
}

// Status says whether a value is up to date.
type Status string

// The statuses of a value.
const (
	Current Status = "current" // the files are as they were loaded
	Stale   Status = "stale"   // the files changed or cannot be loaded; the old value is used
	Refused Status = "refused" // as Stale, but the old value is no longer used
)

// State describes a value and its last reload. It contains neither contents of the files nor a digest of
// them, which would allow guessing short keys.
type State struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	// Detail is what Config.Describe says about the value.
	Detail string `json:"detail,omitempty"`
	// Loaded is when the value was loaded. Modified is the latest modification time of its files then.
	Loaded   time.Time `json:"loaded"`
	Modified time.Time `json:"modified"`
	// Checked is when the last check of the files ended.
	Checked time.Time `json:"checked"`
	// StaleSeconds is the time since the value was last confirmed, if it is not current.
	StaleSeconds float64 `json:"stale_seconds,omitempty"`
	// Reloads counts the values that were loaded after the first. Failures counts the failed reloads:
	// the calls of Config.OnFailure.
	Reloads  int64 `json:"reloads"`
	Failures int64 `json:"failures"`
	// Err is why the value is not current. Its text may contain the paths of the files.
	Err error `json:"-"`
}

// contents are what a check found: the files, or why they cannot be read.
type contents struct {
	files    [][]byte
	modified time.Time
	err      error
	digest   [sha256.Size]byte // of the files, or of the error's text
}

// Value is a value that is loaded from files. Its methods can be used concurrently.
type Value[T any] struct {
	config Config[T]

	checking sync.Mutex        // held by the one check that runs
	loaded   [sha256.Size]byte // the digest of the files that the value was loaded from
	pending  [sha256.Size]byte // the digest that the last check found
	reported string            // the failure that OnFailure was told last

	mu        sync.RWMutex // guards what follows
	value     T
	confirmed time.Duration // by Clock.Elapsed
	state     State         // but Status and StaleSeconds, which depend on the time
}

// Open loads a value for the first time. Call Watch to keep it up to date.
func Open[T any](c Config[T]) (*Value[T], error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.setDefaults()
	v := &Value[T]{config: c, state: State{Name: c.Name}}
	if err := v.load(v.read(), c.Clock.Elapsed()); err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	c.OnSuccess(v.State())
	return v, nil
}

// Watch checks the files now and at each interval until ctx is done.
func (v *Value[T]) Watch(ctx context.Context) {
	v.Check()
	ticker := time.NewTicker(v.config.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			v.Check()
		}
	}
}

// Get returns the value. If it can no longer be used, the error is ErrUnavailable.
func (v *Value[T]) Get() (T, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if !v.isUsable() {
		var zero T
		return zero, fmt.Errorf("%s: %w", v.config.Name, ErrUnavailable)
	}
	return v.value, nil
}

// State returns the state of the value.
func (v *Value[T]) State() State {
	v.mu.RLock()
	defer v.mu.RUnlock()
	s, age := v.state, v.age()
	if s.Err == nil && age > v.config.Grace {
		s.Err = errUnchecked
	}
	switch {
	case s.Err == nil:
		s.Status = Current
		return s
	case v.isUsable():
		s.Status = Stale
	default:
		s.Status = Refused
	}
	s.StaleSeconds = age.Seconds()
	return s
}

// Check checks the files once, and loads them if they changed and the previous check found the same
// change.
func (v *Value[T]) Check() {
	v.checking.Lock()
	defer v.checking.Unlock()
	now := v.config.Clock.Elapsed() // before reading: what is read is at least as new
	found := v.read()
	settled := found.digest == v.pending
	v.pending = found.digest
	switch {
	case found.digest == v.loaded:
		v.confirm(now)
	case settled:
		v.reload(found, now)
	default:
		v.wait()
	}
}

// Reload loads the files at once, without waiting for a second check. It is for a user who says that the
// files are complete, for example by a signal.
func (v *Value[T]) Reload() error {
	v.checking.Lock()
	defer v.checking.Unlock()
	now := v.config.Clock.Elapsed()
	found := v.read()
	v.pending = found.digest
	v.reload(found, now)
	return v.State().Err
}

// reload replaces the value, or reports why it cannot.
func (v *Value[T]) reload(found contents, now time.Duration) {
	if err := v.load(found, now); err != nil {
		v.fail(err)
		return
	}
	v.reported = ""
	v.mu.Lock()
	v.state.Reloads++
	v.mu.Unlock()
	v.config.OnSuccess(v.State())
}

// load replaces the value by one that is loaded from contents.
func (v *Value[T]) load(found contents, now time.Duration) error {
	if found.err != nil {
		return found.err
	}
	value, err := v.config.Load(found.files, v.value)
	if err != nil {
		return err
	}
	v.loaded, v.pending = found.digest, found.digest
	v.mu.Lock()
	defer v.mu.Unlock()
	v.value, v.confirmed, v.state.Detail = value, now, v.config.Describe(value)
	v.state.Loaded, v.state.Modified, v.state.Err = v.config.Clock.Wall(), found.modified, nil
	v.state.Checked = v.state.Loaded
	return nil
}

// confirm records that the files are as they were loaded.
func (v *Value[T]) confirm(now time.Duration) {
	v.touch()
	v.mu.Lock()
	recovered := v.state.Err != nil
	v.confirmed, v.state.Err = now, nil
	v.mu.Unlock()
	v.reported = ""
	if recovered {
		v.config.OnSuccess(v.State())
	}
}

// wait records that the files changed since the previous check. If they do so for longer than the grace
// period, that is a failure.
func (v *Value[T]) wait() {
	v.touch()
	v.mu.RLock()
	err, late := v.state.Err, v.age() > v.config.Grace
	v.mu.RUnlock()
	if late {
		v.fail(cmp.Or(err, errChanging))
	}
}

// fail records why the value is stale, and reports it unless it did already.
func (v *Value[T]) fail(err error) {
	v.touch()
	v.mu.Lock()
	v.state.Err = err
	v.mu.Unlock()
	s := v.State()
	report := string(s.Status) + " " + err.Error()
	if report == v.reported {
		return
	}
	v.reported = report
	v.mu.Lock()
	v.state.Failures++
	v.mu.Unlock()
	v.config.OnFailure(v.State())
}

// touch records that a check ended.
func (v *Value[T]) touch() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.state.Checked = v.config.Clock.Wall()
}

// age returns the time since the value was last confirmed. The caller holds v.mu.
func (v *Value[T]) age() time.Duration { return v.config.Clock.Elapsed() - v.confirmed }

// isUsable reports whether the value may still be used. The caller holds v.mu.
func (v *Value[T]) isUsable() bool {
	if v.age() <= v.config.Grace {
		return true
	}
	return v.config.KeepUntil != nil && v.config.Clock.Wall().Before(v.config.KeepUntil(v.value))
}

// read reads the files.
func (v *Value[T]) read() contents {
	var all contents
	digest := sha256.New()
	for _, path := range v.config.Paths {
		data, modified, err := readFile(path, v.config.MaxBytes)
		if err != nil {
			return contents{err: err, digest: sha256.Sum256([]byte("error: " + err.Error()))}
		}
		fmt.Fprintf(digest, "%d\n", len(data)) // so that moved boundaries between files count as a change
		digest.Write(data)
		all.files = append(all.files, data)
		if modified.After(all.modified) {
			all.modified = modified
		}
	}
	digest.Sum(all.digest[:0])
	return all
}

// readFile returns the contents and the modification time of a regular file of at most maxBytes.
func readFile(path string, maxBytes int64) ([]byte, time.Time, error) {
	info, err := os.Stat(path) // before opening: to open a pipe would wait for its writer
	if err != nil {
		return nil, time.Time{}, err
	}
	if !info.Mode().IsRegular() {
		return nil, time.Time{}, fmt.Errorf("%s is not a regular file, so changes to it cannot be followed", path)
	}
	file, err := safefile.Open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, time.Time{}, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err == nil && int64(len(data)) > maxBytes {
		err = fmt.Errorf("%s has more than %d bytes", path, maxBytes)
	}
	return data, info.ModTime(), err
}
