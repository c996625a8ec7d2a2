package scale

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFillIn(t *testing.T) {
	page := "before <!-- scale a -->old<!-- end --> between\n<!-- scale b --><!-- end -->after"
	got, err := FillIn(page, map[string]string{"a": "A\n", "b": "B\n"})
	want := "before <!-- scale a -->\nA\n<!-- end --> between\n<!-- scale b -->\nB\n<!-- end -->after"
	if err != nil || got != want {
		t.Errorf("got %q, %v", got, err)
	}
	again, err := FillIn(got, map[string]string{"a": "A\n", "b": "B\n"})
	if err != nil || again != got {
		t.Errorf("filled in twice: %q, %v", again, err)
	}
	for _, tables := range []map[string]string{{"a": ""}, {"a": "", "b": "", "c": ""}} {
		if _, err := FillIn(page, tables); err == nil {
			t.Errorf("no error with the tables %v", tables)
		}
	}
	if _, err := FillIn("<!-- scale a -->open", map[string]string{"a": ""}); err == nil {
		t.Error("no error for a part without an end")
	}
}

func TestTables(t *testing.T) {
	m := Measured{Pictures: 20_000, Rates: rates, Classify: 200,
		Runs: []Run{{Workers: 1, Seconds: 210, HalfwayBytes: 90e6, WorkerBytes: 91e6}}}
	tables, err := m.Tables(1e6)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"runs": {"| 1 | 210 s | 95 | 90 MB, 91 MB |", "one thread | 200 s | 100 |"},
		"time": {"| pictures | 1 | 10 | 100 | 1,000 | 10,000 |\n", "| 10,000 | 55 s, cores |",
			"| 1,000,000 | 42 min, cores |"},
		"cost":   {"| 10,000 | below $0.01 |", "| 1,000,000 | $0.51 |"},
		"limits": {"| one prefix of the store | 5,500 | 14 |", "| the queue's server | 160,000 | 400 |"},
	} {
		for _, line := range want {
			if !strings.Contains(tables[name], line) {
				t.Errorf("%s: no %q in:\n%s", name, line, tables[name])
			}
		}
	}
	if strings.Contains(tables["time"], "10,000,000") {
		t.Error("the tables have more pictures than asked for")
	}
	m.Rates.PictureCPU = 0
	if _, err := m.Tables(1e4); err == nil {
		t.Error("no error for a rate of 0")
	}
}

// TestPageIsCurrent: docs/scale.md shows what was measured, and what is simulated from it. Rows of
// more than a million pictures take too long here.
func TestPageIsCurrent(t *testing.T) {
	m, err := Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	tables, err := m.Tables(1e6)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join("../..", Page))
	if err != nil {
		t.Fatal(err)
	}
	for name, table := range tables {
		_, shown, _ := strings.Cut(string(page), "<!-- scale "+name+" -->")
		shown, _, _ = strings.Cut(shown, "<!-- end -->")
		for line := range strings.Lines(table) {
			if !strings.Contains(shown, line) {
				t.Errorf("%s does not show this line of %s; run go run ./docs/_make/scale: %s", Page, name, line)
			}
		}
	}
	if len(m.Runs) != 4 || m.Pictures < 20_000 {
		t.Errorf("%d runs of %d pictures were measured", len(m.Runs), m.Pictures)
	}
}

func TestFormats(t *testing.T) {
	for got, want := range map[string]string{
		formatSeconds(9.44): "9.4 s", formatSeconds(9.96): "10 s", formatSeconds(119): "120 s",
		formatSeconds(121):  "2.0 min",
		formatSeconds(7199): "120 min", formatSeconds(7200): "2.0 h", formatSeconds(1728000): "20 days",
		formatDollars(0.001): "below $0.01", formatDollars(0.126): "$0.13", formatDollars(1234): "$1,200",
		formatCount(1234567): "1,234,567", formatCount(12): "12", formatCount(123456): "123,456",
	} {
		if got != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}
}
