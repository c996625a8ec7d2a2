package card

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"garb/model"
)

// TestModelCard checks that MODEL_CARD.md and README.md have the measured figures between their
// marks, and that these are figures of the models that are built in.
func TestModelCard(t *testing.T) {
	data, err := os.ReadFile("../../docs/_make/card/measured.json")
	if err != nil {
		t.Fatal(err)
	}
	var m Measured
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	var card string
	for _, page := range []string{"MODEL_CARD.md", "README.md"} {
		text, err := os.ReadFile("../../" + page)
		if err != nil {
			t.Fatal(err)
		}
		filled, err := m.Fill(string(text))
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Split(filled, "\n")
		for i, line := range strings.Split(string(text), "\n") {
			if i >= len(want) || line != want[i] {
				t.Fatalf("%s:%d is not what was measured: run go run ./docs/_make/card again\n%s\n%s",
					page, i+1, line, want[min(i, len(want)-1)])
			}
		}
		if !strings.Contains(string(text), begin) {
			t.Errorf("%s has none of the figures that were measured", page)
		}
		if page == "MODEL_CARD.md" {
			card = string(text)
		}
	}
	for name, digest := range m.Digests {
		classifier, err := model.Open(name, model.Options{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(card, digest) {
			t.Errorf("MODEL_CARD.md does not say the digest of %s, %s", name, digest)
		}
		if classifier.Digest() != digest {
			t.Errorf("the figures are of another %s than the one that is built in: "+
				"run go run ./docs/_make/card again", name)
		}
	}
}

func TestFill(t *testing.T) {
	m := Measured{Figures: []Figure{
		{Key: "a.test.accuracy", Title: "test", Value: 0.9444, Right: 17, Count: 18, Share: true,
			Interval: [2]float64{0.7424, 0.9901}, Target: "≥ .9"},
		{Key: "a.test.ece", Title: "ECE", Value: 0.0314, Count: 18, Interval: [2]float64{0, 0.05}},
		{Key: "a.d", Title: "difference", Value: -0.012, Count: 3, Interval: [2]float64{-1, 1}},
	}}
	for _, c := range []struct{ name, text, want, fault string }{
		{name: "no marks", text: "one\ntwo", want: "one\ntwo"},
		{name: "a value", text: "x <!-- measured a.test.ece -->old<!-- end --> y",
			want: "x <!-- measured a.test.ece -->.031<!-- end --> y"},
		{name: "counts", text: "<!-- measured a.test.accuracy counts --><!-- end -->",
			want: "<!-- measured a.test.accuracy counts -->.944 (17 of 18, .742 to .990)<!-- end -->"},
		{name: "counts of no share", text: "<!-- measured a.test.ece counts --><!-- end -->",
			want: "<!-- measured a.test.ece counts -->.031 (18 pictures, .000 to .050)<!-- end -->"},
		{name: "percent", text: "<!-- measured a.test.accuracy percent -->5 %<!-- end -->!",
			want: "<!-- measured a.test.accuracy percent -->94.4 %<!-- end -->!"},
		{name: "two, one below zero",
			text: "<!-- measured a.d -->1<!-- end --><!-- measured a.test.ece -->2<!-- end -->",
			want: "<!-- measured a.d -->−.012<!-- end --><!-- measured a.test.ece -->.031<!-- end -->"},
		{name: "a table", text: "<!-- measured table a.test. a.d -->\nold\n<!-- end -->",
			want: `<!-- measured table a.test. a.d -->
| what | measured | 95 % interval | pictures | target |
|---|---|---|---|---|
| test | .944 | .742 to .990 | 17 of 18 | ≥ .9 |
| ECE | .031 | .000 to .050 | 18 |  |
| difference | −.012 | −1.000 to 1.000 | 3 |  |
<!-- end -->`},
		{name: "unknown", text: "<!-- measured b --><!-- end -->", fault: `"b" was not measured`},
		{name: "unknown table", text: "<!-- measured table b --><!-- end -->", fault: `begins with "b"`},
		{name: "unknown format", text: "<!-- measured a.d roman --><!-- end -->", fault: "roman"},
		{name: "nothing", text: "<!-- measured  --><!-- end -->", fault: "not something to fill in"},
		{name: "no end", text: "<!-- measured a.d -->1", fault: "has no"},
		{name: "the next one's end", text: "<!-- measured a.d -->1 <!-- measured a.d -->1<!-- end -->",
			fault: "has no"},
	} {
		got, err := m.Fill(c.text)
		if c.fault != "" {
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s: the error is %v, want one with %q", c.name, err, c.fault)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s: got %q and %v, want %q", c.name, got, err, c.want)
		}
		if again, err := m.Fill(got); again != got || err != nil {
			t.Errorf("%s: filled again it is %q, %v", c.name, again, err)
		}
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{0: ".000", 1: "1.000", 0.9996: "1.000", 0.5: ".500", -0.25: "−.250",
		-1: "−1.000", -0.0001: ".000", 10.5: "10.500"} {
		if got := Short(v); got != want {
			t.Errorf("Short(%v) is %q, want %q", v, got, want)
		}
	}
}
