package keras

import (
	"fmt"
	"maps"
	"slices"

	"garb/nn"
	"garb/tensor"
)

// identities are the layers that change nothing when a model answers.
var identities = map[string]bool{
	"Identity": true, "ActivityRegularization": true,
	"SpatialDropout2D": true, "GaussianNoise": true, "GaussianDropout": true, "AlphaDropout": true,
	"RandomFlip": true, "RandomRotation": true, "RandomZoom": true, "RandomTranslation": true, "RandomShear": true,
	"RandomHeight": true, "RandomWidth": true, "RandomContrast": true, "RandomBrightness": true, "RandomHue": true,
	"RandomSaturation": true, "RandomColorJitter": true, "RandomErasing": true, "RandomPerspective": true,
	"RandomColorDegeneration": true, "RandomElasticTransform": true, "RandomGaussianBlur": true,
	"RandomGrayscale": true,
	"RandomInvert":    true, "RandomPosterization": true, "RandomSharpness": true, "Solarization": true,
	"AugMix": true, "CutMix": true, "MixUp": true, "RandAugment": true,
}

// resizings are the layers that make pictures of a size.
var resizings = map[string]bool{"Resizing": true, "CenterCrop": true, "RandomCrop": true}

// applied is a layer that is being applied.
type applied struct {
	*conversion
	settings
	layer *Layer
	// arguments are what the layer is called with beside values, and taken those that were
	// asked for. What is left over is an error.
	arguments map[string]any
	taken     map[string]bool
}

// apply applies a layer to values, with other arguments if it has any, and returns the
// place of what it gives.
func (c *conversion) apply(l *Layer, place string, inputs []int, arguments map[string]any) int {
	if c.err != nil {
		return 0
	}
	if l.Model != nil {
		if len(inputs) != 1 {
			return c.fail(malformed("layer %q, a %s, has %d inputs instead of one", place, l.Class, len(inputs)))
		}
		for _, key := range slices.Sorted(maps.Keys(arguments)) {
			return c.fail(&SettingError{place, l.Class, "call argument " + key, shown(arguments[key]),
				"no such argument"})
		}
		return c.model(l.Model, place, inputs[0])
	}
	described, known := c.settings[l]
	if !known {
		described = readSettings(l.Config)
		c.settings[l] = described
	}
	a := &applied{c, settings{place, l.Class, described, c.fail}, l, arguments, map[string]bool{}}
	a.precision()
	for _, in := range inputs {
		if _, isPlane := c.planes[in]; isPlane && l.currentClass() != "Stack" {
			return c.fail(malformed("layer %q, a %s, takes %s, one channel without its axis; garb can stack such, "+
				"and nothing else", place, l.Class, c.places[in]))
		}
	}
	if l.operator() == 0 && !arrayOperations[l.currentClass()] {
		a.leftOverArguments() // it takes none
	}
	if c.err != nil {
		return 0
	}
	v := a.operation(inputs)
	if !known && c.err == nil {
		a.leftOver()
	}
	a.leftOverArguments()
	return v
}

// leftOverArguments refuses an argument that was not asked for.
func (a *applied) leftOverArguments() {
	for _, key := range slices.Sorted(maps.Keys(a.arguments)) {
		if !a.taken[key] {
			a.fail(&SettingError{a.place, a.class, "call argument " + key, shown(a.arguments[key]),
				"no such argument"})
		}
	}
}

// argument returns what the layer is called with under a keyword or at a position, nil if
// there is nothing.
func (a *applied) argument(key string) any {
	v, ok := a.arguments[key]
	if ok {
		a.taken[key] = true
	}
	return bare(v)
}

