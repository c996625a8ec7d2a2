package model_test

import (
	"math"
	"path/filepath"
	"testing"

	"garb/model"
	"garb/tensor"
)

// TestTemperatureDividesLogits checks that a model's probabilities are the softmax of its logits
// divided by its temperature, which changes neither the logits nor the order of the classes.
func TestTemperatureDividesLogits(t *testing.T) {
	_, m := saveSmall(t)
	for _, temperature := range []float64{0, 0.5, 1, 4} { // 0, in older files, is 1
		m.Temperature = temperature
		path := filepath.Join(t.TempDir(), "model.safetensors")
		if err := m.Save(path, tensor.Float32); err != nil {
			t.Fatal(err)
		}
		c, err := model.Open(path, model.Options{})
		if err != nil {
			t.Fatal(err)
		}
		logits := []float32{1, 3, -2}
		got := c.Predictions(logits)
		divisor := temperature
		if divisor == 0 {
			divisor = 1
		}
		sum := 0.0
		for _, v := range logits {
			sum += math.Exp(float64(v) / divisor)
		}
		for i, want := range []struct {
			class string
			logit float32
		}{{"shoe", 3}, {"hat", 1}, {"sock", -2}} {
			p := math.Exp(float64(want.logit)/divisor) / sum
			if got[i].Class != want.class || got[i].Logit != want.logit || math.Abs(got[i].Probability-p) > 1e-6 {
				t.Errorf("temperature %v: %+v, want %s with the probability %v", temperature, got[i], want.class, p)
			}
		}
	}
}
