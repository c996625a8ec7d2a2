package keras

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
)

// call is one use of a layer: Keras has an object per layer, and a node each time that it is
// called.
type call struct {
	inputs []reference
	// arguments has the call's other arguments than values, by keyword or by position from 0.
	arguments map[string]any
	// separate says that the inputs are separate arguments, like an operator's operands.
	separate bool
	// training says that the older generation was told to compute the layer as in training,
	// whatever the model's mode is.
	training bool
}

// reference names a value within a model: an output of a call of a layer.
type reference struct {
	layer  string
	call   int // which of the layer's calls, from 0
	tensor int // which of its outputs
}

// parseCalls parses a layer's inbound_nodes: {"args": [...], "kwargs": {...}} per call in Keras 3,
// a list of [name, call, tensor, kwargs] per call before.
func parseCalls(described any) []call {
	nodes, _ := described.([]any)
	var calls []call
	for _, node := range nodes {
		c := call{inputs: appendReferences(nil, node), arguments: parseArguments(node), training: hasTraining(node)}
		if described, ok := node.(map[string]any); ok {
			arguments, _ := described["args"].([]any)
			c.separate = len(arguments) > 1
		}
		calls = append(calls, c)
	}
	return calls
}

// appendReferences finds the values in the description of a layer's inputs: {"keras_history":
// [name, call, tensor]} somewhere in it in Keras 3, lists that begin like that before.
func appendReferences(all []reference, described any) []reference {
	switch d := described.(type) {
	case map[string]any:
		if history, ok := d["keras_history"]; ok {
			return appendReferences(all, history)
		}
		for _, key := range []string{"args", "config"} { // kwargs have masks
			all = appendReferences(all, d[key])
		}
	case []any:
		if r, ok := parseReference(d); ok {
			if r.layer != constantValue {
				all = append(all, r)
			}
			if len(d) == 4 { // an operator's second operand
				arguments, _ := d[3].(map[string]any)
				all = appendReferences(all, arguments["y"])
			}
			return all
		}
		for _, item := range d {
			all = appendReferences(all, item)
		}
	}
	return all
}

// parseReference parses [name, call, tensor], in which the tensor may be missing.
func parseReference(list []any) (r reference, ok bool) {
	if len(list) < 2 {
		return r, false
	}
	name, isName := list[0].(string)
	if _, isNumber := list[1].(float64); !isName || !isNumber {
		return r, false
	}
	r = reference{name, toIndex(list[1]), 0}
	if len(list) > 2 {
		r.tensor = toIndex(list[2])
	}
	return r, true
}

// parseEnds parses a model's inputs or outputs: one value, a list, or values by name.
func parseEnds(described any) []reference {
	named, ok := described.(map[string]any)
	if !ok {
		return appendReferences(nil, described)
	}
	var all []reference
	for _, name := range slices.Sorted(maps.Keys(named)) {
		all = appendReferences(all, named[name])
	}
	return all
}

// constantValue is the older generation's placeholder for a layer's name where there is an array or
// number.
const constantValue = "_CONSTANT_VALUE"

// parseArguments returns the arguments of a call that are not values: {"args": [value, 127.5]} in
// Keras 3, [name, call, tensor, {"y": 127.5}] or a list of these before. Arguments without effect
// are ignored.
func parseArguments(node any) map[string]any {
	switch d := node.(type) {
	case map[string]any:
		return parseNewArguments(d)
	case []any:
		if len(d) > 0 && !isList(d[0]) { // an operator's arguments are not in a list
			d = []any{d}
		}
		return parseOldArguments(d)
	}
	return nil
}

// parseNewArguments parses the arguments of a call of Keras 3.
func parseNewArguments(node map[string]any) map[string]any {
	all := map[string]any{}
	for key, v := range node {
		if key != "args" && key != "kwargs" {
			all[key] = v
		}
	}
	args, _ := node["args"].([]any)
	for i, arg := range args {
		if !isValue(arg) {
			all[strconv.Itoa(i)] = arg
		}
	}
	keywords, _ := node["kwargs"].(map[string]any)
	for key, v := range keywords {
		if v != nil && key != "training" { // Keras asks the model's training flag again
			all[key] = v
		}
	}
	return all
}

// parseOldArguments parses the arguments of a call of the older generation.
func parseOldArguments(entries []any) map[string]any {
	all := map[string]any{}
	for i, entry := range entries {
		parts, _ := entry.([]any)
		if len(parts) < 4 {
			continue
		}
		if parts[0] == constantValue {
			all["0"] = parts[2]
		}
		keywords, _ := parts[3].(map[string]any)
		for key, v := range keywords {
			switch earlier, known := all[key]; {
			case v == nil || key == "name" || key == "training": // training: see hasTraining
			case key == "y" && appendReferences(nil, v) != nil:
			case known && !reflect.DeepEqual(earlier, v):
				all[fmt.Sprintf("%s of input %d", key, i)] = v
			default:
				all[key] = v
			}
		}
	}
	return all
}

func isList(v any) bool {
	_, ok := v.([]any)
	return ok
}

// isValue reports whether an argument of Keras 3 is a layer's output, or a list of outputs.
func isValue(arg any) bool {
	switch d := arg.(type) {
	case map[string]any:
		config, _ := d["config"].(map[string]any)
		return config["keras_history"] != nil
	case []any:
		return !slices.ContainsFunc(d, func(item any) bool { return isList(item) || !isValue(item) })
	}
	return false
}

// toIndex returns a number of a call or tensor, −1 if it is not valid.
func toIndex(v any) int {
	n, ok := v.(float64)
	if !ok || n < 0 || n > 1<<20 {
		return -1
	}
	return int(n)
}

// hasTraining reports whether a node of the older generation has training=True among its arguments.
// Keras 3 also writes it, but then follows the model's mode.
func hasTraining(node any) bool {
	entries, _ := node.([]any)
	for _, entry := range entries {
		parts, _ := entry.([]any)
		if len(parts) < 4 {
			continue
		}
		arguments, _ := parts[3].(map[string]any)
		if training, ok := arguments["training"]; ok && (training == true || training == 1.0) {
			return true
		}
	}
	return false
}
