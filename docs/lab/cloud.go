package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"garb/model"
	"garb/report"
)

// drawSigmoid draws the answers of the binary classifier on validation pictures, each at its z
// on the sigmoid's curve.
func drawSigmoid(w io.Writer) error {
	const tshirt, most = "t-shirt", 8
	file, err := os.Open(filepath.Join(kept, "sigmoid.json"))
	if err != nil {
		return err
	}
	defer file.Close()
	sigmoid := func(z float64) float64 { return 1 / (1 + math.Exp(-z)) }
	shirts, tshirts := report.Series{Name: "shirts"}, report.Series{Name: "T-shirts"}
	answers := json.NewDecoder(file)
	for {
		var a struct {
			Picture     string             `json:"picture"`
			Predictions []model.Prediction `json:"predictions"`
		}
		if err := answers.Decode(&a); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		// The probabilities are p and 1−p, and z = ln p − ln (1−p).
		z := 0.0
		for _, p := range a.Predictions {
			if p.Class == tshirt {
				z += math.Log(p.Probability)
			} else {
				z -= math.Log(p.Probability)
			}
		}
		s := &shirts
		if filepath.Base(filepath.Dir(a.Picture)) == tshirt {
			s = &tshirts
		}
		s.X = append(s.X, min(max(z, -most), most))
	}
	for _, s := range []*report.Series{&shirts, &tshirts} { // sorted, so that the line through them is the curve
		slices.SortFunc(s.X, cmp.Compare[float64])
		for _, z := range s.X {
			s.Y = append(s.Y, sigmoid(z))
		}
	}
	c := report.Chart{Title: "Validation pictures on the sigmoid's curve", XLabel: "z",
		YLabel: "probability of a T-shirt",
		Series: []report.Series{shirts, tshirts}, Points: true}
	return c.WriteSVG(w)
}

// drawMap draws the points of a page of garb map, but not its pictures, since the photos of the
// data set are not part of the project.
func drawMap(w io.Writer) error {
	const side, margin, radius = 720, 24, 1.8
	data, err := readMap(filepath.Join(kept, "map.html"))
	if err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %[1]d" role="img" `+
		`aria-label="map of the embeddings">`+
		`<style>svg{background:#fff}path{fill:none;stroke-linecap:round;stroke-width:%gpx;opacity:.7}`+
		`text{fill:#1c1e21;font:600 16px sans-serif;text-anchor:middle;paint-order:stroke;`+
		`stroke:#fff;stroke-width:4px}</style>`+"\n", side, 2*radius)
	place := func(v float64) float64 { return margin + v*(side-2*margin) }
	var names strings.Builder
	for label, name := range data.Labels {
		var xs, ys []float64
		// Neighbouring hues also differ in lightness. A line of zero length with round ends is
		// a dot, and takes a third of the bytes of a circle.
		fmt.Fprintf(b, `<path stroke="hsl(%d 65%% %d%%)" d="`, 360*label/len(data.Labels), 38+14*(label%2))
		for _, p := range data.Points {
			if p.label == label {
				x, y := place(p.x), place(p.y)
				fmt.Fprintf(b, "M%.0f %.0fh0", x, y)
				xs, ys = append(xs, x), append(ys, y)
			}
		}
		b.WriteString("\"/>\n")
		if len(xs) > 0 { // at the median, on top of the points
			slices.Sort(xs)
			slices.Sort(ys)
			fmt.Fprintf(&names, `<text x="%.0f" y="%.0f">%s</text>`+"\n",
				xs[len(xs)/2], ys[len(ys)/2]+5, html.EscapeString(name))
		}
	}
	b.WriteString(names.String() + "</svg>\n")
	return b.Flush()
}

// mapData is the data that a page of garb map draws.
type mapData struct {
	Labels []string   `json:"labels"`
	Points []mapPoint `json:"points"`
}

// mapPoint is a point at x and y, from 0 to 1, right and down.
type mapPoint struct {
	x, y  float64
	label int
}

// UnmarshalJSON reads the first three values of a point.
func (p *mapPoint) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&p.x, &p.y, &p.label})
}

// readMap returns the data in a page of garb map.
func readMap(path string) (mapData, error) {
	var data mapData
	text, err := os.ReadFile(path)
	if err != nil {
		return data, err
	}
	const begin, end = `<script type="application/json" id="data">`, `</script>`
	_, after, ok := strings.Cut(string(text), begin)
	inside, _, closed := strings.Cut(after, end)
	if !ok || !closed {
		return data, fmt.Errorf("%s has no points", path)
	}
	if err := json.Unmarshal([]byte(inside), &data); err != nil {
		return data, fmt.Errorf("%s: %w", path, err)
	}
	for i, p := range data.Points {
		if p.label < 0 || p.label >= len(data.Labels) {
			return data, fmt.Errorf("%s: point %d has label %d of %d", path, i, p.label, len(data.Labels))
		}
	}
	return data, nil
}
