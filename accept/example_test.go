package accept_test

import (
	"errors"
	"fmt"

	"garb/accept"
)

// Scores of pictures of the classes and of other pictures give a calibration, and the threshold
// that tells the two best apart.
func ExampleFitAll() {
	garments := []float64{4, 5, 6, 7, 8, 9, 1}
	cats := []float64{-3, -2, 0, 2}
	fitted := accept.FitAll(garments, cats)
	fmt.Printf("%d of %d garments and %d of %d cats are accepted\n",
		fitted.Validation.Accepted, fitted.Validation.Count, fitted.Others[0].Accepted, fitted.Others[0].Count)
	fmt.Println("a score of 8:", fitted.Acceptance(8) >= fitted.Threshold)
	fmt.Println("a score of -1:", fitted.Acceptance(-1) >= fitted.Threshold)
	// Output:
	// 6 of 7 garments and 0 of 4 cats are accepted
	// a score of 8: true
	// a score of -1: false
}

// A calibration turns a score, which can be any number, into an acceptance from 0 to 1.
func ExampleCalibration() {
	c := accept.Calibration{Slope: 2, Offset: -1}
	fmt.Printf("%.3f\n", c.Acceptances([]float64{-1, 0.5, 2}))
	// Output: [0.047 0.500 0.953]
}

// The area under the ROC curve says how well scores tell pictures of the classes from others,
// whatever the threshold: 1 is perfect, 0.5 is chance.
func ExampleAUROC() {
	fmt.Println(accept.AUROC([]float64{3, 4, 5, 6}, []float64{0, 1, 2}))
	fmt.Println(accept.AUROC([]float64{1, 4}, []float64{0, 3}))
	// Output:
	// 1
	// 0.75
}

// ThresholdFor gives the threshold for a share of pictures that is to be accepted.
func ExampleThresholdFor() {
	acceptances := []float64{0.2, 0.7, 0.8, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 1}
	threshold := accept.ThresholdFor(acceptances, 0.9)
	share := accept.CountAccepted(acceptances, threshold)
	fmt.Printf("from %.2f on, %d of %d are accepted\n", threshold, share.Accepted, share.Count)
	// Output: from 0.45 on, 9 of 10 are accepted
}

// A share of few pictures says little: its interval is wide.
func ExampleShare() {
	for _, s := range []accept.Share{{Count: 10, Accepted: 9}, {Count: 1000, Accepted: 900}} {
		fmt.Printf("%.2f, from %.2f to %.2f\n", s.Value(), s.Low(), s.High())
	}
	// Output:
	// 0.90, from 0.60 to 0.98
	// 0.90, from 0.88 to 0.92
}

// A detector scores pictures by their features alone, and so works with a network that was
// trained without other pictures. Here features of two classes lie around (0, 10) and (10, 0).
func ExampleDetector() {
	features := [][]float32{{0, 10}, {1, 9}, {0, 9}, {1, 10}, {10, 0}, {9, 1}, {9, 0}, {10, 1}}
	labels := []int{0, 0, 0, 0, 1, 1, 1, 1}
	d, err := accept.FitDetector(accept.Distance, features, labels, 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	known, unknown := d.Score([]float32{0.5, 9.5}), d.Score([]float32{5, 5})
	fmt.Println("near a class:", known > 0, "between the classes:", unknown > 0)
	// Output: near a class: true between the classes: false
}

// Methods differ in what they need: other pictures in training, an output of their own, or
// features.
func ExampleMethod() {
	for _, m := range accept.Methods() {
		fmt.Println(m, "output:", m.HasOutput(), "features:", m.NeedsFeatures())
	}
	// Output:
	// class output: true features: false
	// head output: true features: false
	// exposure output: false features: false
	// energy output: false features: false
	// distance output: false features: true
	// neighbours output: false features: true
}

// Energy is a score of the logits alone: large logits are those of a picture of the classes.
func ExampleScore() {
	sure := accept.Score(accept.Energy, []float32{9, 1, 2}, 3)
	lost := accept.Score(accept.Energy, []float32{0.1, 0, 0.2}, 3)
	fmt.Printf("%.1f %.1f\n", sure, lost)
	// Output: 9.0 1.2
}

// A threshold may come from a user: a number from 0 to 1, or "all".
func ExampleParseThreshold() {
	for _, text := range []string{"0.8", "all", "80 %"} {
		threshold, err := accept.ParseThreshold(text)
		fmt.Println(threshold, errors.Is(err, accept.ErrThreshold))
	}
	// Output:
	// 0.8 false
	// 0 false
	// 0 true
}
