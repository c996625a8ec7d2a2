package onnx

import (
	"slices"
	"strings"
	"testing"

	"garb/nn"
)

// TestNumbering checks that a reshape of the whole batch is read if it keeps each picture's values
// in order.
//
//nolint:funlen // a table of cases
func TestNumbering(t *testing.T) {
	counted := func(dims []int, first, by float64) message {
		values := make([]float64, 1)
		for _, n := range dims {
			values = slices.Repeat(values, n)
		}
		for i := range values {
			values[i] = first + by*float64(i)
		}
		return encodeTensor("k", typeInt64, dims, values...)
	}
	const list, range0, viewed = "list = Reshape x minus; ", "s = Shape x; n = Gather s zero; i = Range zero n one; ",
		"j = Mul i each; u = Unsqueeze j axes; a = Add u k; y = Gather list a"
	sound := counted([]int{1, 3, 8, 8}, 0, 1)
	for _, c := range []struct {
		name, nodes, want string // of the error, "" for none
		each              float64
		k                 message
		batch             int // of the file, 0: open
	}{
		{"as PyTorch writes it", list + range0 + viewed, "", 192, sound, 0},
		{"in another shape", list + range0 + viewed, "", 192, counted([]int{1, 3, 16, 4}, 0, 1), 0},
		{"numbered on the left", list + range0 +
			"j = Mul each i; u = Unsqueeze j axes; a = Add k u; y = Gather list a", "", 192, sound, 0},
		{"of a batch of two", "list = Reshape x minus; y = Gather list k", "", 192, counted([]int{2, 3, 8, 8}, 0, 1),
			2},
		{"too far apart", list + range0 + viewed, "other than all of each", 191, sound, 0},
		{"from one on", list + range0 + viewed, "in another order", 192, counted([]int{1, 3, 8, 8}, 1, 1), 0},
		{"backwards", list + range0 + viewed, "in another order", 192, counted([]int{1, 3, 8, 8}, 0, 0), 0},
		{"a part", list + range0 + viewed, "in another order", 192, counted([]int{1, 2, 8, 8}, 0, 1), 0},
		{"across axes", list + range0 + viewed, "across the picture's axes", 192, counted([]int{1, 2, 96, 1}, 0, 1),
			0},
		{"below zero", list + range0 + viewed, "a constant so large", -192, sound, 0},
		{"too large", list + range0 + viewed, "a constant so large", 1 << 50, sound, 0},
		{"from one picture on", list + "s = Shape x; n = Gather s zero; i = Range one n one; " + viewed,
			"the size of the batch", 192, sound, 0},
		{"by twos", list + "s = Shape x; n = Gather s zero; i = Range zero n each; " + viewed,
			"the size of the batch", 2, sound, 0},
		{"an axis before", list + range0 + "u = Unsqueeze i zero; a = Add u k; y = Gather list a",
			"before the batch's", 192, sound, 0},
		{"three terms", list + range0 + "j = Mul i each k; y = Gather list j", "3 inputs", 192, sound, 0},
		{"added to itself", list + range0 + "j = Add i i; y = Gather list j", "of all pictures together", 192, sound,
			0},
		{"of the picture", list + range0 + "y = Add x i", "no constant", 192, sound, 0},
		{"subtracted", list + range0 + "j = Sub i each; y = Gather list j", "numbers of pictures", 192, sound, 0},
		{"a list alone", list + "y = Relu list", "of all pictures together", 192, sound, 0},
		{"a list of floats", list + "y = Gather list x", "other than all of each", 192, sound, 0},
		{"numbers gathered", range0 + "y = Gather i zero", "axis 0, the batch's", 192, sound, 0},
		{"of a batch of three", "list = Reshape x minus; y = Gather list k", "other than all of each", 192,
			counted([]int{3, 3, 8, 8}, 0, 1), 2},
	} {
		s := soundSketch()
		var nodes []message
		for _, line := range strings.Split(c.nodes, "; ") {
			words := strings.Fields(line)
			nodes = append(nodes, sketchNode(words[2], strings.Join(words[3:], ","), words[0]))
		}
		prepend(nodes...)(&s)
		s.weights = []message{c.k,
			encodeTensor("minus", typeInt64, []int{1}, -1), encodeTensor("zero", typeInt64, []int{}, 0),
			encodeTensor("one", typeInt64, []int{}, 1),
			encodeTensor("each", typeInt64, []int{}, c.each), encodeTensor("axes", typeInt64, []int{3}, 1, 2, 3)}
		if c.name == "an axis before" {
			s.weights[2] = encodeTensor("zero", typeInt64, []int{1}, 0)
		}
		if c.batch > 0 {
			s.input = fixedInput("x", c.batch, 3, 8, 8)
		}
		n, _, err := Read(s.bytes(), DefaultLimits())
		checkError(t, c.name, err)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v; want %q", c.name, err, c.want)
		}
		if err == nil {
			checkSketchAnswers(t, c.name, n)
		}
	}
}

// checkSketchAnswers checks that a network computes what soundSketch does: the means of channels.
func checkSketchAnswers(t *testing.T, name string, n *nn.Network) {
	t.Helper()
	input := make([]float32, 64*3)
	for i := range input {
		input[i] = float32(i / 3 % 5 * (i%3 - 1))
	}
	plain, _, err := Read(soundSketch().bytes(), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := run(t, n, input), run(t, plain, input); !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", name, got, want)
	}
}

// fixedInput declares an input whose batch has a fixed size.
func fixedInput(name string, sizes ...int) message {
	var dims, tensorType, outer, m message
	for _, n := range sizes {
		var dim message
		dim.appendInteger(dimValue, int64(n))
		dims.appendMessage(shapeDims, dim)
	}
	tensorType.appendInteger(tensorTypeElem, typeFloat)
	tensorType.appendMessage(tensorTypeDims, dims)
	outer.appendMessage(typeTensor, tensorType)
	m.appendText(valueName, name)
	m.appendMessage(valueType, outer)
	return m
}
