package mislabel_test

import (
	"fmt"

	"garb/mislabel"
)

// Six pictures of two classes, with probabilities from models that had not seen them.
func ExampleFind() {
	classes := []string{"pants", "shorts"}
	probabilities := [][]float64{{0.9, 0.1}, {0.8, 0.2}, {0.05, 0.95}, {0.1, 0.9}, {0.2, 0.8}, {0.7, 0.3}}
	labels := []int{0, 0, 0, 1, 1, 1}
	r, err := mislabel.Find(probabilities, labels, mislabel.SelfConfidence)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range r.Findings[:r.Candidates()] {
		fmt.Printf("picture %d is labelled %s, likely %s\n", f.Index, classes[f.Label], classes[f.Proposed])
	}
	// Output:
	// picture 2 is labelled pants, likely shorts
	// picture 5 is labelled shorts, likely pants
}

// The confident joint counts which class the pictures of each label seem to be of: here a
// third of the pictures labelled pants look like shorts, and the other way round.
func ExampleReport() {
	probabilities := [][]float64{{0.9, 0.1}, {0.8, 0.2}, {0.05, 0.95}, {0.1, 0.9}, {0.2, 0.8}, {0.7, 0.3}}
	labels := []int{0, 0, 0, 1, 1, 1}
	r, err := mislabel.Find(probabilities, labels, mislabel.Margin)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("thresholds %.2f\n", r.Thresholds)
	for label, row := range r.Joint {
		fmt.Println("labelled", label, "counted for", row)
	}
	// Output:
	// thresholds [0.58 0.67]
	// labelled 0 counted for [2 1]
	// labelled 1 counted for [1 2]
}

// The order decides which labels a person looks at first.
func ExampleOrder() {
	probabilities := [][]float64{
		{0.45, 0.50, 0.05}, // hesitates between two classes
		{0.40, 0.30, 0.30}, // knows nothing
		{0.10, 0.80, 0.10},
		{0.05, 0.05, 0.90},
	}
	labels := []int{0, 0, 1, 2}
	for _, order := range mislabel.Orders() {
		r, err := mislabel.Find(probabilities, labels, order)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Print(order, ":")
		for _, f := range r.Findings {
			fmt.Print(" ", f.Index)
		}
		fmt.Println()
	}
	// Output:
	// self-confidence: 1 0 2 3
	// margin: 0 1 2 3
	// weighted-entropy: 1 0 2 3
}
