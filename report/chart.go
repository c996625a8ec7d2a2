package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
)

// Series is a curve of a Chart.
type Series struct {
	Name   string
	X, Y   []float64 // of the same length; points that are not numbers are left out
	Dashed bool
	// Low and High, if not nil, bound a band around the curve. They have Y's length. The band
	// is left out where one of them is not a number.
	Low, High []float64
}

// Chart is a plot of curves. On a page it takes the page's colours.
type Chart struct {
	Title, XLabel, YLabel string
	Series                []Series
	LogX                  bool // the x axis is logarithmic and shows positive values only
	// YMin and YMax bound the y axis. If both are 0, it covers the curves.
	YMin, YMax float64
	Points     bool    // solid curves have a mark at each point
	MarkX      float64 // a vertical line at this x, unless 0 or off the axis
}

// Sizes and places in the drawing, in its own units.
const (
	chartWidth, chartHeight  = 520, 300
	plotLeft, plotTop        = 70, 30
	plotRight, plotBottom    = 510, 256
	chartColours             = 8
	chartTicks               = 5
	legendLine, legendIndent = 16, 32
)

// SVG returns the chart as an element for the body of a page.
func (c Chart) SVG() template.HTML {
	var b strings.Builder
	c.draw(&b, "")
	return template.HTML(b.String())
}

//go:embed chart.css
var chartStyle string

// WriteSVG writes the chart as an SVG file, in light colours.
func (c Chart) WriteSVG(w io.Writer) error {
	var b strings.Builder
	c.draw(&b, "<style>"+chartStyle+"</style>")
	_, err := io.WriteString(w, b.String())
	return err
}

func (c Chart) draw(b *strings.Builder, style string) {
	x, y := c.axes()
	height := chartHeight
	if len(c.Series) > 1 {
		height += legendLine*len(c.Series) + legendLine/2
	}
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">%s`,
		chartWidth, height, template.HTMLEscapeString(c.Title), style)
	text := func(x, y float64, anchor, class, s string) {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`, x, y, anchor, class,
			template.HTMLEscapeString(s))
	}
	line := func(x1, y1, x2, y2 float64, attributes string) {
		fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`, x1, y1, x2, y2, attributes)
	}
	text(plotLeft, 16, "start", "title", c.Title)
	for _, v := range y.ticks() {
		at := y.place(v)
		line(plotLeft, at, plotRight, at, `stroke="var(--line)"`)
		text(plotLeft-6, at+4, "end", "", y.format(v))
	}
	for _, v := range x.ticks() {
		at := x.place(v)
		line(at, plotBottom, at, plotBottom+4, `stroke="var(--faint)"`)
		text(at, plotBottom+18, "middle", "", x.format(v))
	}
	line(plotLeft, plotBottom, plotRight, plotBottom, `stroke="var(--faint)"`)
	text((plotLeft+plotRight)/2, chartHeight-6, "middle", "", c.XLabel)
	fmt.Fprintf(b, `<text x="13" y="%d" text-anchor="middle" transform="rotate(-90 13 %[1]d)">%s</text>`,
		(plotTop+plotBottom)/2, template.HTMLEscapeString(c.YLabel))
	if c.MarkX != 0 && x.accepts(c.MarkX) {
		line(x.place(c.MarkX), plotTop, x.place(c.MarkX), plotBottom, `stroke="var(--c1)" stroke-dasharray="4 3"`)
	}
	for i, s := range c.Series {
		c.drawCurve(b, i, s, x, y)
	}
	c.drawLegend(b)
	b.WriteString("</svg>")
}

