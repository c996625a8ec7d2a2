// Package diagram draws networks: boxes for layers, from the picture above to the answer
// below, with what each gives, costs and takes.
package diagram

import (
	"fmt"
	"html"
	"io"
	"strings"
	"time"

	"garb/nn"
	"garb/tensor"
)

// Box is what is drawn as one: a layer with those that follow it alone and only change its
// values, such as a batch-norm and an activation.
type Box struct {
	// Layers are those in the box, by their place in the graph.
	Layers []int
	// Above are the boxes whose outputs it takes.
	Above []int

	row, column int
}

// Boxes puts a graph's layers into boxes, in an order in which those above come first.
func Boxes(g *nn.Graph) []Box {
	layers := g.Layers()
	readers := make([]int, len(layers))
	for _, l := range layers {
		for _, in := range l.Inputs {
			readers[in]++
		}
	}
	var boxes []Box
	of := make([]int, len(layers)) // layer → its box
	for i, l := range layers {
		if len(l.Inputs) == 1 {
			if above := l.Inputs[0]; above > 0 && readers[above] == 1 && (l.Op.Pointwise() || l.Op == nn.OpSoftmax) {
				of[i] = of[above]
				boxes[of[i]].Layers = append(boxes[of[i]].Layers, i)
				continue
			}
		}
		b := Box{Layers: []int{i}}
		for _, in := range l.Inputs {
			b.Above = append(b.Above, of[in])
		}
		of[i] = len(boxes)
		boxes = append(boxes, b)
	}
	place(boxes)
	return boxes
}

// place gives boxes their rows, below all that they take, and columns.
func place(boxes []Box) {
	count := map[int]int{} // of boxes in a row
	for i := range boxes {
		for _, a := range boxes[i].Above {
			boxes[i].row = max(boxes[i].row, boxes[a].row+1)
		}
		boxes[i].column = count[boxes[i].row]
		count[boxes[i].row]++
	}
}

// The size of things, in pixels.
const (
	boxWidth, lineHeight = 250, 17
	padding              = 8
	columnGap, rowGap    = 40, 26
	margin               = 30
	bow                  = 26 // of a line that passes boxes by
)

