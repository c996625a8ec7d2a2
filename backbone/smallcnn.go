package backbone

import "garb/nn"

const (
	smallCNNName    = "small-cnn"
	smallCNNFilters = 32
	smallCNNUnits   = 64
)

// smallCNNFeatures is the network of the course's homework up to its inner
// layer: one convolution, one pooling, one dense layer of 64. Its head is
// Dense(1) with a sigmoid, for two classes.
func smallCNNFeatures(b *nn.Builder, x nn.Value) nn.Value {
	x = b.ReLU(b.Conv("conv1", x, smallCNNFilters, 3, 1, nn.Valid, nn.WithBias()))
	x = b.Flatten(b.MaxPool(x, 2, 2, nn.Valid))
	return b.ReLU(b.Dense("dense1", x, smallCNNUnits, nn.WithBias()))
}
