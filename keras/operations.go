package keras

import (
	"fmt"
	"maps"
	"slices"

	"garb/nn"
	"garb/tensor"
)

// identities has the layers that do nothing in inference.
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

// resizings has the layers that resize or crop pictures.
var resizings = map[string]bool{"Resizing": true, "CenterCrop": true, "RandomCrop": true}

// application is a layer that is being applied.
type application struct {
	*conversion
	settings
	layer *Layer
	// arguments has the call's other arguments than values; taken has those that were read. An
	// argument that was not read is an error.
	arguments map[string]any
	taken     map[string]bool
}

// apply applies a layer to values, with the call's other arguments, and returns the index of its
// output.
func (c *conversion) apply(l *Layer, place string, inputs []int, arguments map[string]any) int {
	if c.err != nil {
		return 0
	}
	if l.Model != nil {
		if len(inputs) != 1 {
			return c.fail(malformed("layer %q, a %s, has %d inputs instead of one", place, l.Class, len(inputs)))
		}
		for _, key := range slices.Sorted(maps.Keys(arguments)) {
			return c.fail(&SettingError{place, l.Class, "call argument " + key, formatValue(arguments[key]),
				"no such argument"})
		}
		return c.applyModel(l.Model, place, inputs[0])
	}
	described, known := c.settings[l]
	if !known {
		described = parseConfig(l.Config)
		c.settings[l] = described
	}
	a := &application{c, settings{place, l.Class, described, c.fail}, l, arguments, map[string]bool{}}
	a.checkPrecision()
	for _, in := range inputs {
		if _, isPlane := c.planes[in]; isPlane && l.currentClass() != "Stack" {
			return c.fail(malformed("layer %q, a %s, takes %s, one channel without its axis, which garb can only "+
				"stack", place, l.Class, c.places[in]))
		}
	}
	if l.operator() == 0 && !arrayOperations[l.currentClass()] {
		a.checkUnusedArguments() // it takes none
	}
	if c.err != nil {
		return 0
	}
	v := a.applyOperation(inputs)
	if !known && c.err == nil {
		a.checkUnused()
	}
	a.checkUnusedArguments()
	return v
}

// checkUnusedArguments refuses an argument that was not read.
func (a *application) checkUnusedArguments() {
	for _, key := range slices.Sorted(maps.Keys(a.arguments)) {
		if !a.taken[key] {
			a.fail(&SettingError{a.place, a.class, "call argument " + key, formatValue(a.arguments[key]),
				"no such argument"})
		}
	}
}

// takeArgument returns an argument by keyword or position, nil if there is none.
func (a *application) takeArgument(key string) any {
	v, ok := a.arguments[key]
	if ok {
		a.taken[key] = true
	}
	return unwrapArray(v)
}

// applyOperation turns the layer into garb's.
//
//nolint:funlen // a table of layers
func (a *application) applyOperation(inputs []int) int {
	l, place, c := a.layer, a.place, a.conversion
	operator := l.operator()
	a.used["function"] = l.functionName() != ""
	chosen := map[string]nn.Op{"Maximum": nn.OpMaximum, "Minimum": nn.OpMinimum}[l.Class]
	merges := operator == '+' || operator == '*' || chosen != "" || l.Class == "Concatenate"
	switch {
	case l.separateOperands() && !a.haveSameRank(inputs):
		// A layer repeats a flat value over a map; an operator takes its first axis, the
		// batch's, for one of the map's.
		return c.fail(malformed("layer %q, a %s, has inputs of different numbers of axes", place, l.Class))
	case operator != 0 && len(inputs) == 1 && len(a.arguments) > 0:
		return a.applyArithmetic(inputs[0])
	case l.currentClass() == "Stack":
		return a.applyStack(inputs)
	case operator == '-' && len(inputs) == 2:
		return a.put(nn.Layer{Op: nn.OpAdd}, inputs[0], a.putScale("/negative", -1, 0, inputs[1]))
	case l.Class == "CustomScaleLayer" && len(inputs) == 2:
		return a.put(nn.Layer{Op: nn.OpAdd}, inputs[0], a.putScale("/scaled", a.getNumber("scale", 1), 0, inputs[1]))
	case l.Class == "Average" && len(inputs) > 1:
		return a.putScale("/mean", 1/float64(len(inputs)), 0, a.merge(nn.OpAdd, inputs))
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
			if a.getFlag(key, false) {
				a.refuse(key, "pictures as arrays")
			}
		}
		return x
	case resizings[l.Class]:
		return a.applyResizing(x)
	case identities[l.Class]:
		for key := range a.values {
			a.used[key] = true // whatever they are, it changes nothing
		}
		return x
	}
	switch l.currentClass() {
	case "Conv2D", "DepthwiseConv2D", "SeparableConv2D":
		return a.applyActivation(a.applyConvolution(x))
	case "Dense":
		return a.applyActivation(a.applyDense(x))
	case "BatchNormalization":
		return a.applyBatchNorm(x)
	case "LayerNormalization":
		return a.applyLayerNorm(x)
	case "GroupNormalization":
		return a.applyGroupNorm(x)
	case "Rescaling":
		return a.applyRescaling(x)
	case "Normalization":
		return a.applyNormalization(x)
	case "Activation":
		return a.applyActivation(x)
	case "ReLU":
		return a.applyReLU(x)
	case "LeakyReLU":
		return a.applyLeakyReLU(x)
	case "ELU":
		return a.applyELU(x)
	case "PReLU":
		return a.applyPReLU(x)
	case "Softmax":
		return a.applySoftmax(x)
	case "MaxPooling2D":
		return a.applyPool(nn.OpMaxPool, x)
	case "AveragePooling2D":
		return a.applyPool(nn.OpAveragePool, x)
	case "GlobalAveragePooling2D":
		return a.applyGlobalPool(nn.OpGlobalAveragePool, x)
	case "GlobalMaxPooling2D":
		return a.applyGlobalPool(nn.OpGlobalMaxPool, x)
	case "ZeroPadding2D":
		return a.applyZeroPadding(x)
	case "Cropping2D":
		return a.applyCropping(x)
	case "UpSampling2D":
		return a.applyUpSampling(x)
	case "Flatten":
		return a.applyFlatten(x)
	case "Reshape":
		return a.applyReshape(x)
	case "Dropout":
		return a.applyDropout(x)
	case "GetItem":
		return a.applyGetItem(x)
	case "Take":
		return a.applyTake(x)
	case "Flip":
		return a.applyFlip(x)
	case "Cast":
		return a.applyCast(x)
	case "Negative":
		return a.putScale("/negative", -1, 0, x)
	}
	return c.fail(&UnknownLayerError{Layer: place, Class: l.Class})
}

