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
	face := pick(r, colour{240, 240, 240, 255}, colour{255, 255, 255, 255}, colour{40, 42, 46, 255}, r.pickPale())
	title := pick(r, face.shade(85), r.pickColour())
	ink := r.pickContrast(face)
	k.fillBox(left+5, top+5, right+5, bottom+5, solid(colour{0, 0, 0, 60}))
	k.fillBox(left, top, right, bottom, solid(face))
	bar := max((bottom-top)/14, 10)
	k.fillBox(left, top, right, top+bar, solid(title))
	k.label(left+bar, top+bar/2-3, 1, r.makeLine(max((right-left)/16, 1)), solid(r.pickContrast(title)))
	for i := range 3 {
		x := right - (i+1)*bar + bar/4
		k.fill(solid(pick(r, colour{230, 80, 70, 255}, colour{220, 180, 60, 255}, colour{80, 190, 90, 255}, ink)),
			ellipse(point{x * px, (top + bar/2) * px}, bar*px/4, bar*px/4))
	}
	y := top + bar + 4
	if r.chance(50) { // a menu
		k.label(left+4, y, 1, "File Edit View Help", solid(ink))
		y += 12
	}
	x := left + 4
	if r.chance(50) { // a side panel
		side := (right - left) / 4
		k.fillBox(left, y, left+side, bottom, solid(face.shade(92)))
		for row := y + 4; row < bottom-8; row += 12 {
			k.fillBox(left+4, row, left+10, row+6, solid(r.pickColour()))
			k.label(left+14, row, 1, r.makeLine(max((side-16)/6, 1)), solid(ink))
		}
		x = left + side + 4
	}
	switch r.IntN(4) {
	case 0: // text
		for ; y < bottom-8; y += 10 {
			k.label(x, y, 1, r.makeLine(max((right-x-4)/6, 1)*r.between(30, 100)/100), solid(ink))
		}
	case 1: // tiles
		side := r.between(20, 60)
		for ; y < bottom-side; y += side + 6 {
			for at := x; at < right-side; at += side + 6 {
				k.fillBox(at, y, at+side, y+side, r.makeGround(side))
			}
		}
	case 2: // fields
		for ; y < bottom-14; y += 20 {
			k.label(x, y+3, 1, r.makeLine(8), solid(ink))
			k.fillBox(x+56, y, right-8, y+14, solid(ink))
			k.fillBox(x+57, y+1, right-9, y+13, solid(face))
		}
	default:
		k.fillBox(x, y, right-4, bottom-4, r.makeGround(bottom-top))
	}
}

func drawDesktop(r source) *canvas {
	h := r.between(240, 480)
	w := h * pick(r, 133, 160, 177) / 100
	w = min(w, 640)
	k := newCanvas(w, h, r.makeGround(h))
	for y := 8; y < h*2/3; y += 48 { // icons on the desktop
		k.fillBox(10, y, 38, y+28, solid(r.pickColour()))
		k.label(6, y+31, 1, r.makeLine(6), solid(colour{255, 255, 255, 255}))
	}
	for range r.between(1, 4) {
		left, top := r.IntN(w*2/3), r.IntN(h/2)
		drawWindow(r, k, left, top, min(left+r.between(w/4, w*2/3), w-3), min(top+r.between(h/4, h*3/4), h-14))
	}
	bar := r.pickColour().shade(50)
	k.fillBox(0, h-16, w, h, solid(bar))
	for x := 4; x < w/2; x += 20 {
		k.fillBox(x, h-13, x+10, h-3, solid(r.pickColour()))
	}
	k.label(w-34, h-11, 1, "12:45", solid(r.pickContrast(bar)))
	return r.photograph(k)
}

