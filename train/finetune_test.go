package train

import (
	"encoding/json"
	"math"
	"testing"
)

// TestFineTuneText reads and writes each text form as JSON.
func TestFineTuneText(t *testing.T) {
	for text, want := range map[string]FineTune{
		"none": {}, "all": {All: true}, "20": {Last: 20}, "block12_expand": {From: "block12_expand"},
		"0": {From: "0"}, "-3": {From: "-3"}, // refused by Config.Validate, as layers that do not exist
	} {
		var got FineTune
		if err := json.Unmarshal([]byte(`"`+text+`"`), &got); err != nil || got != want {
			t.Errorf("%q is read as %+v, %v, want %+v", text, got, err, want)
		}
		if data, err := json.Marshal(want); err != nil || string(data) != `"`+text+`"` {
			t.Errorf("%+v is written as %s, %v, want %q", want, data, err, text)
		}
	}
	got := FineTune{All: true}
	if err := got.UnmarshalText(nil); err != nil || got.Enabled() {
		t.Errorf("an empty text is read as %+v, %v, want none", got, err)
	}
	if err := json.Unmarshal([]byte("20"), &got); err == nil {
		t.Error("a number in JSON is accepted")
	}
}

// TestFineTuneOneWay refuses values with more than one field set, which have no text form.
func TestFineTuneOneWay(t *testing.T) {
	for _, f := range []FineTune{
		{All: true, Last: 1}, {Last: 1, From: "conv1"}, {All: true, From: "conv1"}, {Last: -1},
	} {
		c := Default()
		c.Data, c.Out, c.FineTune = "data", "out", f
		if c.Validate() == nil {
			t.Errorf("%+v is valid", f)
		}
	}
}

// TestIntervals checks the bounds of each kind of interval.
func TestIntervals(t *testing.T) {
	for _, c := range []struct {
		in      interval
		text    string
		inside  []float64
		outside []float64
	}{
		{positive, "above 0", []float64{1e-300, 1}, []float64{0, -1}},
		{notNegative, "at least 0", []float64{0, 1}, []float64{-1e-300}},
		{unit, "at least 0 and at most 1", []float64{0, 1}, []float64{-0.1, 1.1}},
		{unitBelowOne, "at least 0 and below 1", []float64{0, 0.99}, []float64{-0.1, 1}},
	} {
		if got := c.in.String(); got != c.text {
			t.Errorf("an interval is described as %q, want %q", got, c.text)
		}
		for _, v := range c.inside {
			if !c.in.contains(v) {
				t.Errorf("%v is not %v", v, c.in)
			}
		}
		for _, v := range append(c.outside, math.NaN(), math.Inf(1), math.Inf(-1)) {
			if c.in.contains(v) {
				t.Errorf("%v is %v", v, c.in)
			}
		}
	}
}
