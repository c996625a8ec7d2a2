package keras

import (
	"encoding/json"
	"fmt"
	"slices"

	"garb/nn"
)

// A model that scales its pictures itself, such as x/127.5 − 1, has a layer for each
// operator: of the operator's class in Keras 3, and a TFOpLambda with TensorFlow's name
// of the function before.
var operatorClasses = map[string]byte{
	"Add": '+', "BiasAdd": '+', "Subtract": '-', "Multiply": '*', "Divide": '/', "TrueDivide": '/',
}

// arrayOperations has the operations on arrays, beside operators, that garb supports as layers.
var arrayOperations = map[string]bool{
	"GetItem": true, "Stack": true, "Take": true, "Flip": true, "Cast": true, "Negative": true,
}

// tensorFlowFunctions has TensorFlow's names of Keras 3's classes.
var tensorFlowFunctions = map[string]string{
	"math.add": "Add", "__operators__.add": "Add", "nn.bias_add": "BiasAdd", "math.subtract": "Subtract",
	"math.multiply": "Multiply", "math.divide": "Divide", "math.truediv": "TrueDivide", "math.negative": "Negative",
	"__operators__.getitem": "GetItem", "stack": "Stack", "compat.v1.gather": "Take", "reverse": "Flip",
	"cast": "Cast",
}

// functionName returns TensorFlow's name of the function that a layer of the older generation
// applies, "" if it is another layer.
func (l *Layer) functionName() string {
	if l.Class != "TFOpLambda" && l.Class != "SlicingOpLambda" {
		return ""
	}
	var config struct {
		Function string `json:"function"`
	}
	json.Unmarshal(l.Config, &config) // if it is not an object, there is none
	return config.Function
}

// currentClass returns the layer's class, or Keras 3's class of the function that it applies.
func (l *Layer) currentClass() string {
	if class := tensorFlowFunctions[l.functionName()]; class != "" {
		return class
	}
	return l.Class
}

// operator returns the operator that a layer applies, 0 if it is another layer.
func (l *Layer) operator() byte { return operatorClasses[l.currentClass()] }

// separateOperands reports whether a layer is an operator or function that is called with two
// values, and not a layer that is called with a list of them.
func (l *Layer) separateOperands() bool {
	return l.Class == "TFOpLambda" || slices.ContainsFunc(l.calls, func(c call) bool { return c.separate })
}

// operand is the numeric operand of an operator, one number per channel.
type operand struct {
	numbers []float64
	first   bool // it is the left operand
}

// applyArithmetic applies an operator to a value and numbers, as scale·in + offset.
func (a *application) applyArithmetic(x int) int {
	shape := a.shapes[x]
	channels := shape[len(shape)-1]
	n, ok := a.takeOperand(len(shape)+1, channels)
	if !ok {
		return 0
	}
	scale, offset := slices.Repeat([]float64{1}, channels), make([]float64, channels)
	for i, v := range n.numbers {
		switch operator := a.layer.operator(); {
		case operator == '+':
			offset[i] = v
		case operator == '*':
			scale[i] = v
		case operator == '-' && n.first:
			scale[i], offset[i] = -1, v
		case operator == '-':
			offset[i] = -v
		case n.first || v == 0:
			return a.fail(&UnknownLayerError{Layer: a.place, Class: a.class})
		default:
			scale[i] = 1 / v
		}
	}
	// Another call may have other numbers.
	l := nn.Layer{Op: nn.OpScale, Name: a.reserveName(a.place, part{a.layer, fmt.Sprint(n)})}
	a.setComputed(l.Name+"/scale", channels, func() []float64 { return scale })
	a.setComputed(l.Name+"/offset", channels, func() []float64 { return offset })
	return a.put(l, x)
}

// takeOperand returns the numeric operand of an operator on a value with so many axes, including
// the batch, and channels: one number for all channels, or one for each.
func (a *application) takeOperand(axes, channels int) (n operand, ok bool) {
	if a.layer.currentClass() == "BiasAdd" && a.arguments["data_format"] == "NHWC" {
		a.taken["data_format"] = true
	}
	for _, key := range []string{"0", "1", "y", "bias"} {
		if v := a.takeArgument(key); v != nil {
			n.first = key == "0"
			for ; axes > 1; axes-- { // axes of length 1
				list, isList := v.([]any)
				if !isList || len(list) != 1 {
					break
				}
				v = list[0]
			}
			if n.numbers, ok = toPerChannel(v, channels); !ok {
				a.fail(&SettingError{a.place, a.class, "call argument " + key, formatValue(a.arguments[key]),
					fmt.Sprintf("one number, or one for each of %d channels", channels)})
			}
			return n, ok
		}
	}
	a.fail(malformed("layer %q, a %s, has one input and no number", a.place, a.class))
	return n, false
}

// toPerChannel returns a number for each of n channels, from one number or a list.
func toPerChannel(v any, n int) (all []float64, ok bool) {
	if n > maxListed {
		return nil, false
	}
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	if len(list) != 1 && len(list) != n {
		return nil, false
	}
	for _, v := range list {
		number, isNumber := v.(float64)
		if !isNumber {
			return nil, false
		}
		all = append(all, number)
	}
	if len(all) == 1 {
		all = slices.Repeat(all, n)
	}
	return all, true
}