// operation turns the layer into garb's.
func (a *applied) operation(inputs []int) int {
	l, place, c := a.layer, a.place, a.conversion
	operator := l.operator()
	a.used["function"] = l.function() != ""
	chosen := map[string]nn.Op{"Maximum": nn.OpMaximum, "Minimum": nn.OpMinimum}[l.Class]
	merges := operator == '+' || operator == '*' || chosen != "" || l.Class == "Concatenate"
	switch {
	case l.separateOperands() && !a.sameRank(inputs):
		// A layer repeats a flat value over a map; an operator takes its first axis, the
		// batch's, for one of the map's.
		return c.fail(malformed("layer %q, a %s, has inputs of different numbers of axes", place, l.Class))
	case operator != 0 && len(inputs) == 1 && len(a.arguments) > 0:
		return a.arithmetic(inputs[0])
	case l.currentClass() == "Stack":
		return a.stack(inputs)
	case operator == '-' && len(inputs) == 2:
		return a.put(nn.Layer{Op: nn.OpAdd}, inputs[0], a.scaled("/negative", -1, 0, inputs[1]))
	case l.Class == "CustomScaleLayer" && len(inputs) == 2:
		return a.put(nn.Layer{Op: nn.OpAdd}, inputs[0], a.scaled("/scaled", a.number("scale", 1), 0, inputs[1]))
	case l.Class == "Average" && len(inputs) > 1:
		return a.scaled("/mean", 1/float64(len(inputs)), 0, a.merge(nn.OpAdd, inputs))
	case merges && len(inputs) < 2:
		return c.fail(malformed("layer %q, a %s, has %d inputs instead of two or more", place, l.Class, len(inputs)))
	case !merges && len(inputs) != 1:
		return c.fail(malformed("layer %q, a %s, has %d inputs instead of one", place, l.Class, len(inputs)))
	case operator == '+':
		return a.merge(nn.OpAdd, inputs)
	case operator == '*':
		return a.merge(nn.OpMultiply, inputs)
	case chosen != "":
		return a.merge(chosen, inputs)
	case l.Class == "Concatenate":
		return a.concatenate(inputs)
	}
	x := inputs[0]
	switch {
	case l.Class == "InputLayer":
		for _, key := range []string{"sparse", "ragged"} {
			if a.flag(key, false) {
				a.refuse(key, "pictures as arrays")
			}
		}
		return x
	case resizings[l.Class]:
		return a.resizing(x)
	case identities[l.Class]:
		for key := range a.values {
			a.used[key] = true // whatever they are, it changes nothing
		}
		return x
	}
	switch l.currentClass() {
	case "Conv2D", "DepthwiseConv2D", "SeparableConv2D":
		return a.activation(a.convolution(x))
	case "Dense":
		return a.activation(a.dense(x))
	case "BatchNormalization":
		return a.batchNorm(x)
	case "LayerNormalization":
		return a.layerNorm(x)
	case "GroupNormalization":
		return a.groupNorm(x)
	case "Rescaling":
		return a.rescaling(x)
	case "Normalization":
		return a.normalization(x)
	case "Activation":
		return a.activation(x)
	case "ReLU":
		return a.relu(x)
	case "LeakyReLU":
		return a.leakyReLU(x)
	case "ELU":
		return a.eLU(x)
	case "PReLU":
		return a.pReLU(x)
	case "Softmax":
		return a.softmax(x)
	case "MaxPooling2D":
		return a.pool(nn.OpMaxPool, x)
	case "AveragePooling2D":
		return a.pool(nn.OpAveragePool, x)
	case "GlobalAveragePooling2D":
		return a.globalPool(nn.OpGlobalAveragePool, x)
	case "GlobalMaxPooling2D":
		return a.globalPool(nn.OpGlobalMaxPool, x)
	case "ZeroPadding2D":
		return a.zeroPadding(x)
	case "Cropping2D":
		return a.cropping(x)
	case "UpSampling2D":
		return a.upSampling(x)
	case "Flatten":
		return a.flatten(x)
	case "Reshape":
		return a.reshape(x)
	case "Dropout":
		return a.dropout(x)
	case "GetItem":
		return a.getItem(x)
	case "Take":
		return a.takeChannels(x)
	case "Flip":
		return a.flip(x)
	case "Cast":
		return a.cast(x)
	case "Negative":
		return a.scaled("/negative", -1, 0, x)
	}
	return c.fail(&UnknownLayerError{Layer: place, Class: l.Class})
}

// resizing makes pictures of a size: Resizing resizes, CenterCrop leaves out a border. A
// RandomCrop does neither alike in every Keras when a model answers, unless pictures have the
// size already.
func (a *applied) resizing(x int) int {
	height, width := a.count("height", 1), a.count("width", 1)
	shape := a.shapes[x]
	if len(shape) != 3 {
		return a.fail(malformed("layer %q, a %s, takes pictures, not %s", a.place, a.class, tensor.ShapeString(shape)))
	}
	for _, key := range []string{"factor", "bounding_box_format"} { // of training, and of boxes
		a.used[key] = true
	}
	if shape[0] == height && shape[1] == width {
		for key := range a.values {
			a.used[key] = true // of how to resize or cut
		}
		return x
	}
	switch {
	case a.class == "RandomCrop":
		a.report(&SettingError{a.place, a.class, "height and width", fmt.Sprintf("%d and %d", height, width),
			fmt.Sprintf("no random crop that changes the size, and its input is %s", tensor.ShapeString(shape))})
	case a.class == "Resizing":
		return a.resize(x, height, width)
	case shape[0] < height || shape[1] < width:
		return a.put(nn.Layer{Op: nn.OpResize, Rows: height, Columns: width, Linear: true},
			a.toAspect(x, height, width))
	}
	return a.centre(x, height, width)
}

