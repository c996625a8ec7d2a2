package drawn

// drawScreen draws what screens show: a desktop with windows, a phone, a dialog, an
// editor or terminal, a web page, a sheet of icons.
func drawScreen(r source) *canvas {
	switch r.IntN(7) {
	case 0:
		return drawDesktop(r)
	case 1, 2:
		return drawPhone(r)
	case 3:
		return drawEditor(r)
	case 4:
		return drawWebPage(r)
	case 5:
		return drawDialog(r)
	}
	return drawIcons(r)
}

// drawWindow draws a window with a title, buttons and some content, in pixels.
func drawWindow(r source, k *canvas, left, top, right, bottom int) {
	face := pick(r, colour{240, 240, 240, 255}, colour{255, 255, 255, 255}, colour{40, 42, 46, 255}, r.pale())
	title := pick(r, face.lit(85), r.colour())
	ink := r.against(face)
	k.rectangle(left+5, top+5, right+5, bottom+5, solid(colour{0, 0, 0, 60}))
	k.rectangle(left, top, right, bottom, solid(face))
	bar := max((bottom-top)/14, 10)
	k.rectangle(left, top, right, top+bar, solid(title))
	k.label(left+bar, top+bar/2-3, 1, r.line(max((right-left)/16, 1)), solid(r.against(title)))
	for i := range 3 {
		x := right - (i+1)*bar*one/one + bar/4
		k.fill(solid(pick(r, colour{230, 80, 70, 255}, colour{220, 180, 60, 255}, colour{80, 190, 90, 255}, ink)),
			ellipse(point{x * one, (top + bar/2) * one}, bar*one/4, bar*one/4))
	}
	y := top + bar + 4
	if r.chance(50) { // a menu
		k.label(left+4, y, 1, "File Edit View Help", solid(ink))
		y += 12
	}
	x := left + 4
	if r.chance(50) { // a side panel
		side := (right - left) / 4
		k.rectangle(left, y, left+side, bottom, solid(face.lit(92)))
		for row := y + 4; row < bottom-8; row += 12 {
			k.rectangle(left+4, row, left+10, row+6, solid(r.colour()))
			k.label(left+14, row, 1, r.line(max((side-16)/6, 1)), solid(ink))
		}
		x = left + side + 4
	}
	switch r.IntN(4) {
	case 0: // text
		for ; y < bottom-8; y += 10 {
			k.label(x, y, 1, r.line(max((right-x-4)/6, 1)*r.between(30, 100)/100), solid(ink))
		}
	case 1: // tiles
		side := r.between(20, 60)
		for ; y < bottom-side; y += side + 6 {
			for at := x; at < right-side; at += side + 6 {
				k.rectangle(at, y, at+side, y+side, r.ground(side, side))
			}
		}
	case 2: // fields
		for ; y < bottom-14; y += 20 {
			k.label(x, y+3, 1, r.line(8), solid(ink))
			k.rectangle(x+56, y, right-8, y+14, solid(ink))
			k.rectangle(x+57, y+1, right-9, y+13, solid(face))
		}
	default:
		k.rectangle(x, y, right-4, bottom-4, r.ground(right-left, bottom-top))
	}
}

func drawDesktop(r source) *canvas {
	h := r.between(240, 480)
	w := h * pick(r, 133, 160, 177) / 100
	w = min(w, 640)
	k := newCanvas(w, h, r.ground(w, h))
	for y := 8; y < h*2/3; y += 48 { // icons on the desktop
		k.rectangle(10, y, 38, y+28, solid(r.colour()))
		k.label(6, y+31, 1, r.line(6), solid(colour{255, 255, 255, 255}))
	}
	for range r.between(1, 4) {
		left, top := r.IntN(w*2/3), r.IntN(h/2)
		drawWindow(r, k, left, top, min(left+r.between(w/4, w*2/3), w-3), min(top+r.between(h/4, h*3/4), h-14))
	}
	bar := r.colour().lit(50)
	k.rectangle(0, h-16, w, h, solid(bar))
	for x := 4; x < w/2; x += 20 {
		k.rectangle(x, h-13, x+10, h-3, solid(r.colour()))
	}
	k.label(w-34, h-11, 1, "12:45", solid(r.against(bar)))
	return r.photographed(k)
}

