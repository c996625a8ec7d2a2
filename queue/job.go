package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"garb/picture"
)

// Task says what is computed of each picture.
type Task string

// The tasks.
const (
	Classify Task = "classify" // the answer of a model
	Embed    Task = "embed"    // the feature vector of a model's backbone
	Features Task = "features" // the feature vector to train on, with the digest of the picture's bytes
)

// Tasks returns all tasks.
func Tasks() []Task { return []Task{Classify, Embed, Features} }

// Job is what is to be done with pictures. It is stored with them.
type Job struct {
	Name   string `json:"name"` // letters, digits, - and _
	Task   Task   `json:"task"`
	Model  string `json:"model"`  // the reference that put was given
	Digest string `json:"digest"` // of the model; a worker with another one is refused

	// The next four are for Features. Model is then a backbone.
	Weights       string          `json:"weights,omitempty"`
	FeaturesAt    string          `json:"features_at,omitempty"` // layer
	Preprocessing *picture.Spec   `json:"preprocessing,omitempty"`
	Key           json.RawMessage `json:"key,omitempty"` // of the file of features

	MaxPixels     int      `json:"max_pixels,omitempty"` // 0 for the default limits
	KeepTruncated bool     `json:"keep_truncated,omitempty"`
	Accept        *float64 `json:"accept,omitempty"` // threshold of the acceptance; nil for the model's own
	Top           int      `json:"top,omitempty"`    // classes in a row of Classify; 0 means all

	Batch int `json:"batch"` // pictures in a batch; 0 means 32
	// DeadlineSeconds is the silence after which a worker is taken for dead; 0 means 15 s.
	DeadlineSeconds float64 `json:"deadline_seconds"`
}

const (
	defaultBatch           = 32
	maxBatch               = 4096
	defaultDeadlineSeconds = 15
)

var jobName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Validate reports settings that are out of range.
func (j Job) Validate() error {
	switch {
	case !jobName.MatchString(j.Name):
		return fmt.Errorf("job name %q: it must have 1 to 64 letters, digits, - and _", j.Name)
	case !slices.Contains(Tasks(), j.Task):
		return fmt.Errorf("task %q: it must be classify, embed or features", j.Task)
	case j.Batch < 0 || j.Batch > maxBatch:
		return fmt.Errorf("batches of %d pictures: a batch has 1 to %d", j.Batch, maxBatch)
	case j.MaxPixels < 0 || j.Top < 0 || j.DeadlineSeconds < 0:
		return errors.New("the limits of a job must not be negative")
	case j.Accept != nil && (*j.Accept < 0 || *j.Accept > 1):
		return fmt.Errorf("acceptance %v: it must be from 0 to 1", *j.Accept)
	}
	return nil
}

// withDefaults returns the job with defaults for zero settings.
func (j Job) withDefaults() Job {
	if j.Batch == 0 {
		j.Batch = defaultBatch
	}
	if j.DeadlineSeconds == 0 {
		j.DeadlineSeconds = defaultDeadlineSeconds
	}
	return j
}

func (j Job) deadline() time.Duration { return time.Duration(j.DeadlineSeconds * float64(time.Second)) }

// metadataKey is the key of the job in the metadata of its stream.
const metadataKey = "garb-job"

// consumerName is the name of the consumer that hands batches to workers.
const consumerName = "work"

// Names of a job's streams and subjects. The bucket has the marks of batches that come back.
func pictureStream(job string) string { return "garb-pictures-" + job }
func resultStream(job string) string  { return "garb-results-" + job }
func markBucket(job string) string    { return "garb-marks-" + job }
func putSubject(job string) string    { return "garb." + job + ".put" }

func retrySubject(job string, batch uint64, attempt int) string {
	return fmt.Sprintf("garb.%s.retry.%d.%d", job, batch, attempt)
}

func resultSubject(job string, batch uint64, attempt int) string {
	return fmt.Sprintf("garb.%s.result.%d.%d", job, batch, attempt)
}

func partSubject(job string, batch uint64, attempt int, writer string, part int) string {
	return fmt.Sprintf("garb.%s.part.%d.%d.%s.%d", job, batch, attempt, writer, part)
}

// Create creates a job. It does nothing if the job exists with the same settings; the error is
// a *JobExistsError if it exists with others.
func (q *Queue) Create(ctx context.Context, j Job) error {
	if err := j.Validate(); err != nil {
		return err
	}
	j = j.withDefaults()
	have, err := q.Job(ctx, j.Name)
	var unknown *UnknownJobError
	switch {
	case err == nil:
		return compareJobs(have, j)
	case !errors.As(err, &unknown):
		return err
	}
	data, err := json.Marshal(j)
	if err != nil {
		return err
	}
	// The stream with the pictures comes last: with it the job exists.
	for _, create := range []func(context.Context) error{
		func(ctx context.Context) error {
			_, failed := q.js.CreateStream(ctx, q.resultConfig(j.Name))
			return failed
		},
		func(ctx context.Context) error {
			_, failed := q.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: markBucket(j.Name),
				Replicas: q.options.Replicas})
			return failed
		},
		func(ctx context.Context) error {
			_, failed := q.js.CreateStream(ctx, q.pictureConfig(j.Name, string(data)))
			return failed
		},
	} {
		err = q.retryWhileStarting(ctx, create)
		switch {
		case errors.Is(err, jetstream.ErrStreamNameAlreadyInUse): // another process created it at the same time
			if have, err = q.Job(ctx, j.Name); err != nil {
				return err
			}
			return compareJobs(have, j)
		case err != nil:
			return fmt.Errorf("cannot create job %q: %w", j.Name, err)
		}
	}
	return nil
}