// resize is what Resizing does.
func (a *applied) resize(x, height, width int) int {
	l := nn.Layer{Op: nn.OpResize, Rows: height, Columns: width}
	switch a.text("interpolation", "bilinear") {
	case "nearest":
	case "bilinear":
		l.Linear = true
	default:
		a.refuse("interpolation", "nearest and bilinear")
	}
	if a.flag("antialias", false) {
		a.refuse("antialias", "no antialiasing")
	}
	crop, pad := a.flag("crop_to_aspect_ratio", false), a.flag("pad_to_aspect_ratio", false)
	fill := a.number("fill_value", 0)
	if a.used["fill_mode"] = true; pad && a.text("fill_mode", "constant") != "constant" {
		a.refuse("fill_mode", "constant")
	}
	switch {
	case crop && pad:
		a.refuse("pad_to_aspect_ratio", "either that or crop_to_aspect_ratio")
	case crop:
		x = a.toAspect(x, height, width)
	case pad:
		x = a.padToAspect(x, height, width, fill)
	}
	return a.put(l, x)
}

// aspect is the part of x that has the aspect ratio of height and width: as many rows as its
// columns ask for, and as many columns as its rows ask for, both rounded down. Either may be
// more than x has.
func (a *applied) aspect(x, height, width int) (rows, columns int) {
	shape := a.shapes[x]
	const exact = 1 << 24 // above, Keras's float32 rounds
	if shape[1]*height > exact || shape[0]*width > exact {
		a.report(&SettingError{a.place, a.class, "height and width", fmt.Sprintf("%d and %d", height, width),
			fmt.Sprintf("aspect ratios of smaller pictures only, and its input is %s", tensor.ShapeString(shape))})
		return 1, 1
	}
	return shape[1] * height / width, shape[0] * width / height
}

// toAspect leaves out rows or columns on both sides until x has the aspect ratio of height and
// width.
func (a *applied) toAspect(x, height, width int) int {
	rows, columns := a.aspect(x, height, width)
	shape := a.shapes[x]
	return a.centre(x, max(min(rows, shape[0]), 1), max(min(columns, shape[1]), 1))
}

// centre keeps so many rows and columns in the middle of x. Of an odd number, one more is left
// out below, or on the right.
func (a *applied) centre(x, rows, columns int) int {
	shape := a.shapes[x]
	down, along := shape[0]-rows, shape[1]-columns
	if down == 0 && along == 0 {
		return x
	}
	l := nn.Layer{Op: nn.OpCrop, Above: down / 2, Left: along / 2}
	l.Below, l.Right = down-l.Above, along-l.Left
	return a.put(l, x)
}

// padToAspect puts as much above as below, and left as right, so that x has about the aspect
// ratio of height and width: Keras drops half a row or column.
func (a *applied) padToAspect(x, height, width int, fill float64) int {
	rows, columns := a.aspect(x, height, width)
	shape := a.shapes[x]
	down, along := max(rows-shape[0], 0)/2, max(columns-shape[1], 0)/2
	if down == 0 && along == 0 {
		return x
	}
	if fill != 0 {
		a.refuse("fill_value", "a border of zeros")
	}
	return a.put(nn.Layer{Op: nn.OpPad, Above: down, Below: down, Left: along, Right: along}, x)
}

// put emits a layer of garb's for the layer.
func (a *applied) put(l nn.Layer, inputs ...int) int { return a.emit(a.place, l, inputs...) }

// sameRank reports whether values have equally many axes.
func (a *applied) sameRank(inputs []int) bool {
	return !slices.ContainsFunc(inputs, func(in int) bool { return len(a.shapes[in]) != len(a.shapes[inputs[0]]) })
}