func drawPhone(r source) *canvas {
	w := r.between(160, 330)
	h := min(w*r.between(170, 216)/100, 640)
	face := pick(r, colour{255, 255, 255, 255}, colour{18, 18, 22, 255}, r.pale(), r.colour())
	k := newCanvas(w, h, solid(face))
	ink := r.against(face)
	k.label(6, 4, 1, "9:41", solid(ink))
	k.rectangle(w-20, 4, w-6, 11, solid(ink))
	head := r.colour()
	top := 16
	if r.chance(70) {
		k.rectangle(0, 14, w, 14+h/12, solid(head))
		k.label(10, 14+h/24-3, pick(r, 1, 2), r.line(10), solid(r.against(head)))
		top = 14 + h/12 + 6
	}
	switch r.IntN(4) {
	case 0: // messages
		for y := top; y < h-30; {
			high, wide := r.between(18, 60), r.between(w/3, w*3/4)
			left, c := 8, face.lit(85)
			if face.brightness() < 60 {
				c = colour{60, 60, 66, 255}
			}
			if r.chance(50) {
				left, c = w-8-wide, head
			}
			k.fill(solid(c), rounded(left*one, y*one, (left+wide)*one, (y+high)*one, 9*one))
			for row := y + 6; row < y+high-8; row += 10 {
				k.label(left+8, row, 1, r.line(max((wide-16)/6, 1)), solid(r.against(c)))
			}
			y += high + 8
		}
	case 1: // a list
		row := r.between(30, 60)
		for y := top; y < h-row; y += row {
			k.fill(r.ground(w, h), ellipse(point{(8 + row/3) * one, (y + row/2) * one}, row*one/3, row*one/3))
			k.label(16+row*2/3, y+row/4, pick(r, 1, 1, 2), r.line(max((w-row-20)/12, 1)), solid(ink))
			k.label(16+row*2/3, y+row/4+14, 1, r.line(max((w-row-20)/7, 1)), solid(mix(face, ink, 1, 2)))
			k.rectangle(8, y+row-1, w-8, y+row, solid(mix(face, ink, 1, 5)))
		}
	case 2: // a home screen
		side := w / 6
		for y := top; y < h-side*2; y += side + side*2/3 {
			for x := side / 3; x < w-side; x += side + side*2/5 {
				c := r.colour()
				k.fill(solid(c), rounded(x*one, y*one, (x+side)*one, (y+side)*one, side*one/4))
				k.label(x+side/2-3, y+side/2-4, max(side/24, 1), r.word()[:1], solid(r.against(c)))
				k.label(x, y+side+3, 1, r.line(side/6), solid(ink))
			}
		}
	default: // cards
		for y := top; y < h-50; y += h / 4 {
			k.fill(r.ground(w, h), rounded(10*one, y*one, (w-10)*one, (y+h/6)*one, 8*one))
			k.label(12, y+h/6+4, 1, r.line((w-24)/6), solid(ink))
		}
	}
	if r.chance(40) { // in its frame
		k.stroke(solid(colour{10, 10, 10, 255}), 14*one, box(0, 0, w*one, h*one)[0], point{w * one, 0},
			point{w * one, h * one},
			point{0, h * one}, point{})
	}
	return r.photographed(k)
}

func drawEditor(r source) *canvas {
	w, h := r.size()
	w, h = max(w, 120), max(h, 90)
	back := pick(r, colour{0, 0, 0, 255}, colour{30, 32, 38, 255}, colour{255, 255, 255, 255}, r.colour().lit(25))
	k := newCanvas(w, h, solid(back))
	inks := []colour{r.against(back), r.against(back), r.against(back), r.against(back)}
	dot := pick(r, 1, 1, 2)
	indent := 0
	for y := 4; y < h-8*dot; y += 10 * dot {
		x := 4 + indent*dot*12
		for n := r.between(0, 6); n > 0 && x < w-20; n-- {
			word := r.word()
			k.label(x, y, dot, word, solid(pick(r, inks...)))
			x += 6 * dot * (len(word) + 1)
		}
		indent = max(min(indent+r.between(-1, 1), 5), 0)
	}
	return r.photographed(k)
}

