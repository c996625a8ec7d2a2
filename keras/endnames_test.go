package keras

import "testing"

// TestEndNames checks the names of the input and output in all four kinds of file. The names that
// networks.py leaves to Keras are those of a new session: Keras numbers them.
func TestEndNames(t *testing.T) {
	for _, c := range []struct{ name, second, third, output string }{
		{"course", "input_2", "input_layer_1", "last"}, // the first input is that of its base
		{"homework", "input_1", "input_layer", "dense_1"},
		{"stacked", "input_3", "input_layer_2", "softmax"},
		{"zoo", "input_1", "input_layer", "softmax"},
	} {
		for kind, want := range map[string]string{
			"2.h5": c.second, "2.keras": c.second, "3.h5": c.third, "3.keras": c.third,
		} {
			input, output := open(t, fixture(t, "network-"+c.name+kind)).EndNames()
			if input != want || output != c.output {
				t.Errorf("%s%s: %q and %q", c.name, kind, input, output)
			}
		}
	}
}

// TestEndNamesWithoutInputLayer checks a Sequential whose file has no InputLayer, and a model of two
// inputs.
func TestEndNamesWithoutInputLayer(t *testing.T) {
	layers := []*Layer{{Name: "conv2d", Class: "Conv2D"}, {Name: "dense", Class: "Dense"}}
	two := []reference{{layer: "a"}, {layer: "b"}}
	for _, c := range []struct {
		model         Model
		input, output string
	}{
		{Model{Class: "Sequential", KerasVersion: "2.2.4", Layers: layers}, "conv2d_input", "dense"},
		{Model{Class: "Sequential", KerasVersion: "3.3.3", Layers: layers}, "", "dense"},
		{Model{Class: "Sequential"}, "", ""},
		{Model{Class: "Functional", inputs: two, outputs: two[:1]}, "", ""},
		{Model{Layers: layers}, "", ""}, // only weights
	} {
		if input, output := c.model.EndNames(); input != c.input || output != c.output {
			t.Errorf("%+v: %q and %q", c.model, input, output)
		}
	}
}
