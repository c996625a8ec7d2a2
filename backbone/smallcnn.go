package backbone

import "garb/nn"

const (
	smallCNNName    = "small-cnn"
	smallCNNFilters = 32
	smallCNNUnits   = 64
)

// smallCNNFeatures builds the course's homework network up to its inner layer: one convolution, one
// pooling and one dense layer of 64. Its top is one sigmoid output, for two classes.
func smallCNNFeatures(b *nn.Builder, x nn.Value) nn.Value {
	x = b.ReLU(b.Conv("conv1", x, smallCNNFilters, 3, 1, nn.Valid, nn.WithBias()))
	x = b.Flatten(b.MaxPool(x, 2, 2, nn.Valid))
	return b.ReLU(b.Dense("dense1", x, smallCNNUnits, nn.WithBias()))
}
