package accept

import (
	"fmt"
	"math"
	"slices"
)

// Detector scores pictures by their features, for Distance and Neighbours. Its size is bounded,
// however many training pictures it was fitted to.
type Detector struct {
	Method Method
	// Tensors are the fitted values by name: see FitDetector.
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
	meansTensor  = "means"  // Distance: [classes features], the mean of each class with pictures
	scaleTensor  = "scale"  // Distance: [1 features], 1/σ within the classes
	centreTensor = "centre" // [1 features], the mean of all pictures
	spreadTensor = "spread" // Distance: [1 features], 1/s around the centre
	storedTensor = "stored" // Neighbours: [vectors features], from the centre, scaled to length 1
)

const (
	// neighbour is the rank of the nearest stored vector that counts: about 1 % of the vectors,
	// as in Sun et al. 2022.
	neighbour = 5
	// maxStored is the largest number of vectors that Neighbours keeps.
	maxStored = 512
)

// TensorNames returns the names of the tensors that a Detector of the method has.
func TensorNames(m Method) []string {
	switch m {
	case Distance:
		return []string{meansTensor, scaleTensor, centreTensor, spreadTensor}
	case Neighbours:
		return []string{centreTensor, storedTensor}
	}
	return nil
}

// FitDetector fits a Detector to the features of training pictures and their labels, from 0 to
// classes−1.
//
// Distance keeps each class's mean μ_k and the variance σ² within the classes, and the mean m
// and variance s² of all pictures. The variances are those of each feature, shrunk half way to
// their mean. The score, mean_j (x_j−m_j)²/s_j² − min_k mean_j (x_j−μ_kj)²/σ_j², says how much
// closer the features are to a class than to pictures in general: a relative Mahalanobis
// distance (Ren et al. 2021) with diagonal covariances. With one class it is the second term
// alone.
//
// Neighbours keeps up to 512 training vectors, evenly from all classes, with the mean of all
// subtracted and scaled to length 1. The score is the negative distance to the fifth nearest
// of them (Sun et al. 2022, who do not subtract the mean).
func FitDetector(m Method, features [][]float32, labels []int, classes int) (*Detector, error) {
	if len(features) == 0 || len(features) != len(labels) {
		return nil, fmt.Errorf("cannot fit a detector to %d feature vectors with %d labels", len(features), len(labels))
	}
	for i, label := range labels {
		if label < 0 || label >= classes || len(features[i]) != len(features[0]) {
			return nil, fmt.Errorf("feature vector %d has %d values and label %d of %d classes", i,
				len(features[i]), label, classes)
		}
	}
	switch m {
	case Distance:
		return fitDistance(features, labels, classes), nil
	case Neighbours:
		return fitNeighbours(features, labels, classes), nil
	}
	return nil, fmt.Errorf("%w %q of features", ErrMethod, string(m))
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
	means, row := Matrix{Columns: width}, make([]int, classes) // row has the row of each class
	for class, n := range counts {
		if n == 0 {
			continue // no picture is close to a class without pictures
		}
		row[class] = means.Rows
		means.Rows++
		for _, sum := range sums[class*width:][:width] {
			means.Values = append(means.Values, float32(sum/n))
		}
	}
	centre := computeMean(features)
	spread := Matrix{1, width, make([]float32, width)}
	if means.Rows > 1 {
		spread = computeScale(features, func(int) []float32 { return centre.Values })
	}
	return &Detector{Distance, map[string]Matrix{
		meansTensor: means, centreTensor: centre, spreadTensor: spread,
		scaleTensor: computeScale(features, func(i int) []float32 { return means.row(row[labels[i]]) }),
	}}
}

// computeMean returns the mean of feature vectors.
func computeMean(features [][]float32) Matrix {
	width := len(features[0])
	sums, mean := make([]float64, width), Matrix{1, width, make([]float32, width)}
	for _, x := range features {
		for j, v := range x {
			sums[j] += float64(v)
		}
	}
	for j, sum := range sums {
		mean.Values[j] = float32(sum / float64(len(features)))
	}
	return mean
}

