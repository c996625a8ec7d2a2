package main

import (
	"bytes"
	"encoding/json"
	"image"
	_ "image/jpeg"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		figures []float64
		want    float64
	}{{[]float64{3}, 3}, {[]float64{5, 1, 3}, 3}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := computeMedian(test.figures); got != test.want {
			t.Errorf("median of %v is %v, want %v", test.figures, got, test.want)
		}
	}
}

func TestDifference(t *testing.T) {
	nan := float32(math.NaN())
	for _, test := range []struct {
		got, want  []float32
		relative   bool
		difference float64
		fails      bool
	}{
		{got: []float32{1, 2}, want: []float32{1, 4}, difference: 2},
		{got: []float32{1, 2}, want: []float32{1, -4}, relative: true, difference: 1.5},
		{got: []float32{0}, want: []float32{0}, relative: true},
		{got: []float32{1}, want: []float32{1, 2}, fails: true},
		{fails: true},
		{got: []float32{nan}, want: []float32{1}, fails: true},
		{got: []float32{1}, want: []float32{nan}, fails: true},
	} {
		d, err := computeDifference(test.got, test.want, test.relative)
		if (err != nil) != test.fails || d != test.difference {
			t.Errorf("difference of %v and %v is %v, %v", test.got, test.want, d, err)
		}
	}
}

func TestJudge(t *testing.T) {
	for _, test := range []struct {
		name   string
		result result
		target float64
		judged bool
		met    bool
	}{
		{"ratio within", result{Ratio: 1.2, Same: true}, 1.25, true, true},
		{"ratio beyond", result{Ratio: 1.3, Same: true}, 1.25, true, false},
		{"not the same work", result{Ratio: 0.5}, 1.25, true, false},
		{"no target", result{Ratio: 2, Same: true}, 0, false, false},
		{"skipped", result{Skipped: "no peer"}, 1.25, false, false},
		{"median time", result{Unit: milliseconds, Same: true, Garb: series{Median: 100, Max: 900}}, 120, true, true},
		{"largest peak", result{Unit: megabytes, Same: true, Garb: series{Median: 100, Max: 160}}, 150, true, false},
	} {
		test.result.judge(test.target)
		if judged := test.result.Met != nil; judged != test.judged || judged && *test.result.Met != test.met {
			t.Errorf("%s: judged %v", test.name, test.result.Met)
		}
	}
}

func TestReport(t *testing.T) {
	yes := true
	r := report{
		Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Commit: "abc", Machine: machine{CPU: "a CPU", Cores: 2},
		Rows: []result{
			{
				Row: "net", Unit: milliseconds, Garb: series{Min: 8, Median: 9},
				Peer:  series{Name: "Peer 1", Min: 10, Median: 123},
				Ratio: 0.9, Target: 1.25, Met: &yes, Difference: 1e-6, Same: true,
			},
			{Row: "other", Skipped: "no peer"},
		},
	}
	var text bytes.Buffer
	if err := r.print(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2026-01-02", "| net", "| 8.00 ms", "| 123 ms", "| 0.90", "| ≤ 1.25", "| yes",
		"| Peer 1", "skipped", "no peer"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &text)
		}
	}
	path := filepath.Join(t.TempDir(), "results.json")
	if err := r.writeJSON(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal(data, &back); err != nil || len(back.Rows) != 2 || back.Rows[0].Ratio != 0.9 ||
		back.Rows[1].Skipped == "" {
		t.Errorf("read back %v, %+v", err, back)
	}
}

