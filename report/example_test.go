package report_test

import (
	"bytes"
	"context"
	"fmt"
	"html/template"
	"os"
	"strings"

	"garb/picture"
	"garb/report"
)

// A chart of a training run, as an SVG file.
func ExampleChart_WriteSVG() {
	c := report.Chart{
		Title: "Accuracy", XLabel: "epoch", YLabel: "accuracy", YMin: 0, YMax: 1, Points: true,
		Series: []report.Series{
			{Name: "training", X: []float64{1, 2, 3}, Y: []float64{0.6, 0.8, 0.9}, Dashed: true},
			{Name: "validation", X: []float64{1, 2, 3}, Y: []float64{0.55, 0.7, 0.75}},
		},
	}
	var svg bytes.Buffer // or a file, such as accuracy.svg
	if err := c.WriteSVG(&svg); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.HasPrefix(svg.String(), "<svg"), strings.Contains(svg.String(), "validation"))
	// Output: true true
}

// A band around a curve shows how sure its values are.
func ExampleSeries() {
	c := report.Chart{Title: "Accuracy by pictures", LogX: true, Series: []report.Series{{
		X: []float64{10, 100, 1000}, Y: []float64{0.5, 0.7, 0.9},
		Low: []float64{0.4, 0.65, 0.88}, High: []float64{0.6, 0.75, 0.92},
	}}}
	fmt.Println(strings.Contains(string(c.SVG()), "Accuracy by pictures"))
	// Output: true
}

// A page is one HTML file without anything from elsewhere: charts and pictures are inside.
func ExamplePage() {
	data, err := os.ReadFile("../examples/dress.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := picture.Decode(context.Background(), data, picture.DefaultLimits())
	if err != nil {
		fmt.Println(err)
		return
	}
	thumbnail, err := report.Thumbnail(p, 96)
	if err != nil {
		fmt.Println(err)
		return
	}
	chart := report.Chart{Series: []report.Series{{Name: "loss", X: []float64{1, 2}, Y: []float64{0.9, 0.4}}}}
	body := `<p><img src="` + template.HTML(thumbnail) + `" alt="a dress"></p>` + chart.SVG()
	var page bytes.Buffer
	if err := report.Page(&page, "Pictures & figures", body); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.Contains(page.String(), "<h1>Pictures &amp; figures</h1>"))
	fmt.Println(strings.HasPrefix(string(thumbnail), "data:image/jpeg;base64,"))
	// Output:
	// true
	// true
}