// computeScale returns 1/σ for each feature, where σ² is the variance around the mean of each
// vector, shrunk half way to the mean variance.
func computeScale(features [][]float32, meanOf func(i int) []float32) Matrix {
	width := len(features[0])
	variance, mean := make([]float64, width), 0.0
	for i, x := range features {
		m := meanOf(i)
		for j, v := range x {
			d := float64(v - m[j])
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
	return scale
}

func fitNeighbours(features [][]float32, labels []int, classes int) *Detector {
	byLabel := make([][]int, classes)
	for i, label := range labels {
		byLabel[label] = append(byLabel[label], i)
	}
	var chosen []int
	share := max(1, maxStored/classes)
	for _, pictures := range byLabel {
		n := min(share, len(pictures))
		for i := range n { // evenly spaced
			chosen = append(chosen, pictures[i*len(pictures)/n])
		}
	}
	chosen = chosen[:min(len(chosen), maxStored)]
	stored, centre := Matrix{Rows: len(chosen), Columns: len(features[0])}, computeMean(features)
	for _, i := range chosen {
		stored.Values = append(stored.Values, normalize(features[i], centre.Values)...)
	}
	return &Detector{Neighbours, map[string]Matrix{storedTensor: stored, centreTensor: centre}}
}

// normalize returns the vector from centre to x, scaled to length 1, or zero if they are equal.
func normalize(x, centre []float32) []float32 {
	sum := 0.0
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = v - centre[i]
		sum += float64(float64(y[i]) * float64(y[i]))
	}
	if sum == 0 {
		return y
	}
	for i, v := range y {
		y[i] = float32(float64(v) / math.Sqrt(sum))
	}
	return y
}

// scaledDistance returns mean_j ((x_j − from_j)·scale_j)².
func scaledDistance(x, from, scale []float32) float64 {
	sum := 0.0
	for j, v := range x {
		d := float64((v - from[j]) * scale[j])
		sum += float64(d * d)
	}
	return sum / float64(len(x))
}

// Validate returns an error unless the detector can score vectors of so many features.
func (d *Detector) Validate(features int) error {
	names := TensorNames(d.Method)
	if names == nil {
		return fmt.Errorf("%w %q of features", ErrMethod, string(d.Method))
	}
	for _, name := range names {
		m := d.Tensors[name]
		if m.Columns != features || m.Rows < 1 || len(m.Values) != m.Rows*m.Columns ||
			m.Rows != 1 && name != meansTensor && name != storedTensor {
			return fmt.Errorf("tensor %s has %d × %d values for %d features", name, m.Rows, m.Columns, features)
		}
		for _, v := range m.Values {
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
				return fmt.Errorf("tensor %s has the value %v", name, v)
			}
		}
	}
	return nil
}

// Distances returns the tensors of Distance: the classes' means and 1/σ, and the mean of all
// pictures and 1/s (see FitDetector).
func (d *Detector) Distances() (means, scale, centre, spread Matrix) {
	return d.Tensors[meansTensor], d.Tensors[scaleTensor], d.Tensors[centreTensor], d.Tensors[spreadTensor]
}

// Score returns the score of a feature vector. It panics if the vector's length is wrong.
func (d *Detector) Score(features []float32) float64 {
	if d.Method == Neighbours {
		stored, x := d.Tensors[storedTensor], normalize(features, d.Tensors[centreTensor].Values)
		similarities := make([]float64, stored.Rows)
		for i := range similarities {
			for j, v := range stored.row(i) {
				similarities[i] += float64(float64(v) * float64(x[j]))
			}
		}
		slices.Sort(similarities)
		s := similarities[max(0, len(similarities)-neighbour)]
		return -math.Sqrt(max(0, 2-2*s))
	}
	means, scale, centre, spread := d.Distances()
	least := math.Inf(1)
	for k := range means.Rows {
		least = min(least, scaledDistance(features, means.row(k), scale.Values))
	}
	return scaledDistance(features, centre.Values, spread.Values) - least
}
