package keras

import (
	"encoding/json"
	"fmt"
	"slices"

	"garb/nn"
)

// Models that scale their pictures as they go, x/127.5 − 1, have a layer for each
// operator: of the operator's class in Keras 3, a TFOpLambda with TensorFlow's name of the
// function before.
var (
	operatorClasses = map[string]byte{
		"Add": '+', "Subtract": '-', "Multiply": '*', "Divide": '/', "TrueDivide": '/',
	}
	tensorFlowOperators = map[string]byte{
		"math.add": '+', "__operators__.add": '+', "math.subtract": '-',
		"math.multiply": '*', "math.divide": '/', "math.truediv": '/',
	}
)

// operator returns the operator that a layer is, 0 if it is none.
func (l *Layer) operator() byte {
	if l.Class != "TFOpLambda" {
		return operatorClasses[l.Class]
	}
	var config struct {
		Function string `json:"function"`
	}
	if json.Unmarshal(l.Config, &config) != nil {
		return 0
	}
	return tensorFlowOperators[config.Function]
}

// separateOperands reports whether a layer is an operator or a function that is called with
// two values, and not a layer that is called with a list of them.
func (l *Layer) separateOperands() bool {
	return l.Class == "TFOpLambda" || slices.ContainsFunc(l.calls, func(c call) bool { return c.separate })
}

// operand is a number that an operator takes beside a value.
type operand struct {
	number float64
	first  bool // it stands before the operator
}

// arithmetic applies an operator to a value and a number: it is scale·in + offset.
func (a *applied) arithmetic(inputs []int, n operand) int {
	if len(inputs) != 1 {
		return a.fail(malformed("layer %q, a %s, has %d inputs beside a number", a.place, a.class, len(inputs)))
	}
	scale, offset := 1.0, 0.0
	switch a.layer.operator() {
	case '+':
		offset = n.number
	case '*':
		scale = n.number
	case '-':
		offset = -n.number
		if n.first {
			scale, offset = -1, n.number
		}
	case '/':
		if n.first || n.number == 0 {
			return a.fail(&UnknownLayerError{Layer: a.place, Class: a.class})
		}
		scale = 1 / n.number
	default:
		return a.fail(&UnknownLayerError{Layer: a.place, Class: a.class})
	}
	shape := a.shapes[inputs[0]]
	channels := shape[len(shape)-1]
	// Another call may take another number.
	l := nn.Layer{Op: nn.OpScale, Name: a.name(a.place, part{a.layer, fmt.Sprint(n)})}
	a.compute(l.Name+"/scale", channels, func() []float64 { return slices.Repeat([]float64{scale}, channels) })
	a.compute(l.Name+"/offset", channels, func() []float64 { return slices.Repeat([]float64{offset}, channels) })
	return a.put(l, inputs[0])
}

// numberBeside finds the number among an operator's two operands in the description of a
// call: {"args": [value, 127.5]} in Keras 3, [name, call, tensor, {"y": 127.5}] before.
func numberBeside(node any) *operand {
	switch d := node.(type) {
	case map[string]any:
		args, _ := d["args"].([]any)
		if len(args) != 2 {
			return nil
		}
		for i := range args {
			if n, ok := args[i].(float64); ok {
				return &operand{n, i == 0}
			}
		}
	case []any:
		if len(d) != 4 {
			return nil
		}
		arguments, _ := d[3].(map[string]any)
		if n, ok := arguments["y"].(float64); ok {
			return &operand{n, false}
		}
		if n, ok := d[2].(float64); ok && d[0] == constantValue {
			return &operand{n, true}
		}
	}
	return nil
}

// constantValue stands where the older generation has a number for a layer's name.
const constantValue = "_CONSTANT_VALUE"
