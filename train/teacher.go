package train

import (
	"context"
	"fmt"
	"slices"

	"garb/model"
)

// openTeachers opens the teacher models. They must know the same classes, and take the network's
// training views whatever their own size is.
func (r *run) openTeachers() error {
	for _, name := range r.Config.Teachers {
		want := r.Config.viewSpec()
		t, err := model.Open(name, model.Options{Size: want.Width})
		if err != nil {
			return err
		}
		switch got := t.Spec(); {
		case t.Description().MultiLabel:
			return fmt.Errorf("the teacher %s is a multi-label model: a teacher must choose one class", name)
		case !slices.Equal(t.Classes(), r.classes):
			return fmt.Errorf("the teacher %s knows the classes %v, but %s has %v", name, t.Classes(),
				r.Config.Data, r.classes)
		case got != want:
			return fmt.Errorf("the teacher %s has the preprocessing %+v, but this run has %+v: they must be the same",
				name, got, want)
		}
		r.teachers = append(r.teachers, t)
		r.Teachers = append(r.Teachers, t.Digest())
	}
	return nil
}

// teach moves the targets of a step towards a teacher's answers to the same views, mixed or not:
// (1−w)·target + w·m·softmax(teacher's logits) for the classes (knowledge distillation, Hinton,
// Vinyals & Dean 2015, at temperature 1). m is the classes' share of the target: 1 unless other
// pictures are mixed in, of which the teacher knows nothing. Steps take the teachers in turn, so over
// the epochs the network learns from their mean at the cost of one.
func (r *run) teach(ctx context.Context, inputs, targets []float32) error {
	if len(r.teachers) == 0 {
		return nil
	}
	step := (r.epoch()-1)*r.stepsPerEpoch() + r.Step
	outputs, classes := r.outputs(), len(r.classes)
	count := len(targets) / outputs
	logits := make([]float32, count*classes)
	if err := r.teachers[step%len(r.teachers)].Logits(ctx, inputs, logits); err != nil {
		return err
	}
	w := r.Config.TeacherWeight
	for i := range count {
		answer := model.Softmax(logits[i*classes:][:classes])
		row := targets[i*outputs:][:outputs]
		if r.Config.Binary {
			// The only output belongs to the second class.
			row[0] = float32(float64((1-w)*float64(row[0])) + float64(w*answer[1]))
			continue
		}
		var share float64
		for _, target := range row[:classes] {
			share += float64(target)
		}
		for j, p := range answer {
			row[j] = float32(float64((1-w)*float64(row[j])) + float64(w*share*p))
		}
	}
	return nil
}
