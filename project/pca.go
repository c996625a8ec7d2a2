package project

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// Settings of the search for principal components.
const (
	extraDirections = 10 // beyond those wanted: the wanted ones converge sooner
	maxRounds       = 60
	convergence     = 1e-9 // change of the variances in a round, relative to the largest
)

// PCA projects rows onto their principal components: the orthogonal directions along which
// they vary most. For each row it returns count values, centred on 0, by falling variance;
// shares holds each component's share of the total variance. Where the rows span fewer
// directions, the remaining values are 0. The largest weight of each component is positive,
// which determines its sign. PCA computes the covariance of the rows, so its memory grows with
// the square of their length. Errors are ctx's, or say which row has a value that is not
// finite. PCA panics if rows differ in length or count is not positive.
func PCA(ctx context.Context, rows [][]float32, count int, seed uint64) (projected [][]float64, shares []float64,
	err error) {
	if count < 1 {
		panic(fmt.Sprintf("project: %d components", count))
	}
	projected, shares = newMatrix(len(rows), count), make([]float64, count)
	if len(rows) == 0 {
		return projected, shares, nil
	}
	centred, err := centreColumns(rows)
	if err != nil {
		return nil, nil, err
	}
	_, width := centred.Dims()
	var product mat.Dense
	product.Mul(centred.T(), centred)
	covariance := symmetrize(&product)
	covariance.ScaleSym(1/float64(len(rows)), covariance)
	directions, variances, err := findEigenvectors(ctx, covariance, min(count, width), seed)
	if err != nil {
		return nil, nil, err
	}
	var scores mat.Dense
	scores.Mul(centred, directions)
	total := covariance.Trace()
	for k, variance := range variances {
		if !(variance > 1e-12*total) {
			break
		}
		shares[k] = variance / total
		for i := range rows {
			projected[i][k] = scores.At(i, k)
		}
	}
	return projected, shares, ctx.Err()
}

// centreColumns returns the matrix of the rows, with the mean of each column subtracted.
func centreColumns(rows [][]float32) (*mat.Dense, error) {
	width := len(rows[0])
	means := make([]float64, width)
	for i, row := range rows {
		if len(row) != width {
			panic("project: rows of different lengths")
		}
		for c, v := range row {
			if v-v != 0 {
				return nil, fmt.Errorf("row %d has the value %v", i, v)
			}
			means[c] += float64(v)
		}
	}
	floats.Scale(1/float64(len(rows)), means)
	centred := mat.NewDense(len(rows), width, nil)
	for i, row := range rows {
		for c, v := range row {
			centred.Set(i, c, float64(v)-means[c])
		}
	}
	return centred, nil
}

// findEigenvectors returns the eigenvectors, as columns, of the largest eigenvalues of a
// matrix without negative ones, by subspace iteration. A full decomposition of 1280 columns
// takes 15 s.
func findEigenvectors(ctx context.Context, m *mat.SymDense, count int, seed uint64) (vectors mat.Matrix,
	values []float64, err error) {
	width := m.SymmetricDim()
	size := min(count+extraDirections, width)
	random := rand.New(rand.NewPCG(seed, 1))
	basis := mat.NewDense(width, size, nil)
	basis.Apply(func(_, _ int, _ float64) float64 { return random.NormFloat64() }, basis)
	orthonormalize(basis)
	for range maxRounds {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		var image, small mat.Dense
		image.Mul(m, basis)
		small.Mul(basis.T(), &image)
		rotation, found := decompose(symmetrize(&small))
		change := math.Inf(1)
		if values != nil {
			change = floats.Distance(found[:count], values[:count], math.Inf(1))
		}
		values = found
		basis.Mul(&image, rotation)
		orthonormalize(basis)
		if change <= convergence*values[0] {
			break
		}
	}
	for k := range count {
		makePositive(basis.ColView(k).(*mat.VecDense))
	}
	return basis.Slice(0, width, 0, count), values[:count], nil
}

// symmetrize returns a square matrix whose two triangles differ by rounding alone.
func symmetrize(m *mat.Dense) *mat.SymDense {
	n, _ := m.Dims()
	return mat.NewSymDense(n, m.RawMatrix().Data)
}

// orthonormalize replaces the columns of m by orthonormal ones that span them.
func orthonormalize(m *mat.Dense) {
	var svd mat.SVD
	if !svd.Factorize(m, mat.SVDThinU) {
		panic("project: the singular value decomposition does not converge")
	}
	svd.UTo(m)
}

// decompose returns the eigenvectors, as columns, and the eigenvalues of a small matrix, the
// largest first.
func decompose(m *mat.SymDense) (vectors *mat.Dense, values []float64) {
	var eigen mat.EigenSym
	if !eigen.Factorize(m, true) {
		panic("project: the eigenvalue decomposition does not converge")
	}
	var rising mat.Dense
	eigen.VectorsTo(&rising)
	n := m.SymmetricDim()
	vectors = mat.NewDense(n, n, nil)
	for k := range n {
		vectors.ColView(k).(*mat.VecDense).CopyVec(rising.ColView(n - 1 - k))
	}
	values = eigen.Values(nil)
	slices.Reverse(values)
	return vectors, values
}

// makePositive inverts v if its largest weight is negative.
func makePositive(v *mat.VecDense) {
	largest := 0.0
	for i := range v.Len() {
		if weight := v.AtVec(i); math.Abs(weight) > math.Abs(largest) {
			largest = weight
		}
	}
	if largest < 0 {
		v.ScaleVec(-1, v)
	}
}

// newMatrix returns rows × columns zeros.
func newMatrix(rows, columns int) [][]float64 {
	all := make([]float64, rows*columns)
	m := make([][]float64, rows)
	for i := range m {
		m[i] = all[i*columns : (i+1)*columns : (i+1)*columns]
	}
	return m
}
