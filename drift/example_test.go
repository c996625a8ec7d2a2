package drift_test

import (
	"context"
	"fmt"
	"math/rand/v2"

	"garb/drift"
)

// The answers have more dresses than the reference.
func ExampleCompare() {
	c := drift.Default()
	reference, answers := drift.NewSample(c, 0), drift.NewSample(c, 1)
	for i := range 300 {
		class := []string{"dress", "hat", "shoes"}[i%3]
		reference.Add(class, nil, drift.Embedding{})
		if i%2 == 0 {
			class = "dress"
		}
		answers.Add(class, nil, drift.Embedding{})
	}
	r, err := drift.Compare(context.Background(), reference, answers, c)
	if err != nil {
		fmt.Println(err)
		return
	}
	first := r.Classes.Shares[0]
	fmt.Println("drift:", r.Drift)
	fmt.Printf("%s: %.0f %% instead of %.0f %%\n", first.Class, 100*first.Shares[1], 100*first.Shares[0])
	fmt.Println("acceptance:", r.Acceptance.Skipped)
	// Output:
	// drift: true
	// dress: 67 % instead of 33 %
	// acceptance: the model gives no acceptances
}

// Two samples of vectors with different means.
func ExampleMeanDiscrepancy() {
	random := rand.New(rand.NewPCG(1, 2))
	draw := func(mean float32) (all [][]float32) {
		for range 50 {
			all = append(all, []float32{float32(random.NormFloat64()) + mean, float32(random.NormFloat64())})
		}
		return all
	}
	d, err := drift.MeanDiscrepancy(context.Background(), draw(0), draw(2), 999, 1)
	fmt.Println(d.PValue, err)
	// Output: 0.001 <nil>
}