// merge chains an operation of two values over all inputs.
func (a *applied) merge(op nn.Op, inputs []int) int {
	x := inputs[0]
	for _, y := range inputs[1:] {
		x = a.put(nn.Layer{Op: op}, x, y)
	}
	return x
}

func (a *applied) concatenate(inputs []int) int {
	a.lastAxis(len(a.shapes[inputs[0]]))
	return a.put(nn.Layer{Op: nn.OpConcat}, inputs...)
}

func (a *applied) pool(op nn.Op, x int) int {
	height, width := a.pair("pool_size", [2]int{2, 2})
	l := nn.Layer{Op: op, Height: height, Width: width, Same: a.same()}
	l.SetStrides(a.pair("strides", [2]int{height, width}))
	return a.put(l, x)
}

func (a *applied) globalPool(op nn.Op, x int) int {
	x = a.put(nn.Layer{Op: op}, x)
	if a.flag("keepdims", false) {
		x = a.put(nn.Layer{Op: nn.OpReshape, Shape: append([]int{1, 1}, a.shapes[x]...)}, x)
	}
	return x
}

// sides reads what lies above and below, left and right: one number for all, one for rows and
// one for columns, or a pair for each.
func (a *applied) sides(key string, otherwise int) (rows, columns [2]int) {
	v := a.get(key)
	if v == nil {
		return [2]int{otherwise, otherwise}, [2]int{otherwise, otherwise}
	}
	both, ok := v.([]any)
	if !ok || len(both) != 2 {
		both = []any{v, v}
	}
	rows, okRows := asPair(both[0], 0)
	columns, okColumns := asPair(both[1], 0)
	if !okRows || !okColumns {
		a.refuse(key, "whole numbers of rows and columns")
	}
	return rows, columns
}

func (a *applied) zeroPadding(x int) int {
	rows, columns := a.sides("padding", 1)
	return a.put(nn.Layer{Op: nn.OpPad, Above: rows[0], Below: rows[1], Left: columns[0], Right: columns[1]}, x)
}

func (a *applied) cropping(x int) int {
	rows, columns := a.sides("cropping", 0)
	return a.put(nn.Layer{Op: nn.OpCrop, Above: rows[0], Below: rows[1], Left: columns[0], Right: columns[1]}, x)
}

func (a *applied) upSampling(x int) int {
	l := nn.Layer{Op: nn.OpUpsample}
	l.Rows, l.Columns = a.pair("size", [2]int{2, 2})
	switch interpolation := a.text("interpolation", "nearest"); {
	case interpolation == "bilinear" && !a.halfPixels:
		a.refuse("interpolation", "bilinear of a file that Keras 2.4 or a later one wrote: earlier ones had others")
	case interpolation == "bilinear":
		l.Linear = true
	case interpolation != "nearest":
		a.refuse("interpolation", "nearest and bilinear")
	}
	return a.put(l, x)
}

func (a *applied) flatten(x int) int {
	if len(a.shapes[x]) == 1 {
		return x
	}
	return a.put(nn.Layer{Op: nn.OpFlatten}, x)
}

// reshape works out what -1 stands for.
func (a *applied) reshape(x int) int {
	const can = "[h w c] or [c] with as many values as there are"
	target, _ := a.get("target_shape").([]any)
	if len(target) != 1 && len(target) != 3 {
		a.refuse("target_shape", can)
		return 0
	}
	values := 1
	for _, n := range a.shapes[x] {
		values *= n
	}
	shape := make([]int, len(target))
	open, known := -1, 1
	for i, v := range target {
		n, ok := whole(v, 1)
		switch {
		case ok:
			shape[i] = n
			known *= n // at most three of a million
		case v == -1.0 && open < 0:
			open = i
		default:
			a.refuse("target_shape", can)
			return 0
		}
	}
	if open >= 0 {
		shape[open] = values / known
		known *= shape[open]
	}
	if known != values {
		a.refuse("target_shape", can)
		return 0
	}
	if slices.Equal(shape, a.shapes[x]) {
		return x
	}
	return a.put(nn.Layer{Op: nn.OpReshape, Shape: shape}, x)
}

// dropout is kept for those who train what was converted, unless it drops whole channels
// or pictures.
func (a *applied) dropout(x int) int {
	rate := a.number("rate", 0)
	if a.get("noise_shape") != nil || len(a.shapes[x]) != 1 || !(rate > 0 && rate < 1) {
		return x
	}
	return a.put(nn.Layer{Op: nn.OpDropout, Rate: rate}, x)
}
