// Package diagram draws networks as boxes of layers, from the picture at the top to the
// answer at the bottom, with each box's output shape, parameters, multiply-adds and time.
package diagram

import (
	_ "embed"
	"fmt"
	"html"
	"io"
	"strings"
	"time"

	"garb/nn"
	"garb/tensor"
)

// Box groups a layer with the layers behind it that have no other input and work value by
// value, such as a batch-norm and an activation.
type Box struct {
	// Layers holds indices into the graph's layers.
	Layers []int
	// Above holds the indices of the boxes whose outputs this one takes.
	Above []int

	row, column int
}

// Boxes groups a graph's layers into boxes. Every box follows those that it takes its input from.
func Boxes(g *nn.Graph) []Box {
	layers := g.Layers()
	readers := make([]int, len(layers))
	for _, l := range layers {
		for _, in := range l.Inputs {
			readers[in]++
		}
	}
	var boxes []Box
	boxIndex := make([]int, len(layers)) // by layer
	for i, l := range layers {
		if len(l.Inputs) == 1 && (l.Op.Pointwise() || l.Op == nn.OpSoftmax) {
			if above := l.Inputs[0]; above > 0 && readers[above] == 1 {
				boxIndex[i] = boxIndex[above]
				boxes[boxIndex[i]].Layers = append(boxes[boxIndex[i]].Layers, i)
				continue
			}
		}
		b := Box{Layers: []int{i}}
		for _, in := range l.Inputs {
			b.Above = append(b.Above, boxIndex[in])
		}
		boxIndex[i] = len(boxes)
		boxes = append(boxes, b)
	}
	place(boxes)
	return boxes
}

// place puts each box in the row below the lowest box that it takes its input from, and in
// the first free column of that row.
func place(boxes []Box) {
	count := map[int]int{} // boxes by row
	for i := range boxes {
		for _, a := range boxes[i].Above {
			boxes[i].row = max(boxes[i].row, boxes[a].row+1)
		}
		boxes[i].column = count[boxes[i].row]
		count[boxes[i].row]++
	}
}

// Sizes in pixels.
const (
	boxWidth, lineHeight = 250, 17
	padding              = 8
	columnGap, rowGap    = 40, 26
	margin               = 30
	bow                  = 26 // how far a line swings out to pass boxes
)

//go:embed style.css
var style string

// drawing is an SVG in the making.
type drawing struct {
	strings.Builder
	boxes   []Box
	texts   [][]string      // of each box
	times   []time.Duration // of each box
	longest time.Duration
	tops    []int // of each row, and where the next one would begin
	columns int
}

// WriteSVG draws a graph as one SVG. times holds the time of each layer, from Plan.Profile,
// or is nil. The more time a box takes, the darker it is.
func WriteSVG(w io.Writer, g *nn.Graph, title string, times []time.Duration) error {
	d := newDrawing(g, times)
	width, height := 2*margin+d.columns*boxWidth+(d.columns-1)*columnGap+2*bow, d.tops[len(d.tops)-1]+margin
	fmt.Fprintf(d, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" `+
		`font-family="system-ui, sans-serif" font-size="12">`, width, height, width, height)
	fmt.Fprintf(d, `<style>%s</style>`, strings.ReplaceAll(style, "\n", ""))
	fmt.Fprint(d, `<rect class="page" width="100%" height="100%"/>`)
	fmt.Fprintf(d, `<text class="text" x="%d" y="%d" font-size="16" font-weight="600">%s</text>`,
		margin, margin+4, html.EscapeString(title))
	for i, b := range d.boxes {
		for _, above := range b.Above {
			d.drawLine(above, i)
		}
		d.drawBox(i)
	}
	fmt.Fprintln(d, "</svg>")
	_, err := io.WriteString(w, d.String())
	return err
}

// newDrawing lays out a graph's boxes.
func newDrawing(g *nn.Graph, times []time.Duration) *drawing {
	boxes, summary := Boxes(g), g.Summary()
	d := &drawing{boxes: boxes, texts: make([][]string, len(boxes)), times: make([]time.Duration, len(boxes))}
	d.longest = 1
	var heights []int // of each row
	for i, b := range boxes {
		if times != nil {
			for _, l := range b.Layers {
				d.times[i] += times[l]
			}
		}
		d.longest = max(d.longest, d.times[i])
		d.columns = max(d.columns, b.column+1)
		d.texts[i] = describe(b, summary, d.times[i])
		if b.row == len(heights) {
			heights = append(heights, 0)
		}
		heights[b.row] = max(heights[b.row], d.height(i))
	}
	d.tops = []int{margin + 2*lineHeight}
	for row, height := range heights {
		d.tops = append(d.tops, d.tops[row]+height+rowGap)
	}
	return d
}