// clusterStart is how long the servers of a new cluster may take to find each other.
const clusterStart = 5 * time.Second

// retryWhileStarting is like retry, but also waits for the servers of a cluster that has just started.
func (q *Queue) retryWhileStarting(ctx context.Context, f func(context.Context) error) error {
	began := time.Now()
	for {
		err := q.retry(ctx, f)
		switch {
		case !lacksPeers(err):
			return err
		case time.Since(began) > clusterStart:
			return fmt.Errorf("the cluster has no %d servers that are ready: %w", max(q.options.Replicas, 1), err)
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

func (q *Queue) pictureConfig(job, description string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: pictureStream(job), Subjects: []string{putSubject(job), "garb." + job + ".retry.>"},
		Metadata: map[string]string{metadataKey: description}, Discard: jetstream.DiscardNew, AllowDirect: true,
		Compression: jetstream.S2Compression, Replicas: q.options.Replicas,
	}
}

func (q *Queue) resultConfig(job string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: resultStream(job), Subjects: []string{"garb." + job + ".result.>", "garb." + job + ".part.>"},
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, AllowDirect: true,
		Compression: jetstream.S2Compression, Replicas: q.options.Replicas,
	}
}

// compareJobs returns an error that names a setting that differs.
func compareJobs(have, want Job) error {
	a, b := reflect.ValueOf(have), reflect.ValueOf(want)
	for i := range a.NumField() {
		x, y := a.Field(i).Interface(), b.Field(i).Interface()
		if !reflect.DeepEqual(x, y) {
			setting, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
			return &JobExistsError{want.Name, strings.ReplaceAll(setting, "_", "-"), format(x), format(y)}
		}
	}
	return nil
}

// format returns the value of a setting, also of one that can be left out.
func format(value any) any {
	switch v := reflect.ValueOf(value); {
	case v.Kind() == reflect.Pointer && v.IsNil():
		return "none"
	case v.Kind() == reflect.Pointer:
		return v.Elem().Interface()
	}
	if key, ok := value.(json.RawMessage); ok {
		return string(key)
	}
	return value
}

// Job returns a job by its name. The error is an *UnknownJobError if there is none.
func (q *Queue) Job(ctx context.Context, name string) (Job, error) {
	if !jobName.MatchString(name) {
		return Job{}, Job{Name: name, Task: Classify}.Validate()
	}
	var description string
	err := q.retry(ctx, func(ctx context.Context) error {
		stream, err := q.js.Stream(ctx, pictureStream(name))
		if err == nil {
			description = stream.CachedInfo().Config.Metadata[metadataKey]
			q.remember(pictureStream(name), stream)
		}
		return err
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		known, listErr := q.Jobs(ctx)
		if listErr != nil {
			return Job{}, listErr
		}
		return Job{}, &UnknownJobError{name, known}
	}
	if err != nil {
		return Job{}, err
	}
	var j Job
	if err := json.Unmarshal([]byte(description), &j); err != nil || j.Name != name || j.Validate() != nil {
		return Job{}, fmt.Errorf("the stream %s does not describe a job of this version of garb", pictureStream(name))
	}
	return j, nil
}

// Jobs returns the names of all jobs, sorted.
func (q *Queue) Jobs(ctx context.Context) ([]string, error) {
	var names []string
	err := q.retry(ctx, func(ctx context.Context) error {
		names = nil
		list := q.js.StreamNames(ctx)
		for name := range list.Name() {
			if job, ok := strings.CutPrefix(name, pictureStream("")); ok {
				names = append(names, job)
			}
		}
		return list.Err()
	})
	slices.Sort(names)
	return names, err
}

// Delete deletes a job with its pictures and results.
func (q *Queue) Delete(ctx context.Context, name string) error {
	if _, err := q.Job(ctx, name); err != nil {
		return err
	}
	for _, remove := range []func(context.Context) error{
		func(ctx context.Context) error { return q.js.DeleteStream(ctx, pictureStream(name)) },
		func(ctx context.Context) error { return q.js.DeleteStream(ctx, resultStream(name)) },
		func(ctx context.Context) error { return q.js.DeleteKeyValue(ctx, markBucket(name)) },
	} {
		err := q.retry(ctx, remove)
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) && !errors.Is(err, jetstream.ErrBucketNotFound) {
			return err
		}
	}
	q.streams.Delete(pictureStream(name))
	q.streams.Delete(resultStream(name))
	return nil
}
