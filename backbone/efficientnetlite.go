package backbone

import (
	"fmt"
	"math"

	"garb/nn"
)

// liteStage is one row of EfficientNet's table: a number of equal blocks.
type liteStage struct{ repeat, kernel, stride, expand, channels int }

// liteStages is EfficientNet-B0's table (Tan & Le 2019, table 1). For small devices, Lite
// replaces swish by ReLU6 and drops squeeze-and-excitation (tensorflow/tpu,
// efficientnet/lite).
var liteStages = []liteStage{
	{repeat: 1, kernel: 3, stride: 1, expand: 1, channels: 16},
	{repeat: 2, kernel: 3, stride: 2, expand: 6, channels: 24},
	{repeat: 2, kernel: 5, stride: 2, expand: 6, channels: 40},
	{repeat: 3, kernel: 3, stride: 2, expand: 6, channels: 80},
	{repeat: 3, kernel: 5, stride: 1, expand: 6, channels: 112},
	{repeat: 4, kernel: 5, stride: 2, expand: 6, channels: 192},
	{repeat: 1, kernel: 3, stride: 1, expand: 6, channels: 320},
}

// liteVariant scales the table. Lite does not scale the stem, the head and the repeats of the first
// and last stage.
type liteVariant struct {
	width, depth float64
	size         int // side of the square input, in pixels
	dropout      float64
}

// liteVariants holds the coefficients of the five variants (tensorflow/tpu,
// efficientnet_lite_builder.py).
var liteVariants = []liteVariant{
	{width: 1.0, depth: 1.0, size: 224, dropout: 0.2},
	{width: 1.0, depth: 1.1, size: 240, dropout: 0.2},
	{width: 1.1, depth: 1.2, size: 260, dropout: 0.3},
	{width: 1.2, depth: 1.4, size: 280, dropout: 0.3},
	{width: 1.4, depth: 1.8, size: 300, dropout: 0.3},
}

const (
	liteStem         = 32
	liteHead         = 1280
	batchNormEpsilon = 1e-3 // of EfficientNet-Lite and Xception in Keras
)

// channels scales a number of channels by the width coefficient, to a multiple of 8 that is at most
// a tenth below the exact number.
func (v liteVariant) channels(n int) int {
	exact := float64(v.width * float64(n))
	rounded := max(8, int(exact+4)/8*8)
	if float64(rounded) < 0.9*exact {
		rounded += 8
	}
	return rounded
}

// featureMap builds the network up to its last feature map: [h w 3] to [⌈h/32⌉ ⌈w/32⌉ 1280].
func (v liteVariant) featureMap(b *nn.Builder, x nn.Value) nn.Value {
	conv := func(name string, x nn.Value, filters, size, stride int) nn.Value {
		x = b.Conv(name+"/conv", x, filters, size, stride, nn.Same)
		return b.BatchNorm(name+"/bn", x, batchNormEpsilon)
	}
	x = b.ReLU6(conv("stem", x, liteStem, 3, 2))
	block := 0
	for i, s := range liteStages {
		repeat := s.repeat
		if i != 0 && i != len(liteStages)-1 {
			repeat = int(math.Ceil(v.depth * float64(repeat)))
		}
		filters := v.channels(s.channels)
		for j := range repeat {
			name := fmt.Sprintf("blocks/%02d", block)
			block++
			stride := 1
			if j == 0 {
				stride = s.stride
			}
			inner := x
			if s.expand != 1 {
				inner = b.ReLU6(conv(name+"/expand", x, s.expand*x.Channels(), 1, 1))
			}
			inner = b.DepthwiseConv(name+"/depthwise/conv", inner, s.kernel, stride, nn.Same)
			inner = b.ReLU6(b.BatchNorm(name+"/depthwise/bn", inner, batchNormEpsilon))
			inner = conv(name+"/project", inner, filters, 1, 1)
			if stride == 1 && x.Channels() == filters {
				inner = b.Add(inner, x)
			}
			x = inner
		}
	}
	return b.ReLU6(conv("head", x, liteHead, 1, 1))
}