func drawPhone(r source) *canvas {
	w := r.between(160, 330)
	h := min(w*r.between(170, 216)/100, 640)
	face := pick(r, colour{255, 255, 255, 255}, colour{18, 18, 22, 255}, r.pickPale(), r.pickColour())
	k := newCanvas(w, h, solid(face))
	ink := r.pickContrast(face)
	k.label(6, 4, 1, "9:41", solid(ink))
	k.fillBox(w-20, 4, w-6, 11, solid(ink))
	head := r.pickColour()
	top := 16
	if r.chance(70) {
		k.fillBox(0, 14, w, 14+h/12, solid(head))
		k.label(10, 14+h/24-3, pick(r, 1, 2), r.makeLine(10), solid(r.pickContrast(head)))
		top = 14 + h/12 + 6
	}
	switch r.IntN(4) {
	case 0: // messages
		for y := top; y < h-30; {
			high, wide := r.between(18, 60), r.between(w/3, w*3/4)
			left, c := 8, face.shade(85)
			if face.brightness() < 60 {
				c = colour{60, 60, 66, 255}
			}
			if r.chance(50) {
				left, c = w-8-wide, head
			}
			k.fill(solid(c), roundedBox(left*px, y*px, (left+wide)*px, (y+high)*px, 9*px))
			for row := y + 6; row < y+high-8; row += 10 {
				k.label(left+8, row, 1, r.makeLine(max((wide-16)/6, 1)), solid(r.pickContrast(c)))
			}
			y += high + 8
		}
	case 1: // a list
		row := r.between(30, 60)
		for y := top; y < h-row; y += row {
			k.fill(r.makeGround(h), ellipse(point{(8 + row/3) * px, (y + row/2) * px}, row*px/3, row*px/3))
			k.label(16+row*2/3, y+row/4, pick(r, 1, 1, 2), r.makeLine(max((w-row-20)/12, 1)), solid(ink))
			k.label(16+row*2/3, y+row/4+14, 1, r.makeLine(max((w-row-20)/7, 1)), solid(mix(face, ink, 1, 2)))
			k.fillBox(8, y+row-1, w-8, y+row, solid(mix(face, ink, 1, 5)))
		}
	case 2: // a home screen
		side := w / 6
		for y := top; y < h-side*2; y += side + side*2/3 {
			for x := side / 3; x < w-side; x += side + side*2/5 {
				c := r.pickColour()
				k.fill(solid(c), roundedBox(x*px, y*px, (x+side)*px, (y+side)*px, side*px/4))
				k.label(x+side/2-3, y+side/2-4, max(side/24, 1), r.makeWord()[:1], solid(r.pickContrast(c)))
				k.label(x, y+side+3, 1, r.makeLine(side/6), solid(ink))
			}
		}
	default: // cards
		for y := top; y < h-50; y += h / 4 {
			k.fill(r.makeGround(h), roundedBox(10*px, y*px, (w-10)*px, (y+h/6)*px, 8*px))
			k.label(12, y+h/6+4, 1, r.makeLine((w-24)/6), solid(ink))
		}
	}
	if r.chance(40) { // in its frame
		k.stroke(solid(colour{10, 10, 10, 255}), 14*px,
			point{}, point{w * px, 0}, point{w * px, h * px}, point{0, h * px}, point{})
	}
	return r.photograph(k)
}

func drawEditor(r source) *canvas {
	w, h := r.pickSize()
	w, h = max(w, 120), max(h, 90)
	back := pick(r, colour{0, 0, 0, 255}, colour{30, 32, 38, 255}, colour{255, 255, 255, 255}, r.pickColour().shade(25))
	k := newCanvas(w, h, solid(back))
	inks := []colour{r.pickContrast(back), r.pickContrast(back), r.pickContrast(back), r.pickContrast(back)}
	dot := pick(r, 1, 1, 2)
	indent := 0
	for y := 4; y < h-8*dot; y += 10 * dot {
		x := 4 + indent*dot*12
		for n := r.between(0, 6); n > 0 && x < w-20; n-- {
			word := r.makeWord()
			k.label(x, y, dot, word, solid(pick(r, inks...)))
			x += 6 * dot * (len(word) + 1)
		}
		indent = max(min(indent+r.between(-1, 1), 5), 0)
	}
	return r.photograph(k)
}

