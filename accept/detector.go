package accept

import (
	"fmt"
	"math"
	"slices"
)

// Detector scores pictures by their features, for Distance and Neighbours. It keeps what
// it needs of the training pictures: its size is bounded, whatever their number.
type Detector struct {
	Method Method
	// Tensors are its values by name, row by row: see FitDetector.
	Tensors map[string]Matrix
}

// Matrix is a table of numbers, row by row.
type Matrix struct {
	Rows, Columns int
	Values        []float32
}

func (m Matrix) row(i int) []float32 { return m.Values[i*m.Columns:][:m.Columns] }

// The names of a Detector's tensors.
const (
	meansTensor  = "means"  // Distance: [classes features], of each class with pictures
	scaleTensor  = "scale"  // Distance: [1 features], one over a standard deviation
	storedTensor = "stored" // Neighbours: [vectors features], of length 1
)

const (
	// neighbour is which of the nearest stored vectors counts, as in Sun et al. 2022 for a
	// share of about 1 % of the vectors.
	neighbour = 5
	// maxStored bounds the vectors that Neighbours keeps.
	maxStored = 512
)

// TensorNames returns the names of the tensors that a Detector of the method has.
func TensorNames(m Method) []string {
	switch m {
	case Distance:
		return []string{meansTensor, scaleTensor}
	case Neighbours:
		return []string{storedTensor}
	}
	return nil
}

// FitDetector fits a Detector to the features of training pictures with their labels, from
// 0 to classes−1.
//
// Distance keeps each class's mean and, of each feature, the standard deviation within the
// classes, shrunk half way to the mean of all. The score is −min_k mean_j ((x_j−μ_kj)/σ_j)²,
// a Mahalanobis distance with a diagonal covariance that the classes share (Lee et al. 2018).
//
// Neighbours keeps up to 512 training vectors, evenly from all classes, scaled to length 1.
// The score is the negative distance to the fifth nearest of them (Sun et al. 2022).
func FitDetector(m Method, features [][]float32, labels []int, classes int) (*Detector, error) {
	if len(features) == 0 || len(features) != len(labels) {
		return nil, fmt.Errorf("a detector of %d feature vectors with %d labels", len(features), len(labels))
	}
	for i, label := range labels {
		if label < 0 || label >= classes || len(features[i]) != len(features[0]) {
			return nil, fmt.Errorf("feature vector %d has %d values and label %d of %d", i, len(features[i]), label, classes)
		}
	}
	switch m {
	case Distance:
		return fitDistance(features, labels, classes), nil
	case Neighbours:
		return fitNeighbours(features, labels, classes), nil
	}
	return nil, fmt.Errorf("%w of features: %q", ErrMethod, string(m))
}

func fitDistance(features [][]float32, labels []int, classes int) *Detector {
	width := len(features[0])
	sums, counts := make([]float64, classes*width), make([]float64, classes)
	for i, x := range features {
		counts[labels[i]]++
		for j, v := range x {
			sums[labels[i]*width+j] += float64(v)
		}
	}
	means, row := Matrix{Columns: width}, make([]int, classes) // where a class's mean is
	for class, n := range counts {
		if n == 0 {
			continue // a class without pictures is near to none
		}
		row[class] = means.Rows
		means.Rows++
		for _, sum := range sums[class*width:][:width] {
			means.Values = append(means.Values, float32(sum/n))
		}
	}
	variance, mean := make([]float64, width), 0.0
	for i, x := range features {
		for j, v := range x {
			d := float64(v - means.row(row[labels[i]])[j])
			variance[j] += d * d / float64(len(features))
		}
	}
	for _, v := range variance {
		mean += v / float64(width)
	}
	scale := Matrix{1, width, make([]float32, width)}
	for j, v := range variance {
		scale.Values[j] = float32(1 / math.Sqrt(max((v+mean)/2, 1e-12)))
	}
	return &Detector{Distance, map[string]Matrix{meansTensor: means, scaleTensor: scale}}
}

func fitNeighbours(features [][]float32, labels []int, classes int) *Detector {
	byLabel := make([][]int, classes)
	for i, label := range labels {
		byLabel[label] = append(byLabel[label], i)
	}
	var chosen []int
	share := max(1, maxStored/classes)
	for _, of := range byLabel {
		n := min(share, len(of))
		for i := range n { // evenly spaced
			chosen = append(chosen, of[i*len(of)/n])
		}
	}
	chosen = chosen[:min(len(chosen), maxStored)]
	stored := Matrix{Rows: len(chosen), Columns: len(features[0])}
	for _, i := range chosen {
		stored.Values = append(stored.Values, unit(features[i])...)
	}
	return &Detector{Neighbours, map[string]Matrix{storedTensor: stored}}
}

// unit returns a vector scaled to length 1; zero stays zero.
func unit(x []float32) []float32 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	scale := 0.0
	if sum > 0 {
		scale = 1 / math.Sqrt(sum)
	}
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(float64(v) * scale)
	}
	return y
}

// Validate reports a detector that cannot score vectors of so many features.
func (d *Detector) Validate(features int) error {
	names := TensorNames(d.Method)
	if names == nil {
		return fmt.Errorf("%w of features: %q", ErrMethod, string(d.Method))
	}
	for _, name := range names {
		m := d.Tensors[name]
		if m.Columns != features || m.Rows < 1 || len(m.Values) != m.Rows*m.Columns || name == scaleTensor && m.Rows != 1 {
			return fmt.Errorf("%s is a table of %d × %d for %d features", name, m.Rows, m.Columns, features)
		}
		for _, v := range m.Values {
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
				return fmt.Errorf("%s holds %v", name, v)
			}
		}
	}
	return nil
}

// Score returns the score of a feature vector. It panics if its length does not fit.
func (d *Detector) Score(features []float32) float64 {
	if d.Method == Neighbours {
		stored, x := d.Tensors[storedTensor], unit(features)
		similarities := make([]float64, stored.Rows)
		for i := range similarities {
			for j, v := range stored.row(i) {
				similarities[i] += float64(v) * float64(x[j])
			}
		}
		slices.Sort(similarities)
		s := similarities[max(0, len(similarities)-neighbour)]
		return -math.Sqrt(max(0, 2-2*s))
	}
	means, scale := d.Tensors[meansTensor], d.Tensors[scaleTensor].row(0)
	least := math.Inf(1)
	for k := range means.Rows {
		sum := 0.0
		for j, m := range means.row(k) {
			v := float64((features[j] - m) * scale[j])
			sum += v * v
		}
		least = min(least, sum/float64(len(scale)))
	}
	return -least
}