// TestWorker checks a worker's replies to requests.
func TestWorker(t *testing.T) {
	folder := t.TempDir()
	var requests, replies bytes.Buffer
	encoder := json.NewEncoder(&requests)
	for _, r := range []request{
		{Op: "draw", File: folder},
		{Op: "prepare", Subject: &subject{Picture: filepath.Join(folder, smallPicture), Side: 32}},
		{Op: "output"},
		{Op: "time", Repeats: 3},
		{Op: "dance"},
		{Op: "prepare", Subject: &subject{Architecture: "no-such-network", Side: 32}},
	} {
		if err := encoder.Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := runWorker(&requests, &replies); err != nil {
		t.Fatal(err)
	}
	var got []reply
	for decoder := json.NewDecoder(&replies); decoder.More(); {
		var r reply
		if err := decoder.Decode(&r); err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	if len(got) != 6 {
		t.Fatalf("%d replies", len(got))
	}
	for i, r := range got {
		if failed := r.Error != ""; failed != (i >= 4) {
			t.Errorf("reply %d: error %q", i, r.Error)
		}
	}
	if got[1].Name != "garb" || len(got[2].Output) != 32*32*3 || len(got[3].Seconds) != 3 {
		t.Errorf("replies %+v", got[1:4])
	}
	for i, level := range got[2].Output {
		if level < 0 || level > 255 {
			t.Fatalf("value %d of a picture is %v", i, level)
		}
	}
	for name, want := range map[string]image.Point{largePicture: {4000, 3000}, smallPicture: {400, 533}} {
		f, err := os.Open(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if c, _, err := image.DecodeConfig(f); err != nil || c.Width != want.X || c.Height != want.Y {
			t.Errorf("%s is %d×%d, %v", name, c.Width, c.Height, err)
		}
	}
}

// TestTableIsComplete checks that there is a row for each target, and no row twice.
func TestTableIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range table {
		if seen[row.name] {
			t.Errorf("row %s comes twice", row.name)
		}
		seen[row.name] = true
	}
	for _, name := range []string{
		"cold/time", "cold/memory", "picture/12-megapixel.jpg/pillow", "picture/400x533.jpg/opencv",
		"picture/12-megapixel.png", "picture/1-megapixel.webp",
		"lite0/batch=1/threads=1", "lite0/batch=32/threads=2", "xception/batch=1/threads=2",
		"xception/batch=32/threads=1", "xception-keras/batch=1/threads=1",
	} {
		if !seen[name] {
			t.Errorf("there is no row %s", name)
		}
	}
	if _, err := parseFlags([]string{"-rows", "("}); err == nil {
		t.Error("a broken expression is accepted")
	}
}

// TestConvertedRows checks that each network is compared with both peers, and that the mean is of the
// ratios to the faster one.
func TestConvertedRows(t *testing.T) {
	count := 0
	for _, row := range table {
		if strings.HasPrefix(row.name, convertedRow) {
			count++
		}
	}
	if count != 8*2*2*2 {
		t.Errorf("%d rows of converted networks", count)
	}
	newResult := func(name string, ratio float64) result {
		return result{Row: convertedRow + name, Ratio: ratio, Same: true}
	}
	mean, count := computeMeanRatio([]result{
		newResult("a/batch=1/threads=1/onnxruntime", 0.5), newResult("a/batch=1/threads=1/openvino", 2),
		newResult("b/batch=1/threads=1/onnxruntime", 0.5),
		{Row: convertedRow + "c/batch=1/threads=1/onnxruntime", Ratio: 9}, // not the same work
		{Row: convertedRow + "d/batch=1/threads=1/onnxruntime", Skipped: "no peer"},
		{Row: "other", Ratio: 9, Same: true},
	})
	if math.Abs(mean-1) > 1e-12 || count != 2 {
		t.Errorf("mean %v of %d, want 1 of 2", mean, count)
	}
}

func TestWriteModels(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	r := report{Rows: []result{
		{Row: modelRow + "torchvisiondynamo/a", Ratio: 0.5, Difference: 1e-6, Parameters: 1500000, Trains: true},
		{Row: modelRow + "keras/b", Skipped: "refused: why"}, {Row: "other", Ratio: 3},
	}}
	if err := writeModels(path, &r); err == nil {
		t.Error("a page that is not there is written")
	}
	if err := os.WriteFile(path, []byte("before\n<!-- end -->"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeModels(path, &r); err == nil {
		t.Error("a page without a place is written")
	}
	old := "before\n<!-- measured models -->\nold\n<!-- end -->\nafter"
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeModels(path, &r); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	for _, want := range []string{"before\n", "\nafter",
		"| a | PyTorch's newer exporter (dynamo) | 1.5 M | 1.0e-06 | 0.50 | yes |", "| b |", "refused: why"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "old") || strings.Contains(page, "3.00") {
		t.Errorf("the page has what is none of the table's:\n%s", page)
	}
}

// TestSimulateIdeal checks the simulated servers against the known mean of an M/D/1 queue at 70 %: half its
// utilization over what is left, in service times, on top of the service itself.
func TestSimulateIdeal(t *testing.T) {
	const service, utilization = 1.0, 0.7
	latencies := simulateIdeal(10*time.Minute, service/utilization, service, 1)
	mean := 0.0
	for _, v := range latencies {
		mean += v / float64(len(latencies))
	}
	if want := service + utilization/(2*(1-utilization)); math.Abs(mean-want) > 0.05 {
		t.Errorf("a mean of %.3f, want %.3f", mean, want)
	}
	// With two servers and the same load, the 99th percentile is about 4.1 service times.
	if p99 := computeP99(simulateIdeal(10*time.Minute, 0.5/utilization, 0.5, 2)); p99 < 3.8 || p99 > 4.4 {
		t.Errorf("a 99th percentile of %.2f", p99)
	}
}
