package request

import (
	"context"
	"fmt"
	"slices"
	"time"

	"garb/answers"
	"garb/serve/access"
	"garb/serve/engine"
	"garb/serve/observe"
	"garb/serve/registry"
)

// Classify classifies the encoded pictures of a request. It takes them from the limits of the request's
// key, counts them, and stores the answers if the service keeps answers. It returns an answer or an error
// for each picture, and an error for all as engine.Scheduler.Classify does. Nobody may change the pictures
// afterwards.
func (b *Backend) Classify(
	ctx context.Context, v *registry.Version, pictures [][]byte, options engine.Options,
) ([]*engine.Answer, []error, error) {
	return b.answer(ctx, v, len(pictures), func() ([]*engine.Answer, []error, error) {
		return b.Scheduler.Classify(ctx, v.Engine, pictures, options)
	}, func(i int) []byte { return pictures[i] })
}

// Compute is Classify for preprocessed values, one picture after another.
func (b *Backend) Compute(
	ctx context.Context, v *registry.Version, values []float32,
) ([]*engine.Answer, []error, error) {
	return b.answer(ctx, v, len(values)/v.Spec().ValueCount(), func() ([]*engine.Answer, []error, error) {
		if !areFinite(values) {
			return nil, nil, fmt.Errorf("%w: the values are not all finite", ErrInvalid)
		}
		return b.Scheduler.Compute(ctx, v.Engine, values)
	}, func(int) []byte { return nil })
}

// answer answers n pictures of a request by compute. picture returns an encoded picture, nil if there is
// none.
func (b *Backend) answer(
	ctx context.Context, v *registry.Version, n int, compute func() ([]*engine.Answer, []error, error),
	picture func(i int) []byte,
) ([]*engine.Answer, []error, error) {
	info := From(ctx)
	release, err := info.Admit(access.Cost{Pictures: n})
	if err != nil {
		return nil, nil, err
	}
	defer release()
	found, errs, err := compute()
	if err != nil {
		return nil, nil, err
	}
	first := int(info.pictures.Add(int64(n))) - n
	classified := 0
	for i, a := range found {
		if errs[i] == nil && !areFinite(a.Outputs) {
			errs[i] = fmt.Errorf("%w: the values are too large for the model", ErrInvalid)
		}
		if errs[i] == nil {
			classified++
			b.store(ctx, v, first+i, a, picture(i))
		}
	}
	if name := info.KeyName(); name != "" && classified > 0 {
		b.Metrics.CountKeyPictures(name, classified)
	}
	return found, errs, nil
}

// store stores an answer if the service keeps answers. index is the picture's position in its request.
func (b *Backend) store(ctx context.Context, v *registry.Version, index int, a *engine.Answer, picture []byte) {
	info := From(ctx)
	if b.Answers == nil || !b.Answers.Samples(info.ID) {
		return
	}
	record := &answers.Record{
		RequestID: info.ID, Index: index, Time: time.Now().UTC(), TraceID: observe.TraceID(ctx), Key: info.KeyName(),
		Model:     answers.Model{Name: v.Name, Version: v.Number, Digest: v.Digest()},
		Picture:   answers.Picture{Format: a.Format, Width: a.Width, Height: a.Height},
		Embedding: a.Embedding,
	}
	record.SetAnswer(a.Answer)
	b.Answers.Store(record, picture)
}

func areFinite(values []float32) bool {
	return !slices.ContainsFunc(values, func(v float32) bool {
		return v-v != 0 // of NaN and the infinities it is NaN
	})
}