func (d *drawing) height(box int) int { return len(d.texts[box])*lineHeight + 2*padding }

func (d *drawing) left(box int) int { return margin + d.boxes[box].column*(boxWidth+columnGap) }

func (d *drawing) top(box int) int { return d.tops[d.boxes[box].row] }

// drawLine draws a line from the bottom of one box to the top of another. If there are rows
// between, the line passes them on the right.
func (d *drawing) drawLine(from, to int) {
	x1, y1 := d.left(from)+boxWidth/2, d.top(from)+d.height(from)
	x2, y2 := d.left(to)+boxWidth/2, d.top(to)
	if d.boxes[to].row == d.boxes[from].row+1 {
		fmt.Fprintf(d, `<path class="line" d="M%d %dC%d %d %d %d %d %d"/>`,
			x1, y1, x1, y1+rowGap/2, x2, y2-rowGap/2, x2, y2)
		return
	}
	side := max(d.left(from), d.left(to)) + boxWidth + bow
	fmt.Fprintf(d, `<path class="line" d="M%d %dC%d %d %d %d %d %dL%d %dC%d %d %d %d %d %d"/>`,
		x1, y1, side, y1, side, y1, side, y1+rowGap, side, y2-rowGap, side, y2, side, y2, x2, y2)
}

func (d *drawing) drawBox(box int) {
	left, top, height := d.left(box), d.top(box), d.height(box)
	fmt.Fprintf(d, `<g><title>%s</title>`, html.EscapeString(strings.Join(d.texts[box], "\n")))
	fmt.Fprintf(d, `<rect class="box" x="%d" y="%d" width="%d" height="%d" rx="6"/>`, left, top, boxWidth, height)
	if share := float64(d.times[box]) / float64(d.longest); share > 0 {
		fmt.Fprintf(d, `<rect class="heat" x="%d" y="%d" width="%d" height="%d" rx="6" opacity="%.2f"/>`,
			left, top, boxWidth, height, 0.45*share)
	}
	for i, line := range d.texts[box] {
		class, weight := "faint", ""
		if i == 0 {
			class, weight = "text", ` font-weight="600"`
		}
		fmt.Fprintf(d, `<text class="%s"%s x="%d" y="%d">%s</text>`,
			class, weight, left+padding, top+padding+12+i*lineHeight, html.EscapeString(line))
	}
	fmt.Fprint(d, `</g>`)
}

// describe returns a box's lines of text: its layers, their name, the output's shape and
// the parameters, multiply-adds and time.
func describe(b Box, summary []nn.LayerSummary, took time.Duration) []string {
	var operations []string
	name, params, work := "", 0, 0
	for _, l := range b.Layers {
		operations = append(operations, summary[l].Layer.String())
		if name == "" {
			name = summary[l].Layer.Name
		}
		params, work = params+summary[l].Params, work+summary[l].MultiplyAdds
	}
	text := []string{operations[0]}
	if rest := strings.Join(operations[1:], ", "); rest != "" {
		text = append(text, rest)
	}
	if name != "" {
		text = append(text, name)
	}
	output := tensor.ShapeString(summary[b.Layers[len(b.Layers)-1]].Shape)
	if params > 0 {
		output += fmt.Sprintf(", %s parameters", Short(params))
	}
	text = append(text, output)
	switch {
	case work > 0 && took > 0:
		text = append(text, fmt.Sprintf("%s multiply-adds, %s", Short(work), Time(took)))
	case took > 0:
		text = append(text, Time(took))
	}
	return text
}

// Short formats a count with three significant digits: 4.65 M.
func Short(n int) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v := float64(n); v >= unit.size {
			return fmt.Sprintf("%.3g %s", v/unit.size, unit.name)
		}
	}
	return fmt.Sprint(n)
}

// Time formats a duration in milliseconds.
func Time(d time.Duration) string { return fmt.Sprintf("%.3f ms", float64(d.Nanoseconds())/1e6) }