func drawWebPage(r source) *canvas {
	w, h := r.between(260, 640), r.between(260, 640)
	face := pick(r, colour{255, 255, 255, 255}, colour{255, 255, 255, 255}, r.pale(), colour{24, 26, 30, 255})
	ink, brand := r.against(face), r.colour()
	k := newCanvas(w, h, solid(face))
	k.rectangle(0, 0, w, 18, solid(colour{222, 225, 230, 255}))
	k.fill(solid(colour{255, 255, 255, 255}), rounded(60*one, 3*one, (w-20)*one, 15*one, 6*one))
	k.label(70, 5, 1, "www."+r.word()+".org/"+r.word(), solid(colour{90, 90, 90, 255}))
	k.rectangle(0, 18, w, 40, solid(brand))
	k.label(10, 22, 2, r.line(6), solid(r.against(brand)))
	for x := w / 2; x < w-40; x += 50 {
		k.label(x, 26, 1, r.line(6), solid(r.against(brand)))
	}
	y := 50
	if r.chance(50) {
		k.rectangle(10, y, w-10, y+h/4, r.ground(w, h/4))
		k.label(24, y+h/10, 3, r.line(9), solid(colour{255, 255, 255, 255}))
		y += h/4 + 10
	}
	columns := r.between(1, 4)
	wide := (w - 20) / columns
	for column := range columns {
		x := 10 + column*wide
		for at := y; at < h-8; at += 10 {
			switch {
			case r.chance(5):
				k.fill(solid(r.colour()), rounded(x*one, at*one, (x+wide/2)*one, (at+14)*one, 4*one))
				k.label(x+5, at+4, 1, r.line(wide/2/6-2), solid(colour{255, 255, 255, 255}))
				at += 12
			case r.chance(6):
				high := r.between(20, 70)
				k.rectangle(x, at, x+wide-10, at+high, r.ground(w, h))
				at += high - 4
			case r.chance(10):
				k.label(x, at, 2, r.line((wide-10)/12), solid(ink))
				at += 10
			default:
				k.label(x, at, 1, r.line((wide-10)/6), solid(mix(face, ink, 3, 4)))
			}
		}
	}
	return r.photographed(k)
}

func drawDialog(r source) *canvas {
	w, h := r.between(180, 520), r.between(120, 360)
	back := r.ground(w, h)
	k := newCanvas(w, h, back)
	face := pick(r, colour{255, 255, 255, 255}, colour{236, 236, 236, 255}, colour{45, 45, 50, 255})
	ink, radius := r.against(face), pick(r, 0, 8, 16)*one
	k.fill(solid(colour{0, 0, 0, 80}), rounded((w/10+4)*one, (h/10+6)*one, (w*9/10+4)*one, (h*9/10+6)*one, radius))
	k.fill(solid(face), rounded(w/10*one, h/10*one, w*9/10*one, h*9/10*one, radius))
	sign := h / 10
	k.fill(solid(r.colour()), ellipse(point{(w/10 + sign + 8) * one, h / 3 * one}, sign*one, sign*one))
	k.label(w/10+sign+6, h/3-sign/2, max(sign/7, 1), pick(r, "!", "?", "i"), solid(colour{255, 255, 255, 255}))
	left := w/10 + 2*sign + 16
	k.label(left, h/5, pick(r, 1, 2), r.line((w*9/10-left)/14), solid(ink))
	for y := h/5 + 22; y < h*7/10; y += 11 {
		k.label(left, y, 1, r.line((w*9/10-left)/7), solid(ink))
	}
	for i := range r.between(1, 3) {
		right := w*9/10 - 8 - i*w/4
		c := r.colour()
		k.fill(solid(c), rounded((right-w/5)*one, h*3/4*one, right*one, h*17/20*one, 4*one))
		k.label(right-w/5+6, h*3/4+h/20-3, 1, pick(r, "OK", "Cancel", "Yes", "No", "Later"), solid(r.against(c)))
	}
	return r.photographed(k)
}

