package backbone

import (
	"fmt"

	"garb/nn"
)

// resNet is a residual network as torchvision has it (He et al. 2015, table 1).
type resNet struct {
	blocks [4]int // of each group
	// bottleneck says that a block is 1×1, 3×3 and 1×1, the last with four times the
	// channels, and not two of 3×3.
	bottleneck bool
}

var (
	resNet18 = resNet{blocks: [4]int{2, 2, 2, 2}}
	resNet50 = resNet{blocks: [4]int{3, 4, 6, 3}, bottleneck: true}
)

const resNetStem = 64

// features is the number of channels of the last feature map.
func (r resNet) features() int { return resNetStem << 3 * r.widening() }

// widening is by how much a block's outputs outnumber its inner channels.
func (r resNet) widening() int {
	if r.bottleneck {
		return 4
	}
	return 1
}

// featureMap is the network up to its last feature map: [h w 3] to [⌈h/32⌉ ⌈w/32⌉ …]. In a
// bottleneck the 3×3 convolution has the stride, as in torchvision ("version 1.5"), not the
// first as in the paper and in Keras.
func (r resNet) featureMap(b *nn.Builder, x nn.Value) nn.Value {
	conv := func(name string, x nn.Value, filters, size, stride int) nn.Value {
		x, padding := padded(b, x, size, stride)
		return b.BatchNorm(name+"/bn", b.Conv(name+"/conv", x, filters, size, stride, padding), torchEpsilon)
	}
	x = b.ReLU(conv("stem", x, resNetStem, 7, 2))
	x = b.MaxPool(b.Pad(x, 1, 1, 1, 1, true), 3, 2, nn.Valid)
	for group, repeat := range r.blocks {
		inside := resNetStem << group
		outside := inside * r.widening()
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

// torchEpsilon is that of PyTorch's batch-norms.
const torchEpsilon = 1e-5

// padded puts zeros around a feature map as PyTorch's networks do, size/2 on each side, for a
// convolution with the padding that it returns. nn.Same alone does so only without a stride:
// with one, it puts fewer in front.
func padded(b *nn.Builder, x nn.Value, size, stride int) (nn.Value, nn.Padding) {
	if stride == 1 || size == 1 {
		return x, nn.Same
	}
	return b.Pad(x, size/2, size/2, size/2, size/2, false), nn.Valid
}
