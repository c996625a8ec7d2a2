package project

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
)

// Settings of the search for principal components.
const (
	spare     = 10 // directions beyond those wanted, which make the wanted ones settle sooner
	rounds    = 60
	converged = 1e-9 // change of the variances in a round, as a share of the largest
)

// PCA projects rows on their principal components: the directions, at right angles to each
// other, along which they vary most. It returns a row of count values for each, largest
// variance first, centred on 0, and the share of the whole variance that each component
// has. Where rows span fewer directions, the other values are 0. A component's sign is
// such that its largest weight is positive. It takes the rows' covariance, so their length
// squared is what memory it needs. The error is ctx's. It panics if rows differ in length or
// count is not positive.
func PCA(ctx context.Context, rows [][]float32, count int, seed uint64) (projected [][]float64, shares []float64,
	err error) {
	if count < 1 {
		panic(fmt.Sprintf("project: %d components", count))
	}
	projected, shares = matrix(len(rows), count), make([]float64, count)
	if len(rows) == 0 {
		return projected, shares, nil
	}
	columns, err := centred(ctx, rows)
	if err != nil {
		return nil, nil, err
	}
	width := len(columns)
	covariance := matrix(width, width)
	// Row i has width−i products to sum: rows from both ends even that out.
	err = inParallel(ctx, width, func(k int) {
		i := k / 2
		if k%2 == 1 {
			i = width - 1 - i
		}
		for j := i; j < width; j++ {
			v := dot(columns[i], columns[j]) / float64(len(rows))
			covariance[i][j], covariance[j][i] = v, v
		}
	})
	if err != nil {
		return nil, nil, err
	}
	total := 0.0
	for i := range covariance {
		total += covariance[i][i]
	}
	directions, variances, err := eigenvectors(ctx, covariance, min(count, width), seed)
	if err != nil {
		return nil, nil, err
	}
	for k, direction := range directions {
		if !(variances[k] > 1e-12*total) {
			break
		}
		shares[k] = variances[k] / total
		for c, weight := range direction {
			for i, v := range columns[c] {
				projected[i][k] += weight * v
			}
		}
	}
	return projected, shares, ctx.Err()
}

// centred are the columns of rows, each less its mean.
func centred(ctx context.Context, rows [][]float32) ([][]float64, error) {
	columns := matrix(len(rows[0]), len(rows))
	for _, row := range rows {
		if len(row) != len(columns) {
			panic("project: rows of different lengths")
		}
	}
	err := inParallel(ctx, len(columns), func(c int) {
		mean := 0.0
		for _, row := range rows {
			mean += float64(row[c])
		}
		mean /= float64(len(rows))
		for i, row := range rows {
			columns[c][i] = float64(row[c]) - mean
		}
	})
	return columns, err
}

// eigenvectors finds those of a symmetric matrix with the largest eigenvalues, none of which
// is negative, by subspace iteration.
func eigenvectors(ctx context.Context, m [][]float64, count int, seed uint64) (vectors [][]float64, values []float64,
	err error) {
	width := len(m)
	random := rand.New(rand.NewPCG(seed, 1))
	basis := matrix(min(count+spare, width), width)
	for _, v := range basis {
		for i := range v {
			v[i] = random.NormFloat64()
		}
	}
	orthonormal(basis)
	image := matrix(len(basis), width)
	for range rounds {
		if err := multiply(ctx, image, basis, m); err != nil {
			return nil, nil, err
		}
		// Within the subspace, turn to the directions that are eigenvectors there.
		small := matrix(len(basis), len(basis))
		for i := range small {
			for j := range small {
				small[i][j] = dot(basis[i], image[j])
			}
		}
		turns, found := jacobi(small)
		change := math.Inf(1)
		if values != nil {
			change = 0
			for k := range count {
				change = max(change, math.Abs(found[k]-values[k]))
			}
		}
		values = found
		turned := matrix(len(basis), width)
		for k, turn := range turns {
			for j, share := range turn {
				for i, v := range image[j] {
					turned[k][i] += share * v
				}
			}
		}
		orthonormal(turned)
		basis = turned
		if change <= converged*values[0] {
			break
		}
	}
	for _, v := range basis[:count] {
		largest := 0.0
		for _, weight := range v {
			if math.Abs(weight) > math.Abs(largest) {
				largest = weight
			}
		}
		if largest < 0 {
			for i := range v {
				v[i] = -v[i]
			}
		}
	}
	return basis[:count], values[:count], nil
}

// multiply sets out[k] to m·vectors[k].
func multiply(ctx context.Context, out, vectors, m [][]float64) error {
	return inParallel(ctx, len(m), func(i int) {
		for k, v := range vectors {
			out[k][i] = dot(m[i], v)
		}
	})
}

// orthonormal makes vectors of length 1 at right angles (Gram-Schmidt, twice against
// rounding). One that lies in the span of those before becomes 0.
func orthonormal(vectors [][]float64) {
	for k, v := range vectors {
		before := math.Sqrt(dot(v, v))
		for range 2 {
			for _, u := range vectors[:k] {
				share := dot(u, v)
				for i := range v {
					v[i] -= share * u[i]
				}
			}
		}
		length := math.Sqrt(dot(v, v))
		for i := range v {
			if length > 1e-10*before {
				v[i] /= length
			} else {
				v[i] = 0
			}
		}
	}
}

// jacobi finds all eigenvectors, as rows, and eigenvalues of a small symmetric matrix, the
// largest first, by rotations (Golub and Van Loan, 8.5). It overwrites the matrix.
func jacobi(m [][]float64) (vectors [][]float64, values []float64) {
	n := len(m)
	vectors = matrix(n, n)
	for i := range vectors {
		vectors[i][i] = 1
	}
	for range 50 {
		off, on := 0.0, 0.0
		for i := range n {
			on += m[i][i] * m[i][i]
			for j := range i {
				off += m[i][j] * m[i][j]
			}
		}
		if off <= 1e-24*on {
			break
		}
		for p := range n {
			for q := p + 1; q < n; q++ {
				if m[p][q] == 0 {
					continue
				}
				theta := (m[q][q] - m[p][p]) / (2 * m[p][q])
				t := 1 / (math.Abs(theta) + math.Sqrt(theta*theta+1))
				if theta < 0 {
					t = -t
				}
				c := 1 / math.Sqrt(t*t+1)
				s := t * c
				for k := range n {
					a, b := m[k][p], m[k][q]
					m[k][p], m[k][q] = c*a-s*b, s*a+c*b
				}
				for k := range n {
					a, b := m[p][k], m[q][k]
					m[p][k], m[q][k] = c*a-s*b, s*a+c*b
					a, b = vectors[p][k], vectors[q][k]
					vectors[p][k], vectors[q][k] = c*a-s*b, s*a+c*b
				}
			}
		}
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool { return m[order[i]][order[i]] > m[order[j]][order[j]] })
	sorted := make([][]float64, n)
	for i, k := range order {
		sorted[i] = vectors[k]
		values = append(values, m[k][k])
	}
	return sorted, values
}

// matrix is rows × columns zeros.
func matrix(rows, columns int) [][]float64 {
	all := make([]float64, rows*columns)
	m := make([][]float64, rows)
	for i := range m {
		m[i] = all[i*columns : (i+1)*columns : (i+1)*columns]
	}
	return m
}