// applyResizing applies a layer that resizes or crops. A RandomCrop is supported only if pictures
// have the size already, since versions of Keras differ in inference.
func (a *application) applyResizing(x int) int {
	height, width := a.getCount("height"), a.getCount("width")
	shape := a.shapes[x]
	if len(shape) != 3 {
		return a.fail(malformed("layer %q, a %s, takes pictures, not %s", a.place, a.class, tensor.ShapeString(shape)))
	}
	for _, key := range []string{"factor", "bounding_box_format"} { // of training, and of boxes
		a.used[key] = true
	}
	if shape[0] == height && shape[1] == width {
		for key := range a.values {
			a.used[key] = true // how to resize or crop
		}
		return x
	}
	switch {
	case a.class == "RandomCrop":
		a.report(&SettingError{a.place, a.class, "height and width", fmt.Sprintf("%d and %d", height, width),
			fmt.Sprintf("no random crop that changes the size, and its input is %s", tensor.ShapeString(shape))})
	case a.class == "Resizing":
		return a.putResize(x, height, width)
	case shape[0] < height || shape[1] < width:
		return a.put(nn.Layer{Op: nn.OpResize, Rows: height, Columns: width, Linear: true},
			a.cropToAspect(x, height, width))
	}
	return a.cropToCentre(x, height, width)
}

// putResize resizes like the layer Resizing.
func (a *application) putResize(x, height, width int) int {
	l := nn.Layer{Op: nn.OpResize, Rows: height, Columns: width}
	switch a.getText("interpolation", "bilinear") {
	case "nearest":
	case "bilinear":
		l.Linear = true
	default:
		a.refuse("interpolation", "nearest and bilinear")
	}
	if a.getFlag("antialias", false) {
		a.refuse("antialias", "no antialiasing")
	}
	crop, pad := a.getFlag("crop_to_aspect_ratio", false), a.getFlag("pad_to_aspect_ratio", false)
	fill := a.getNumber("fill_value", 0)
	if a.used["fill_mode"] = true; pad && a.getText("fill_mode", "constant") != "constant" {
		a.refuse("fill_mode", "constant")
	}
	switch {
	case crop && pad:
		a.refuse("pad_to_aspect_ratio", "either that or crop_to_aspect_ratio")
	case crop:
		x = a.cropToAspect(x, height, width)
	case pad:
		x = a.padToAspect(x, height, width, fill)
	}
	return a.put(l, x)
}

// fitAspect returns the numbers of rows and columns of x that give the aspect ratio of height and
// width: the rows for all its columns, and the columns for all its rows, both rounded down. Either
// may be more than x has.
func (a *application) fitAspect(x, height, width int) (rows, columns int) {
	shape := a.shapes[x]
	const exact = 1 << 24 // above, Keras's float32 rounds
	if shape[1]*height > exact || shape[0]*width > exact {
		a.report(&SettingError{a.place, a.class, "height and width", fmt.Sprintf("%d and %d", height, width),
			fmt.Sprintf("aspect ratios of smaller pictures only, and its input is %s", tensor.ShapeString(shape))})
		return 1, 1
	}
	return shape[1] * height / width, shape[0] * width / height
}

