package keras

// call is one use of a layer: Keras has an object for a layer, and a node for each time
// that it is applied.
type call struct {
	inputs []reference
	number *operand // of an operator, beside its input
	// training says that the older generation was told to compute it as in training,
	// whatever is asked of the model.
	training bool
}

// reference names a value within a model: what a layer gave when it was called.
type reference struct {
	layer  string
	call   int // which of the layer's calls, from 0
	tensor int // which of its outputs
}

// parseCalls reads a layer's inbound_nodes: {"args": [...], "kwargs": {...}} for each call
// in Keras 3, a list of [name, call, tensor, kwargs] for each before.
func parseCalls(described any) []call {
	nodes, _ := described.([]any)
	var calls []call
	for _, node := range nodes {
		calls = append(calls, call{appendReferences(nil, node), numberBeside(node), asInTraining(node)})
	}
	return calls
}

// appendReferences finds the values in the description of a layer's inputs:
// {"keras_history": [name, call, tensor]} somewhere in it for Keras 3, a list that begins
// so before.
func appendReferences(all []reference, described any) []reference {
	switch d := described.(type) {
	case map[string]any:
		if history, ok := d["keras_history"]; ok {
			return appendReferences(all, history)
		}
		for _, key := range []string{"args", "config"} { // kwargs hold masks
			all = appendReferences(all, d[key])
		}
	case []any:
		if len(d) >= 2 {
			name, isName := d[0].(string)
			_, isNumber := d[1].(float64)
			if isName && isNumber {
				r := reference{name, index(d[1]), 0}
				if len(d) > 2 {
					r.tensor = index(d[2])
				}
				if name != constantValue {
					all = append(all, r)
				}
				if len(d) == 4 { // an operator's second operand
					arguments, _ := d[3].(map[string]any)
					all = appendReferences(all, arguments["y"])
				}
				return all
			}
		}
		for _, item := range d {
			all = appendReferences(all, item)
		}
	}
	return all
}

// index is a number that counts calls or tensors, -1 if it cannot be one.
func index(v any) int {
	n, ok := v.(float64)
	if !ok || n < 0 || n > 1<<20 {
		return -1
	}
	return int(n)
}

// asInTraining tells whether a node of the older generation has training=True among its
// arguments. Keras 3 writes it too, but then asks again what the model was asked.
func asInTraining(node any) bool {
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
