package backbone

import (
	"fmt"

	"garb/nn"
)

const (
	xceptionFeatures = 2048
	// xceptionMinSide is the smallest side that Keras accepts for Xception.
	xceptionMinSide = 71
)

// xceptionFeatureMap builds Xception up to its last feature map (Chollet 2017, figure 5): [h w 3]
// to about [h/32 w/32 2048].
func xceptionFeatureMap(b *nn.Builder, x nn.Value) nn.Value {
	norm := func(name string, x nn.Value) nn.Value {
		return b.BatchNorm(name+"/bn", x, batchNormEpsilon)
	}
	conv := func(name string, x nn.Value, filters, size, stride int, padding nn.Padding) nn.Value {
		return norm(name, b.Conv(name, x, filters, size, stride, padding))
	}
	sepconv := func(name string, x nn.Value, filters int) nn.Value {
		return norm(name, b.SeparableConv(name, x, filters, 3, 1, nn.Same))
	}

	x = b.ReLU(conv("block1/conv1", x, 32, 3, 2, nn.Valid))
	x = b.ReLU(conv("block1/conv2", x, 64, 3, 1, nn.Valid))

	// down builds a block that halves the picture: two separable convolutions and a pooling, beside
	// a strided 1×1 convolution.
	down := func(block, first, second int, x nn.Value, reluFirst bool) nn.Value {
		name := fmt.Sprintf("block%d", block)
		inner := x
		if reluFirst {
			inner = b.ReLU(inner)
		}
		inner = b.ReLU(sepconv(name+"/sepconv1", inner, first))
		inner = sepconv(name+"/sepconv2", inner, second)
		inner = b.MaxPool(inner, 3, 2, nn.Same)
		return b.Add(inner, conv(name+"/shortcut", x, second, 1, 2, nn.Same))
	}
	x = down(2, 128, 128, x, false)
	x = down(3, 256, 256, x, true)
	x = down(4, 728, 728, x, true)
	for block := 5; block <= 12; block++ {
		inner := x
		for i := 1; i <= 3; i++ {
			inner = sepconv(fmt.Sprintf("block%d/sepconv%d", block, i), b.ReLU(inner), 728)
		}
		x = b.Add(inner, x)
	}
	x = down(13, 728, 1024, x, true)

	x = b.ReLU(sepconv("block14/sepconv1", x, 1536))
	return b.ReLU(sepconv("block14/sepconv2", x, xceptionFeatures))
}