func (c Chart) drawCurve(b *strings.Builder, i int, s Series, x, y axis) {
	colour := fmt.Sprintf("var(--c%d)", i%chartColours)
	if s.Low != nil {
		drawBand(b, s, x, y, colour)
	}
	dash := ""
	if s.Dashed {
		dash = ` stroke-dasharray="5 4"`
	}
	var path strings.Builder
	command := "M"
	for j := range s.X {
		if !x.accepts(s.X[j]) || !y.accepts(s.Y[j]) {
			command = "M"
			continue
		}
		px, py := x.place(s.X[j]), y.place(s.Y[j])
		fmt.Fprintf(&path, "%s%.1f %.1f", command, px, py)
		command = "L"
		if c.Points && !s.Dashed || len(s.X) == 1 { // a single point makes no line
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`, px, py, colour)
		}
	}
	fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.8" stroke-linejoin="round"%s/>`,
		path.String(), colour, dash)
}

// drawBand fills the area between s.Low and s.High.
func drawBand(b *strings.Builder, s Series, x, y axis, colour string) {
	var high, low []string // the upper edge from left to right, then the lower one back
	for j := range s.X {
		if x.accepts(s.X[j]) && y.accepts(s.Low[j]) && y.accepts(s.High[j]) {
			high = append(high, fmt.Sprintf("%.1f,%.1f", x.place(s.X[j]), y.place(s.High[j])))
			low = append(low, fmt.Sprintf("%.1f,%.1f", x.place(s.X[j]), y.place(s.Low[j])))
		}
	}
	slices.Reverse(low)
	fmt.Fprintf(b, `<polygon points="%s" fill="%s" opacity=".15"/>`, strings.Join(append(high, low...), " "), colour)
}

// drawLegend names the curves, below the drawing.
func (c Chart) drawLegend(b *strings.Builder) {
	if len(c.Series) < 2 {
		return
	}
	for i, s := range c.Series {
		at := chartHeight + legendLine/2 + legendLine*i
		dash := ""
		if s.Dashed {
			dash = ` stroke-dasharray="5 4"`
		}
		fmt.Fprintf(b, `<line x1="%d" y1="%d" x2="%d" y2="%[2]d" stroke="var(--c%[4]d)" stroke-width="2"%[5]s/>`,
			plotLeft, at, plotLeft+legendIndent-6, i%chartColours, dash)
		fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`, plotLeft+legendIndent, at+4, template.HTMLEscapeString(s.Name))
	}
}

// axis maps values to coordinates in the drawing.
type axis struct {
	low, high   float64 // values, or their logarithms to base 10
	first, last float64 // coordinates
	log         bool
}

// accepts reports whether the axis can show v.
func (a axis) accepts(v float64) bool {
	const largest = 1e100 // differences of such values do not overflow
	return math.Abs(v) <= largest && (!a.log || v > 1/largest)
}

// place returns the coordinate of v, or of the nearer end of the axis.
func (a axis) place(v float64) float64 {
	if a.log {
		v = math.Log10(v)
	}
	share := (v - a.low) / (a.high - a.low)
	return a.first + float64(min(max(share, 0), 1)*(a.last-a.first))
}

// ticks returns round values on the axis: powers of ten if it is logarithmic.
func (a axis) ticks() []float64 {
	var all []float64
	if a.log {
		step := max(1, math.Ceil((a.high-a.low)/8))
		for e := math.Ceil(a.low - 1e-9); e <= a.high+1e-9; e += step {
			all = append(all, math.Pow(10, e))
		}
		return all
	}
	step := roundStep((a.high - a.low) / chartTicks)
	for i := math.Ceil(a.low/step - 1e-9); i*step <= a.high+float64(step*1e-9) && len(all) <= 2*chartTicks; i++ {
		all = append(all, i*step)
	}
	return all
}

// roundStep returns the smallest of 1, 2 and 5 times a power of ten that is at least v.
func roundStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*power*1.0001 {
			return m * power
		}
	}
	return 10 * power
}

func (a axis) format(v float64) string {
	if a.log {
		return fmt.Sprintf("%.0e", v)
	}
	if math.Abs(v) < 1e-12 {
		return "0"
	}
	return fmt.Sprintf("%.6g", v)
}

// axes returns axes that cover all curves.
func (c Chart) axes() (x, y axis) {
	x = axis{low: math.Inf(1), high: math.Inf(-1), first: plotLeft, last: plotRight, log: c.LogX}
	y = axis{low: math.Inf(1), high: math.Inf(-1), first: plotBottom, last: plotTop}
	grow := func(a *axis, v float64) {
		if a.accepts(v) {
			if a.log {
				v = math.Log10(v)
			}
			a.low, a.high = min(a.low, v), max(a.high, v)
		}
	}
	for _, s := range c.Series {
		for i := range s.X {
			grow(&x, s.X[i])
			grow(&y, s.Y[i])
			if s.Low != nil {
				grow(&y, s.Low[i])
				grow(&y, s.High[i])
			}
		}
	}
	if c.YMin != 0 || c.YMax != 0 {
		y.low, y.high = c.YMin, c.YMax
	} else if room := (y.high - y.low) / 25; room > 0 { // so that no curve lies on the edge
		y.low, y.high = y.low-room, y.high+room
	}
	for _, a := range []*axis{&x, &y} {
		if !(a.low <= a.high) { // there is nothing to draw
			a.low, a.high = 0, 1
		}
		// A constant curve, or nearly so, goes in the middle.
		if size := max(math.Abs(a.low), math.Abs(a.high)); a.high-a.low <= 1e-9*size || a.low == a.high {
			room := max(size/2, 0.5)
			if a.log {
				room = 0.5
			}
			a.low, a.high = a.low-room, a.high+room
		}
	}
	return x, y
}