// WriteSVG draws a graph as one SVG. times are those of its layers, from Plan.Profile; nil
// leaves them out. The darker a box, the more time it takes.
func WriteSVG(w io.Writer, g *nn.Graph, title string, times []time.Duration) error {
	boxes, summary := Boxes(g), g.Summary()
	longest, columns, rows := time.Duration(1), 0, 0
	taken := make([]time.Duration, len(boxes))
	for i, b := range boxes {
		for _, l := range b.Layers {
			if times != nil {
				taken[i] += times[l]
			}
		}
		longest = max(longest, taken[i])
		columns, rows = max(columns, b.column+1), max(rows, b.row+1)
	}
	texts, tall := make([][]string, len(boxes)), make([]int, rows)
	for i, b := range boxes {
		texts[i] = lines(b, summary, taken[i])
		tall[b.row] = max(tall[b.row], len(texts[i])*lineHeight+2*padding)
	}
	tops := make([]int, rows+1)
	tops[0] = margin + 2*lineHeight
	for r, h := range tall {
		tops[r+1] = tops[r] + h + rowGap
	}
	width := 2*margin + columns*boxWidth + (columns-1)*columnGap + 2*bow
	left := func(b Box) int { return margin + b.column*(boxWidth+columnGap) }

	var s strings.Builder
	fmt.Fprintf(&s,
		`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12">`,
		width, tops[rows]+margin, width, tops[rows]+margin)
	s.WriteString(`<style>.page{fill:#fff}.text{fill:#1d2530}.faint{fill:#5b6675}.box{fill:#f3f5f8;stroke:#9aa5b4}.heat{fill:#d9480f}.line{fill:none;stroke:#7a8594}` +
		`@media (prefers-color-scheme:dark){.page{fill:#14181f}.text{fill:#e6eaf0}.faint{fill:#98a3b3}.box{fill:#1e242e;stroke:#4a5667}.line{stroke:#8a96a6}}</style>`)
	s.WriteString(`<rect class="page" width="100%" height="100%"/>`)
	fmt.Fprintf(&s, `<text class="text" x="%d" y="%d" font-size="16" font-weight="600">%s</text>`, margin, margin+4,
		html.EscapeString(title))
	for i, b := range boxes {
		for _, a := range b.Above {
			from := boxes[a]
			x1, y1 := left(from)+boxWidth/2, tops[from.row]+len(texts[a])*lineHeight+2*padding
			x2, y2 := left(b)+boxWidth/2, tops[b.row]
			if b.row == from.row+1 {
				fmt.Fprintf(&s, `<path class="line" d="M%d %dC%d %d %d %d %d %d"/>`, x1, y1, x1, y1+rowGap/2, x2,
					y2-rowGap/2, x2, y2)
				continue
			}
			// Past the boxes between, on their right.
			side := max(left(from), left(b)) + boxWidth + bow
			fmt.Fprintf(&s, `<path class="line" d="M%d %dC%d %d %d %d %d %dL%d %dC%d %d %d %d %d %d"/>`,
				x1, y1, side, y1, side, y1, side, y1+rowGap, side, y2-rowGap, side, y2, side, y2, x2, y2)
		}
		fmt.Fprintf(&s, `<g><title>%s</title>`, html.EscapeString(strings.Join(texts[i], "\n")))
		height := len(texts[i])*lineHeight + 2*padding
		fmt.Fprintf(&s, `<rect class="box" x="%d" y="%d" width="%d" height="%d" rx="6"/>`, left(b), tops[b.row],
			boxWidth, height)
		if share := float64(taken[i]) / float64(longest); share > 0 {
			fmt.Fprintf(&s, `<rect class="heat" x="%d" y="%d" width="%d" height="%d" rx="6" opacity="%.2f"/>`,
				left(b), tops[b.row], boxWidth, height, 0.45*share)
		}
		for j, line := range texts[i] {
			class, weight := "faint", ""
			if j == 0 {
				class, weight = "text", ` font-weight="600"`
			}
			fmt.Fprintf(&s, `<text class="%s"%s x="%d" y="%d">%s</text>`, class, weight, left(b)+padding,
				tops[b.row]+padding+12+j*lineHeight, html.EscapeString(line))
		}
		s.WriteString(`</g>`)
	}
	s.WriteString("</svg>\n")
	_, err := io.WriteString(w, s.String())
	return err
}

// lines are what a box says: what it does, its place, and what it gives, costs and takes.
func lines(b Box, summary []nn.LayerSummary, took time.Duration) []string {
	var does []string
	name, params, work := "", 0, 0
	for _, l := range b.Layers {
		does = append(does, summary[l].Layer.String())
		if name == "" {
			name = summary[l].Layer.Name
		}
		params, work = params+summary[l].Params, work+summary[l].MultiplyAdds
	}
	text := []string{does[0]}
	if rest := strings.Join(does[1:], ", "); rest != "" {
		text = append(text, rest)
	}
	if name != "" {
		text = append(text, name)
	}
	gives := tensor.ShapeString(summary[b.Layers[len(b.Layers)-1]].Shape)
	if params > 0 {
		gives += fmt.Sprintf(", %s parameters", Short(params))
	}
	text = append(text, gives)
	switch {
	case work > 0 && took > 0:
		text = append(text, fmt.Sprintf("%s multiply-adds, %s", Short(work), Time(took)))
	case took > 0:
		text = append(text, Time(took))
	}
	return text
}

// Short writes a count in three digits or so: 4.65 M.
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

// Time writes a layer's time in milliseconds.
func Time(d time.Duration) string { return fmt.Sprintf("%.3f ms", float64(d.Nanoseconds())/1e6) }