func drawIcons(r source) *canvas {
	w, h := r.size()
	face := pick(r, r.pale(), r.colour())
	k := newCanvas(w, h, solid(face))
	n := r.between(1, 6)
	side := min(w, h) / n
	for y := 0; y+side <= h; y += side {
		for x := 0; x+side <= w; x += side {
			o := pose{centre: point{(x + side/2) * one, (y + side/2) * one}, size: side * one * 8 / 10}
			c := r.against(face)
			drawIcon(r, k, o, c, face)
		}
	}
	return r.photographed(k)
}

// drawIcon draws one sign as apps have them: of thick lines or filled.
func drawIcon(r source, k *canvas, o pose, c, face colour) {
	p, thick := solid(c), o.length(r.between(40, 110))
	switch r.IntN(12) {
	case 0: // play
		k.fill(p, o.place(-250, -350, 380, 0, -250, 350))
	case 1: // letter
		k.stroke(p, thick, o.place(-400, -280, 400, -280, 400, 280, -400, 280, -400, -280, 0, 60, 400, -280)...)
	case 2: // magnifier
		ring := o.ellipse(-100, -100, 260, 260, 0)
		k.stroke(p, thick, append(ring, ring[0])...)
		k.stroke(p, thick, o.place(100, 100, 400, 400)...)
	case 3: // house
		k.fill(p, o.place(0, -420, 430, 0, 300, 0, 300, 400, -300, 400, -300, 0, -430, 0))
		k.fill(solid(face), o.place(-80, 400, -80, 150, 80, 150, 80, 400))
	case 4: // gear
		var teeth []point
		for d := 0; d < 360; d += 15 {
			reach := 280 + d/30%2*120
			teeth = append(teeth, o.at(scale(reach, cosine(d)), scale(reach, sine(d))))
		}
		k.fill(p, teeth)
		k.fill(solid(face), o.ellipse(0, 0, 130, 130, 0))
	case 5: // bell
		k.fill(p, smooth(o.place(0, -420, 220, -350, 260, 100, 380, 260, -380, 260, -260, 100, -220, -350), 2),
			o.ellipse(0, 320, 90, 90, 0))
	case 6: // heart
		k.fill(p, smooth(o.place(0, 420, -420, 0, -420, -320, -160, -420, 0, -220, 160, -420, 420, -320, 420, 0), 2))
	case 7: // three lines
		for y := -260; y <= 260; y += 260 {
			k.stroke(p, thick, o.place(-360, y, 360, y)...)
		}
	case 8: // tick or cross
		k.stroke(p, thick, o.place(-350, 30, -80, 300, 380, -280)...)
	case 9: // camera
		k.fill(p, rounded(o.at(-420, 0).x, o.at(0, -240).y, o.at(420, 0).x, o.at(0, 320).y, o.length(100)),
			o.place(-140, -240, -90, -340, 90, -340, 140, -240))
		k.fill(solid(face), o.ellipse(0, 40, 190, 190, 0))
		k.fill(p, o.ellipse(0, 40, 120, 120, 0))
	case 10: // waves
		for reach := 150; reach <= 450; reach += 150 {
			var arc []point
			for d := 225; d <= 315; d += 15 {
				arc = append(arc, o.at(scale(reach, cosine(d)), 250+scale(reach, sine(d))))
			}
			k.stroke(p, thick, arc...)
		}
		k.fill(p, o.ellipse(0, 250, 70, 70, 0))
	default: // a bin
		k.fill(p, o.place(-280, -200, 280, -200, 230, 400, -230, 400),
			o.place(-380, -320, 380, -320, 380, -240, -380, -240))
	}
}
