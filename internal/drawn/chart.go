package drawn

// drawChart draws bars, lines, areas, pies, points, a table or a heat map, with axes and
// labels or without.
func drawChart(r source) *canvas {
	w, h := r.pickSize()
	w, h = max(w, 80), max(h, 80)
	paper := r.pickPale()
	if r.chance(20) {
		paper = r.pickColour().shade(40)
	}
	k := newCanvas(w, h, solid(paper))
	ink := r.pickContrast(paper)
	if r.chance(60) {
		ink = colour{60, 60, 60, 255}
		if paper.brightness() < 128 {
			ink = colour{220, 220, 220, 255}
		}
	}
	dot := max(min(w, h)/250, 1)
	left, top, right, bottom := w/8, h/8, w*19/20, h*17/20
	if r.chance(70) {
		k.label(left+w/20, h/30, dot*pick(r, 1, 2), r.makeLine(w/(16*dot)), solid(ink))
	}
	draws := []func(source, *canvas, [4]int, colour, colour){
		drawBars, drawBars, drawLines, drawLines, drawPie, drawPoints, drawTable, drawHeat,
	}
	n := r.IntN(len(draws))
	if n < 4 || n == 5 { // with axes
		if r.chance(60) {
			for y := top; y <= bottom; y += max((bottom-top)/r.between(4, 8), 3) {
				k.fillBox(left, y, right, y+1, solid(mix(paper, ink, 1, 4)))
				k.label(max(left-20*dot, 1), y-3*dot, dot, r.makeNumber()[:1]+"0", solid(ink))
			}
		}
		k.fillBox(left, bottom, right, bottom+dot, solid(ink))
		k.fillBox(left-dot, top, left, bottom+dot, solid(ink))
		for x := left; x < right-20*dot; x += max((right-left)/6, 24*dot) {
			k.label(x, bottom+4*dot, dot, r.makeLine(3), solid(ink))
		}
	}
	draws[n](r, k, [4]int{left, top, right, bottom}, paper, ink)
	if r.chance(25) { // a legend
		y := top + 2
		for range r.between(2, 4) {
			k.fillBox(right-30*dot, y, right-24*dot, y+6*dot, solid(r.pickContrast(paper)))
			k.label(right-22*dot, y, dot, r.makeLine(4), solid(ink))
			y += 10 * dot
		}
	}
	return r.photograph(k)
}

func drawBars(r source, k *canvas, at [4]int, paper, _ colour) {
	left, top, right, bottom := at[0], at[1], at[2], at[3]
	n, series := r.between(2, 14), pick(r, 1, 1, 2, 3)
	var colours []colour
	for range series {
		colours = append(colours, r.pickContrast(paper))
	}
	each, lying, many := r.chance(15), r.chance(25), r.chance(20)
	for i := range n {
		if many {
			colours[0] = r.pickContrast(paper)
		}
		stacked := 0
		for s, c := range colours {
			v := r.between(2, 100)
			if lying {
				wide := max((bottom-top)/(n*series), 2)
				y := top + (i*series+s)*wide
				k.fillBox(left, y+wide/6, left+(right-left)*v/100, y+wide*5/6+1, solid(c))
				continue
			}
			wide := max((right-left)/(n*series), 2)
			x := left + (i*series+s)*wide
			if each { // stacked
				wide = max((right-left)/n, 2)
				x, v = left+i*wide, v/series
			}
			high := (bottom - top) * v / 100
			k.fillBox(x+wide/8, bottom-stacked-high, x+wide*7/8+1, bottom-stacked, solid(c))
			if each {
				stacked += high
			}
		}
	}
}

