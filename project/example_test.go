package project_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"garb/project"
)

// Points near a line have one principal component that says nearly everything.
func ExamplePCA() {
	rows := [][]float32{{1, 1.1}, {2, 1.9}, {3, 3.1}, {4, 3.9}}
	projected, shares, err := project.PCA(context.Background(), rows, 2, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("shares of the variance: %.2f\n", shares)
	for _, p := range projected {
		fmt.Printf("%.0f\n", p[0]) // the place along the line
	}
	// Output:
	// shares of the variance: [1.00 0.00]
	// -2
	// -1
	// 1
	// 2
}

// t-SNE lays out vectors of many values so that similar ones are near each other. Principal
// components are where it begins.
func ExampleTSNE() {
	random := rand.New(rand.NewPCG(1, 2))
	var rows [][]float32
	for i := range 60 { // two groups of vectors, in turn
		row := make([]float32, 16)
		for j := range row {
			row[j] = float32(5*(i%2)) + float32(random.NormFloat64())
		}
		rows = append(rows, row)
	}
	start, _, err := project.PCA(context.Background(), rows, 2, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	layout := project.DefaultTSNE()
	layout.Perplexity = 10
	points, _, err := layout.Layout(context.Background(), start)
	if err != nil {
		fmt.Println(err)
		return
	}
	var middle [2][2]float64 // of each group
	for i, p := range points {
		middle[i%2][0] += p[0] / 30
		middle[i%2][1] += p[1] / 30
	}
	together := 0
	for i, p := range points {
		own, other := middle[i%2], middle[1-i%2]
		if math.Hypot(p[0]-own[0], p[1]-own[1]) < math.Hypot(p[0]-other[0], p[1]-other[1]) {
			together++
		}
	}
	fmt.Println(together, "of", len(points), "points lie with their group")
	// Output: 60 of 60 points lie with their group
}