// cropToAspect crops rows or columns on both sides so that x has the aspect ratio of height and
// width.
func (a *application) cropToAspect(x, height, width int) int {
	rows, columns := a.fitAspect(x, height, width)
	shape := a.shapes[x]
	return a.cropToCentre(x, max(min(rows, shape[0]), 1), max(min(columns, shape[1]), 1))
}

// cropToCentre keeps so many rows and columns in the middle of x. Of an odd number, one more is
// cropped below or on the right.
func (a *application) cropToCentre(x, rows, columns int) int {
	shape := a.shapes[x]
	down, along := shape[0]-rows, shape[1]-columns
	if down == 0 && along == 0 {
		return x
	}
	l := nn.Layer{Op: nn.OpCrop, Above: down / 2, Left: along / 2}
	l.Below, l.Right = down-l.Above, along-l.Left
	return a.put(l, x)
}

// padToAspect pads equally above and below, and left and right, so that x has about the aspect
// ratio of height and width: Keras drops half a row or column.
func (a *application) padToAspect(x, height, width int, fill float64) int {
	rows, columns := a.fitAspect(x, height, width)
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
func (a *application) put(l nn.Layer, inputs ...int) int { return a.emit(a.place, l, inputs...) }

// haveSameRank reports whether values have the same number of axes.
func (a *application) haveSameRank(inputs []int) bool {
	return !slices.ContainsFunc(inputs, func(in int) bool { return len(a.shapes[in]) != len(a.shapes[inputs[0]]) })
}

// merge chains an operation on two values over all inputs.
func (a *application) merge(op nn.Op, inputs []int) int {
	x := inputs[0]
	for _, y := range inputs[1:] {
		x = a.put(nn.Layer{Op: op}, x, y)
	}
	return x
}

func (a *application) concatenate(inputs []int) int {
	a.checkLastAxis(len(a.shapes[inputs[0]]))
	return a.put(nn.Layer{Op: nn.OpConcat}, inputs...)
}

func (a *application) applyPool(op nn.Op, x int) int {
	height, width := a.getPair("pool_size", [2]int{2, 2})
	l := nn.Layer{Op: op, Height: height, Width: width, Same: a.getSamePadding()}
	l.SetStrides(a.getPair("strides", [2]int{height, width}))
	return a.put(l, x)
}

func (a *application) applyGlobalPool(op nn.Op, x int) int {
	x = a.put(nn.Layer{Op: op}, x)
	if a.getFlag("keepdims", false) {
		x = a.put(nn.Layer{Op: nn.OpReshape, Shape: append([]int{1, 1}, a.shapes[x]...)}, x)
	}
	return x
}

// getSides returns the padding or cropping above and below, left and right: from one number for
// all, one for rows and one for columns, or a pair for each.
func (a *application) getSides(key string, otherwise int) (rows, columns [2]int) {
	v := a.get(key)
	if v == nil {
		return [2]int{otherwise, otherwise}, [2]int{otherwise, otherwise}
	}
	both, ok := v.([]any)
	if !ok || len(both) != 2 {
		both = []any{v, v}
	}
	rows, okRows := toPair(both[0], 0)
	columns, okColumns := toPair(both[1], 0)
	if !okRows || !okColumns {
		a.refuse(key, "whole numbers of rows and columns")
	}
	return rows, columns
}

func (a *application) applyZeroPadding(x int) int {
	rows, columns := a.getSides("padding", 1)
	return a.put(nn.Layer{Op: nn.OpPad, Above: rows[0], Below: rows[1], Left: columns[0], Right: columns[1]}, x)
}

func (a *application) applyCropping(x int) int {
	rows, columns := a.getSides("cropping", 0)
	return a.put(nn.Layer{Op: nn.OpCrop, Above: rows[0], Below: rows[1], Left: columns[0], Right: columns[1]}, x)
}

func (a *application) applyUpSampling(x int) int {
	l := nn.Layer{Op: nn.OpUpsample}
	l.Rows, l.Columns = a.getPair("size", [2]int{2, 2})
	switch interpolation := a.getText("interpolation", "nearest"); {
	case interpolation == "bilinear" && !a.halfPixels:
		a.refuse("interpolation",
			"bilinear only in files of Keras 2.4 or later, since earlier versions interpolate differently")
	case interpolation == "bilinear":
		l.Linear = true
	case interpolation != "nearest":
		a.refuse("interpolation", "nearest and bilinear")
	}
	return a.put(l, x)
}

func (a *application) applyFlatten(x int) int {
	if len(a.shapes[x]) == 1 {
		return x
	}
	return a.put(nn.Layer{Op: nn.OpFlatten}, x)
}

// applyReshape works out what -1 stands for.
func (a *application) applyReshape(x int) int {
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
		n, ok := toWhole(v, 1)
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

// applyDropout is kept for those who train what was converted, unless it drops whole channels
// or pictures.
func (a *application) applyDropout(x int) int {
	rate := a.getNumber("rate", 0)
	if a.get("noise_shape") != nil || len(a.shapes[x]) != 1 || !(rate > 0 && rate < 1) {
		return x
	}
	return a.put(nn.Layer{Op: nn.OpDropout, Rate: rate}, x)
}