func drawLines(r source, k *canvas, at [4]int, paper, _ colour) {
	left, top, right, bottom := at[0], at[1], at[2], at[3]
	filled := r.chance(25)
	for range r.between(1, 5) {
		n := r.between(4, 60)
		v, jump := r.between(0, 1000), r.between(20, 300)
		c := r.pickContrast(paper)
		var line []point
		for i := range n {
			line = append(line, point{(left + (right-left)*i/(n-1)) * px, (bottom-top)*px*(1000-v)/1000 + top*px})
			v = min(max(v+r.between(-jump, jump), 0), 1000)
		}
		if r.chance(30) {
			line = bend(line, 2)
		}
		if filled {
			k.fill(solid(c.fade(120)),
				append([]point{{left * px, bottom * px}}, append(line, point{right * px, bottom * px})...))
		}
		k.stroke(solid(c), r.between(12, 60), line...)
	}
}

func drawPie(r source, k *canvas, at [4]int, paper, ink colour) {
	cx, cy := (at[0]+at[2])/2*px, (at[1]+at[3])/2*px
	radius := min(at[2]-at[0], at[3]-at[1]) / 2 * px
	border := r.chance(50)
	begin := r.IntN(360)
	for from := begin; from < begin+360; {
		to := min(from+r.between(8, 120), begin+360)
		slice := []point{{cx, cy}}
		for d := from; d < to+4; d += 4 {
			slice = append(slice, point{cx + scale(radius, cosine(min(d, to))), cy + scale(radius, sine(min(d, to)))})
		}
		k.fill(solid(r.pickColour()), slice)
		if border {
			k.stroke(solid(paper), 20, slice[0], slice[1])
		}
		from = to
	}
	if r.chance(40) { // a ring
		hole := radius * r.between(30, 70) / 100
		k.fill(solid(paper), ellipse(point{cx, cy}, hole, hole))
		k.label(cx/px-9, cy/px-3, 1, r.makeNumber(), solid(ink))
	}
}

func drawPoints(r source, k *canvas, at [4]int, paper, _ colour) {
	left, top, right, bottom := at[0], at[1], at[2], at[3]
	for range r.between(1, 4) {
		c, size := r.pickContrast(paper), r.between(16, 90)
		x0, y0, slope, spread := r.between(0, 100), r.between(0, 100), r.between(-100, 100), r.between(3, 40)
		for range r.between(5, 120) {
			d := r.normal(20)
			x, y := min(max(x0+d, 0), 100), min(max(y0+d*slope/100+r.normal(spread), 0), 100)
			k.fill(solid(c), ellipse(point{(left + (right-left)*x/100) * px, (top + (bottom-top)*y/100) * px}, size,
				size))
		}
	}
}

func drawTable(r source, k *canvas, at [4]int, paper, ink colour) {
	rows, columns := r.between(3, 16), r.between(2, 7)
	left, top, right, bottom := at[0]/2, at[1], at[2], at[3]
	high, wide := max((bottom-top)/rows, 9), max((right-left)/columns, 20)
	head := r.pickColour()
	dot := max(min(high/14, wide/50), 1)
	for row := range rows {
		y := top + row*high
		if row == 0 {
			k.fillBox(left, y, right, y+high, solid(head))
		} else if row%2 == 0 {
			k.fillBox(left, y, right, y+high, solid(mix(paper, ink, 1, 10)))
		}
		for column := range columns {
			x := left + column*wide
			text := r.makeNumber()
			if row == 0 || column == 0 {
				text = r.makeLine(wide/(6*dot) - 1)
			}
			k.label(x+3, y+high/3, dot, text, solid(ink))
			k.fillBox(x, y, x+1, y+high, solid(mix(paper, ink, 1, 2)))
		}
		k.fillBox(left, y, right, y+1, solid(mix(paper, ink, 1, 2)))
	}
}

func drawHeat(r source, k *canvas, at [4]int, paper, _ colour) {
	n := r.between(3, 24)
	low, high := r.pickColour(), r.pickContrast(paper)
	f := newField(r, r.between(1, 5))
	for i := range n {
		for j := range n {
			x, y := at[0]+(at[2]-at[0])*i/n, at[1]+(at[3]-at[1])*j/n
			k.fillBox(x, y, at[0]+(at[2]-at[0])*(i+1)/n, at[1]+(at[3]-at[1])*(j+1)/n,
				solid(mix(low, high, f.at(i, j), 255)))
		}
	}
}
