package conformal_test

import (
	"errors"
	"fmt"

	"garb/conformal"
)

// The rule is fitted on forty pictures, a tenth of which are of the second class although the
// network gives that only 0.2. Sets that hold the right class 95 times in 100 need both classes
// for such pictures, and a single one where the network is sure.
func ExampleFit() {
	var probabilities [][]float64
	var labels []int
	for i := range 40 {
		label := 0
		if i%10 == 9 {
			label = 1
		}
		probabilities, labels = append(probabilities, []float64{0.7, 0.2, 0.1}), append(labels, label)
	}
	rule, err := conformal.Fit(probabilities, labels, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rule.Set([]float64{0.7, 0.2, 0.1}))
	fmt.Println(rule.Set([]float64{0.02, 0.02, 0.96}))
	// Output:
	// [0 1]
	// [2]
}

// Without a penalty, a set takes classes by their probability until those before the next one
// sum to more than the threshold.
func ExampleRule() {
	classes := []string{"shirt", "t-shirt", "longsleeve", "dress"}
	rule := conformal.Rule{Coverage: 0.9, Threshold: 0.8}
	for _, probabilities := range [][]float64{{0.97, 0.01, 0.01, 0.01}, {0.3, 0.4, 0.25, 0.05}} {
		var set []string
		for _, c := range rule.Set(probabilities) {
			set = append(set, classes[c])
		}
		fmt.Println(set)
	}
	// Output:
	// [shirt]
	// [t-shirt shirt longsleeve]
}

// A high coverage needs many pictures: half of them choose how the sets are made, and of the
// other half a share of 1 − coverage must be at least one picture.
func ExampleTooFewError() {
	for _, coverage := range []float64{0.9, 0.95, 0.99} {
		fmt.Println(coverage, "needs", conformal.Needed(coverage), "pictures")
	}
	_, err := conformal.Fit([][]float64{{0.9, 0.1}, {0.3, 0.7}}, []int{0, 1}, 0.9)
	var few *conformal.TooFewError
	if errors.As(err, &few) {
		fmt.Println(few.Have, "of", few.Need)
	}
	// Output:
	// 0.9 needs 18 pictures
	// 0.95 needs 38 pictures
	// 0.99 needs 198 pictures
	// 2 of 18
}