func drawWebPage(r source) *canvas {
	w, h := r.between(260, 640), r.between(260, 640)
	face := pick(r, colour{255, 255, 255, 255}, colour{255, 255, 255, 255}, r.pickPale(), colour{24, 26, 30, 255})
	ink, brand := r.pickContrast(face), r.pickColour()
	k := newCanvas(w, h, solid(face))
	k.fillBox(0, 0, w, 18, solid(colour{222, 225, 230, 255}))
	k.fill(solid(colour{255, 255, 255, 255}), roundedBox(60*px, 3*px, (w-20)*px, 15*px, 6*px))
	k.label(70, 5, 1, "www."+r.makeWord()+".org/"+r.makeWord(), solid(colour{90, 90, 90, 255}))
	k.fillBox(0, 18, w, 40, solid(brand))
	k.label(10, 22, 2, r.makeLine(6), solid(r.pickContrast(brand)))
	for x := w / 2; x < w-40; x += 50 {
		k.label(x, 26, 1, r.makeLine(6), solid(r.pickContrast(brand)))
	}
	y := 50
	if r.chance(50) {
		k.fillBox(10, y, w-10, y+h/4, r.makeGround(h/4))
		k.label(24, y+h/10, 3, r.makeLine(9), solid(colour{255, 255, 255, 255}))
		y += h/4 + 10
	}
	columns := r.between(1, 4)
	wide := (w - 20) / columns
	for column := range columns {
		x := 10 + column*wide
		for at := y; at < h-8; at += 10 {
			switch {
			case r.chance(5):
				k.fill(solid(r.pickColour()), roundedBox(x*px, at*px, (x+wide/2)*px, (at+14)*px, 4*px))
				k.label(x+5, at+4, 1, r.makeLine(wide/2/6-2), solid(colour{255, 255, 255, 255}))
				at += 12
			case r.chance(6):
				high := r.between(20, 70)
				k.fillBox(x, at, x+wide-10, at+high, r.makeGround(h))
				at += high - 4
			case r.chance(10):
				k.label(x, at, 2, r.makeLine((wide-10)/12), solid(ink))
				at += 10
			default:
				k.label(x, at, 1, r.makeLine((wide-10)/6), solid(mix(face, ink, 3, 4)))
			}
		}
	}
	return r.photograph(k)
}

func drawDialog(r source) *canvas {
	w, h := r.between(180, 520), r.between(120, 360)
	back := r.makeGround(h)
	k := newCanvas(w, h, back)
	face := pick(r, colour{255, 255, 255, 255}, colour{236, 236, 236, 255}, colour{45, 45, 50, 255})
	ink, radius := r.pickContrast(face), pick(r, 0, 8, 16)*px
	k.fill(solid(colour{0, 0, 0, 80}), roundedBox((w/10+4)*px, (h/10+6)*px, (w*9/10+4)*px, (h*9/10+6)*px, radius))
	k.fill(solid(face), roundedBox(w/10*px, h/10*px, w*9/10*px, h*9/10*px, radius))
	sign := h / 10
	k.fill(solid(r.pickColour()), ellipse(point{(w/10 + sign + 8) * px, h / 3 * px}, sign*px, sign*px))
	k.label(w/10+sign+6, h/3-sign/2, max(sign/7, 1), pick(r, "!", "?", "i"), solid(colour{255, 255, 255, 255}))
	left := w/10 + 2*sign + 16
	k.label(left, h/5, pick(r, 1, 2), r.makeLine((w*9/10-left)/14), solid(ink))
	for y := h/5 + 22; y < h*7/10; y += 11 {
		k.label(left, y, 1, r.makeLine((w*9/10-left)/7), solid(ink))
	}
	for i := range r.between(1, 3) {
		right := w*9/10 - 8 - i*w/4
		c := r.pickColour()
		k.fill(solid(c), roundedBox((right-w/5)*px, h*3/4*px, right*px, h*17/20*px, 4*px))
		k.label(right-w/5+6, h*3/4+h/20-3, 1, pick(r, "OK", "Cancel", "Yes", "No", "Later"), solid(r.pickContrast(c)))
	}
	return r.photograph(k)
}

func drawIcons(r source) *canvas {
	w, h := r.pickSize()
	face := pick(r, r.pickPale(), r.pickColour())
	k := newCanvas(w, h, solid(face))
	n := r.between(1, 6)
	side := min(w, h) / n
	for y := 0; y+side <= h; y += side {
		for x := 0; x+side <= w; x += side {
			o := pose{centre: point{(x + side/2) * px, (y + side/2) * px}, size: side * px * 8 / 10}
			c := r.pickContrast(face)
			drawIcon(r, k, o, c, face)
		}
	}
	return r.photograph(k)
}

// drawIcon draws an icon as of an app, of thick lines or filled.
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
		k.fill(p, roundedBox(o.at(-420, 0).x, o.at(0, -240).y, o.at(420, 0).x, o.at(0, 320).y, o.length(100)),
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
