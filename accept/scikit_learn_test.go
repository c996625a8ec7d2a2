package accept

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// TestScikitLearn compares with figures that testdata/scikit_learn.py computed.
func TestScikitLearn(t *testing.T) {
	text, err := os.ReadFile("testdata/scikit_learn.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name             string
		Accepted, Others []float64
		AUROC            float64
		Slope, Offset    *float64
	}
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) < 7 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	fitted := 0
	for _, c := range cases {
		if got := AUROC(c.Accepted, c.Others); math.Abs(got-c.AUROC) > 1e-12 {
			t.Errorf("%s: AUROC %v, scikit-learn %v", c.Name, got, c.AUROC)
		}
		if c.Slope == nil {
			continue
		}
		fitted++
		ours, theirs := Fit(c.Accepted, c.Others), Calibration{*c.Slope, *c.Offset}
		for _, scores := range [][]float64{c.Accepted, c.Others} {
			for _, s := range scores {
				if a, b := ours.Acceptance(s), theirs.Acceptance(s); math.Abs(a-b) > 1e-5 {
					t.Errorf("%s: the acceptance of %v is %v, scikit-learn's %v", c.Name, s, a, b)
				}
			}
		}
		t.Logf("%s: %+v, scikit-learn %+v", c.Name, ours, theirs)
	}
	if fitted < 4 {
		t.Errorf("%d calibrations", fitted)
	}
}
