package backbone

import (
	"fmt"

	"garb/nn"
)

// bottleneck is one row of MobileNetV2's table: a number of equal inverted residuals.
type bottleneck struct{ expand, channels, repeat, stride int }

// bottlenecks is table 2 of Sandler et al. 2018.
var bottlenecks = []bottleneck{
	{expand: 1, channels: 16, repeat: 1, stride: 1},
	{expand: 6, channels: 24, repeat: 2, stride: 2},
	{expand: 6, channels: 32, repeat: 3, stride: 2},
	{expand: 6, channels: 64, repeat: 4, stride: 2},
	{expand: 6, channels: 96, repeat: 3, stride: 1},
	{expand: 6, channels: 160, repeat: 3, stride: 2},
	{expand: 6, channels: 320, repeat: 1, stride: 1},
}

const (
	mobileNetV2Stem     = 32
	mobileNetV2Features = 1280
	mobileNetV2Dropout  = 0.2
)

// mobileNetV2FeatureMap builds torchvision's MobileNetV2 up to its last feature map: [h w 3] to
// [⌈h/32⌉ ⌈w/32⌉ 1280]. Keras's network of this name pads differently.
func mobileNetV2FeatureMap(b *nn.Builder, x nn.Value) nn.Value {
	conv := func(name string, x nn.Value, filters, size, stride int) nn.Value {
		x, padding := pad(b, x, size, stride)
		return b.BatchNorm(name+"/bn", b.Conv(name+"/conv", x, filters, size, stride, padding), torchEpsilon)
	}
	x = b.ReLU6(conv("stem", x, mobileNetV2Stem, 3, 2))
	block := 0
	for _, row := range bottlenecks {
		for i := range row.repeat {
			name := fmt.Sprintf("blocks/%02d", block)
			block++
			stride := 1
			if i == 0 {
				stride = row.stride
			}
			inner := x
			if row.expand != 1 {
				inner = b.ReLU6(conv(name+"/expand", x, row.expand*x.Channels(), 1, 1))
			}
			inner, padding := pad(b, inner, 3, stride)
			inner = b.DepthwiseConv(name+"/depthwise/conv", inner, 3, stride, padding)
			inner = b.ReLU6(b.BatchNorm(name+"/depthwise/bn", inner, torchEpsilon))
			inner = conv(name+"/project", inner, row.channels, 1, 1)
			if stride == 1 && x.Channels() == row.channels {
				inner = b.Add(inner, x)
			}
			x = inner
		}
	}
	return b.ReLU6(conv("head", x, mobileNetV2Features, 1, 1))
}
