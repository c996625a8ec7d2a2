package keras

import (
	"slices"

	"garb/nn"
)

// plane is one channel of a value.
type plane struct{ source, channel int }

// applyGetItem selects channels, as x[..., ::-1] and x[..., 0:2] do, or one without its axis:
// x[..., 0].
func (a *application) applyGetItem(x int) int {
	shape := a.shapes[x]
	v, key := a.takeArgument("1"), "1"
	if _, older := a.arguments["slice_spec"]; older {
		v, key = a.takeArgument("slice_spec"), "slice_spec"
	}
	refuse := func() int {
		return a.fail(&SettingError{a.place, a.class, "call argument " + key, formatValue(a.arguments[key]),
			"channels of whole maps"})
	}
	items, ok := parseIndices(v, len(shape)+1)
	if !ok {
		return refuse()
	}
	last := len(shape)
	for axis, item := range items[:last] {
		size := 1 << 30 // the batch's is not known
		if axis > 0 {
			size = shape[axis-1]
		}
		if s, isSlice := parseSlice(item); !isSlice || !s.coversAll(size) {
			return refuse()
		}
	}
	channels := shape[last-1]
	if s, isSlice := parseSlice(items[last]); isSlice {
		return a.pick(s.indices(channels), x)
	}
	at, ok := indexBelow(items[last], channels)
	if !ok || len(shape) != 3 {
		return refuse()
	}
	picked := a.put(nn.Layer{Op: nn.OpSelect, Channels: []int{at}}, x)
	a.planes[picked] = plane{x, at}
	return picked
}

// applyStack concatenates channels that were selected one by one.
func (a *application) applyStack(inputs []int) int {
	v := a.get("axis")
	if a.layer.functionName() != "" {
		v = a.takeArgument("axis")
	}
	if v != -1.0 && v != 3.0 || len(inputs) == 0 {
		a.refuse("axis", "the last axis, the channels")
		return 0
	}
	first, one := a.planes[inputs[0]], true
	var channels []int
	for _, in := range inputs {
		p, isPlane := a.planes[in]
		if !isPlane {
			return a.fail(&UnknownLayerError{Layer: a.place, Class: a.class})
		}
		one = one && p.source == first.source
		channels = append(channels, p.channel)
	}
	if one {
		return a.pick(channels, first.source)
	}
	return a.put(nn.Layer{Op: nn.OpConcat}, inputs...)
}

// applyTake selects channels by a list.
func (a *application) applyTake(x int) int {
	shape := a.shapes[x]
	older := a.layer.functionName() != ""
	if older && a.arguments["batch_dims"] == 0.0 {
		a.taken["batch_dims"] = true
	}
	key := "1"
	axis := a.get("axis")
	if older {
		key, axis = "indices", a.takeArgument("axis")
	}
	list, isList := a.takeArgument(key).([]any)
	channels := make([]int, len(list))
	for i, v := range list {
		at, ok := indexBelow(v, shape[len(shape)-1])
		isList = isList && ok
		channels[i] = at
	}
	if !isList || axis != -1.0 && axis != float64(len(shape)) {
		return a.fail(&SettingError{a.place, a.class, "call argument " + key, formatValue(a.arguments[key]),
			"a list of channels, along the last axis"})
	}
	return a.pick(channels, x)
}

// applyFlip reverses the order of the channels.
func (a *application) applyFlip(x int) int {
	shape := a.shapes[x]
	axis := a.get("axis")
	if a.layer.functionName() != "" {
		axis = a.takeArgument("axis")
	}
	if list, ok := axis.([]any); ok && len(list) == 1 {
		axis = list[0]
	}
	if axis != -1.0 && axis != float64(len(shape)) {
		a.refuse("axis", "the last axis, the channels")
		return 0
	}
	return a.pick(slice{step: -1}.indices(shape[len(shape)-1]), x)
}

