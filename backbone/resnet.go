package backbone

import (
	"fmt"

	"garb/nn"
)

// resNet is a residual network of torchvision (He et al. 2015, table 1).
type resNet struct {
	blocks [4]int // in each group
	// bottleneck selects blocks of a 1×1, a 3×3 and a 1×1 convolution, the last with four times the
	// channels, instead of two 3×3 convolutions.
	bottleneck bool
}

var (
	resNet18 = resNet{blocks: [4]int{2, 2, 2, 2}}
	resNet50 = resNet{blocks: [4]int{3, 4, 6, 3}, bottleneck: true}
)

const resNetStem = 64

// features returns the number of channels of the last feature map.
func (r resNet) features() int { return resNetStem << 3 * r.expansion() }

// expansion returns the ratio of a block's outputs to its inner channels.
func (r resNet) expansion() int {
	if r.bottleneck {
		return 4
	}
	return 1
}

// featureMap builds the network up to its last feature map: [h w 3] to [⌈h/32⌉ ⌈w/32⌉ …]. In a
// bottleneck the 3×3 convolution has the stride, as in torchvision ("version 1.5"), not the first
// one as in the paper and in Keras.
func (r resNet) featureMap(b *nn.Builder, x nn.Value) nn.Value {
	conv := func(name string, x nn.Value, filters, size, stride int) nn.Value {
		x, padding := pad(b, x, size, stride)
		return b.BatchNorm(name+"/bn", b.Conv(name+"/conv", x, filters, size, stride, padding), torchEpsilon)
	}
	x = b.ReLU(conv("stem", x, resNetStem, 7, 2))
	x = b.MaxPool(b.Pad(x, 1, 1, 1, 1, true), 3, 2, nn.Valid)
	for group, repeat := range r.blocks {
		inside := resNetStem << group
		outside := inside * r.expansion()
		for i := range repeat {
			name := fmt.Sprintf("group%d/%d", group+1, i)
			stride := 1
			if i == 0 && group > 0 {
				stride = 2
			}
			var inner nn.Value
			if r.bottleneck {
				inner = b.ReLU(conv(name+"/conv1", x, inside, 1, 1))
				inner = b.ReLU(conv(name+"/conv2", inner, inside, 3, stride))
				inner = conv(name+"/conv3", inner, outside, 1, 1)
			} else {
				inner = b.ReLU(conv(name+"/conv1", x, inside, 3, stride))
				inner = conv(name+"/conv2", inner, outside, 3, 1)
			}
			shortcut := x
			if stride != 1 || x.Channels() != outside {
				shortcut = conv(name+"/shortcut", x, outside, 1, stride)
			}
			x = b.ReLU(b.Add(inner, shortcut))
		}
	}
	return x
}

// torchEpsilon is the epsilon of PyTorch's batch-norms.
const torchEpsilon = 1e-5

// pad puts size/2 zeros on each side of a feature map, as PyTorch's networks do, and returns the
// padding for the convolution that follows. nn.Same alone pads so only without a stride: with one,
// it puts fewer zeros in front.
func pad(b *nn.Builder, x nn.Value, size, stride int) (nn.Value, nn.Padding) {
	if stride == 1 || size == 1 {
		return x, nn.Same
	}
	return b.Pad(x, size/2, size/2, size/2, size/2, false), nn.Valid
}