// applyCast ignores a cast to float32, which all values are.
func (a *application) applyCast(x int) int {
	if a.layer.functionName() != "" {
		if to := a.takeArgument("dtype"); to != "float32" {
			a.fail(&SettingError{a.place, a.class, "call argument dtype", formatValue(to), "float32"})
		}
		return x
	}
	if a.get("dtype") == nil {
		a.refuse("dtype", "float32")
	}
	return x // checkPrecision refuses others
}

// pick selects channels of a value.
func (a *application) pick(channels []int, x int) int {
	shape := a.shapes[x]
	if slices.Equal(channels, slice{step: 1}.indices(shape[len(shape)-1])) {
		return x
	}
	if len(channels) > maxListed {
		return a.fail(malformed("layer %q, a %s, selects too many channels, %d", a.place, a.class,
			len(channels)))
	}
	return a.put(nn.Layer{Op: nn.OpSelect, Channels: channels}, x)
}

// parseIndices parses the indices in brackets behind an array of so many axes: one entry per axis.
func parseIndices(v any, axes int) (entries []any, ok bool) {
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	if len(list) > axes+1 {
		return nil, false
	}
	whole := map[string]any{"class_name": "__slice__", "config": map[string]any{}}
	ellipsis := false
	for i, entry := range list {
		if described, isObject := entry.(map[string]any); isObject && described["class_name"] == "__ellipsis__" {
			if ellipsis {
				return nil, false
			}
			ellipsis = true
			for range axes - (len(list) - 1) {
				entries = append(entries, whole)
			}
			continue
		}
		entries = append(entries, list[i])
	}
	for !ellipsis && len(entries) < axes {
		entries = append(entries, whole)
	}
	return entries, len(entries) == axes
}

// slice is Python's start:stop:step, in which start and stop may be missing.
type slice struct {
	start, stop *int
	step        int
}

// parseSlice parses {"class_name": "__slice__", "config": {"start", "stop", "step"}} of Keras 3, or
// only the config, as before.
func parseSlice(v any) (s slice, ok bool) {
	described, isObject := v.(map[string]any)
	if !isObject {
		return s, false
	}
	if class, wrapped := described["class_name"]; wrapped {
		if described, isObject = described["config"].(map[string]any); !isObject || class != "__slice__" {
			return s, false
		}
	}
	parts := map[string]*int{}
	for key, v := range described {
		n, isNumber := v.(float64)
		switch {
		case key != "start" && key != "stop" && key != "step":
			return s, false
		case v == nil:
		case !isNumber || n != float64(int32(n)) || key == "step" && n == 0:
			return s, false
		default:
			at := int(n)
			parts[key] = &at
		}
	}
	s = slice{parts["start"], parts["stop"], 1}
	if parts["step"] != nil {
		s.step = *parts["step"]
	}
	return s, true
}

// coversAll reports whether the slice is all indices of an axis in order.
func (s slice) coversAll(size int) bool {
	low, high := s.bounds(size)
	return s.step == 1 && low == 0 && high == size
}

// bounds returns the first index and the one behind the last.
func (s slice) bounds(size int) (first, end int) {
	first, end, low, high := 0, size, 0, size
	if s.step < 0 {
		first, end, low, high = size-1, -1, -1, size-1
	}
	place := func(at *int, otherwise int) int {
		if at == nil {
			return otherwise
		}
		n := *at
		if n < 0 {
			n += size
		}
		return min(max(n, low), high)
	}
	return place(s.start, first), place(s.stop, end)
}

// indices lists the slice's indices on an axis of so many.
func (s slice) indices(size int) (all []int) {
	first, end := s.bounds(size)
	for i := first; s.step > 0 && i < end || s.step < 0 && i > end; i += s.step {
		all = append(all, i)
	}
	return all
}

// indexBelow parses an index of n, which may be counted from the end.
func indexBelow(v any, n int) (int, bool) {
	number, ok := v.(float64)
	if !ok || number != float64(int32(number)) {
		return 0, false
	}
	at := int(number)
	if at < 0 {
		at += n
	}
	return at, at >= 0 && at < n
}
