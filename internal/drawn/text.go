package drawn

import "strings"

// font has letters of five by seven pixels: for each, seven rows from top to bottom, whose
// bit 4 is the leftmost pixel.
var font = map[rune][7]uint8{
	'A': {0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11}, 'B': {0x1e, 0x11, 0x11, 0x1e, 0x11, 0x11, 0x1e},
	'C': {0x0e, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0e}, 'D': {0x1e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1e},
	'E': {0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f}, 'F': {0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x10},
	'G': {0x0e, 0x11, 0x10, 0x17, 0x11, 0x11, 0x0f}, 'H': {0x11, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11},
	'I': {0x0e, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0e}, 'J': {0x07, 0x02, 0x02, 0x02, 0x02, 0x12, 0x0c},
	'K': {0x11, 0x12, 0x14, 0x18, 0x14, 0x12, 0x11}, 'L': {0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f},
	'M': {0x11, 0x1b, 0x15, 0x15, 0x11, 0x11, 0x11}, 'N': {0x11, 0x19, 0x15, 0x15, 0x13, 0x11, 0x11},
	'O': {0x0e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e}, 'P': {0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10},
	'Q': {0x0e, 0x11, 0x11, 0x11, 0x15, 0x12, 0x0d}, 'R': {0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11},
	'S': {0x0f, 0x10, 0x10, 0x0e, 0x01, 0x01, 0x1e}, 'T': {0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04},
	'U': {0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e}, 'V': {0x11, 0x11, 0x11, 0x11, 0x0a, 0x0a, 0x04},
	'W': {0x11, 0x11, 0x11, 0x15, 0x15, 0x1b, 0x11}, 'X': {0x11, 0x11, 0x0a, 0x04, 0x0a, 0x11, 0x11},
	'Y': {0x11, 0x11, 0x0a, 0x04, 0x04, 0x04, 0x04}, 'Z': {0x1f, 0x01, 0x02, 0x04, 0x08, 0x10, 0x1f},
	'0': {0x0e, 0x13, 0x15, 0x15, 0x15, 0x19, 0x0e}, '1': {0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e},
	'2': {0x0e, 0x11, 0x01, 0x06, 0x08, 0x10, 0x1f}, '3': {0x1e, 0x01, 0x01, 0x0e, 0x01, 0x01, 0x1e},
	'4': {0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02}, '5': {0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e},
	'6': {0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e}, '7': {0x1f, 0x01, 0x02, 0x02, 0x04, 0x04, 0x04},
	'8': {0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e}, '9': {0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c},
	'a': {0x00, 0x00, 0x0e, 0x01, 0x0f, 0x11, 0x0f}, 'b': {0x10, 0x10, 0x1e, 0x11, 0x11, 0x11, 0x1e},
	'c': {0x00, 0x00, 0x0f, 0x10, 0x10, 0x10, 0x0f}, 'd': {0x01, 0x01, 0x0f, 0x11, 0x11, 0x11, 0x0f},
	'e': {0x00, 0x00, 0x0e, 0x11, 0x1f, 0x10, 0x0e}, 'f': {0x06, 0x08, 0x1c, 0x08, 0x08, 0x08, 0x08},
	'g': {0x00, 0x0f, 0x11, 0x11, 0x0f, 0x01, 0x0e}, 'h': {0x10, 0x10, 0x1e, 0x11, 0x11, 0x11, 0x11},
	'i': {0x04, 0x00, 0x0c, 0x04, 0x04, 0x04, 0x0e}, 'j': {0x02, 0x00, 0x06, 0x02, 0x02, 0x12, 0x0c},
	'k': {0x10, 0x10, 0x12, 0x14, 0x18, 0x14, 0x12}, 'l': {0x0c, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0e},
	'm': {0x00, 0x00, 0x1a, 0x15, 0x15, 0x15, 0x15}, 'n': {0x00, 0x00, 0x1e, 0x11, 0x11, 0x11, 0x11},
	'o': {0x00, 0x00, 0x0e, 0x11, 0x11, 0x11, 0x0e}, 'p': {0x00, 0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10},
	'q': {0x00, 0x0f, 0x11, 0x11, 0x0f, 0x01, 0x01}, 'r': {0x00, 0x00, 0x16, 0x18, 0x10, 0x10, 0x10},
	's': {0x00, 0x00, 0x0f, 0x10, 0x0e, 0x01, 0x1e}, 't': {0x08, 0x08, 0x1c, 0x08, 0x08, 0x08, 0x06},
	'u': {0x00, 0x00, 0x11, 0x11, 0x11, 0x13, 0x0d}, 'v': {0x00, 0x00, 0x11, 0x11, 0x0a, 0x0a, 0x04},
	'w': {0x00, 0x00, 0x11, 0x15, 0x15, 0x15, 0x0a}, 'x': {0x00, 0x00, 0x11, 0x0a, 0x04, 0x0a, 0x11},
	'y': {0x00, 0x11, 0x11, 0x0f, 0x01, 0x11, 0x0e}, 'z': {0x00, 0x00, 0x1f, 0x02, 0x04, 0x08, 0x1f},
	'.': {0x00, 0x00, 0x00, 0x00, 0x00, 0x0c, 0x0c}, ',': {0x00, 0x00, 0x00, 0x00, 0x0c, 0x04, 0x08},
	':': {0x00, 0x0c, 0x0c, 0x00, 0x0c, 0x0c, 0x00}, '-': {0x00, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x00},
	'%': {0x18, 0x19, 0x02, 0x04, 0x08, 0x13, 0x03}, '$': {0x04, 0x0f, 0x14, 0x0e, 0x05, 0x1e, 0x04},
	'!': {0x04, 0x04, 0x04, 0x04, 0x04, 0x00, 0x04}, '?': {0x0e, 0x11, 0x01, 0x06, 0x04, 0x00, 0x04},
	'*': {0x00, 0x15, 0x0e, 0x1f, 0x0e, 0x15, 0x00}, '=': {0x00, 0x00, 0x1f, 0x00, 0x1f, 0x00, 0x00},
	'+': {0x00, 0x04, 0x04, 0x1f, 0x04, 0x04, 0x00}, '/': {0x01, 0x01, 0x02, 0x04, 0x08, 0x10, 0x10},
	'(': {0x02, 0x04, 0x08, 0x08, 0x08, 0x04, 0x02}, ')': {0x08, 0x04, 0x02, 0x02, 0x02, 0x04, 0x08},
}

// write writes text whose upper left corner is at (x, y), in thousandths of the pose. Each of the font's
// pixels is dot sixteenths of a pixel wide.
func (c *canvas) write(o pose, x, y int, dot int, text string, p paint) {
	start := o.at(x, y)
	right := pose{start, 1000 * dot, o.degrees, o.mirrored, 0} // whose unit is a dot
	column := 0
	for _, letter := range text {
		for row, bits := range font[letter] {
			for from := 0; from < 5; from++ {
				if bits>>(4-from)&1 == 0 {
					continue
				}
				to := from
				for to < 5 && bits>>(4-to)&1 == 1 {
					to++
				}
				l, t, w, b := column+from, row, column+to, row+1
				c.fill(p, right.place(l, t, w, t, w, b, l, b))
				from = to
			}
		}
		column += 6
	}
}

// label writes upright text whose upper left corner is at (x, y), in pixels, with dots of whole pixels.
func (c *canvas) label(x, y, dot int, text string, p paint) {
	for column, letter := range []rune(text) {
		for row, bits := range font[letter] {
			for from := range 5 {
				if bits>>(4-from)&1 == 1 {
					left := x + (6*column+from)*dot
					c.fillBox(left, y+row*dot, left+dot, y+row*dot+dot, p)
				}
			}
		}
	}
}

const consonants, vowels = "bcdfghjklmnpqrstvwxz", "aeiouy"

// makeWord makes up a word.
func (r source) makeWord() string {
	if r.chance(8) {
		return r.makeNumber()
	}
	var b strings.Builder
	for range r.between(1, 4) {
		if r.chance(85) {
			b.WriteByte(consonants[r.IntN(len(consonants))])
		}
		b.WriteByte(vowels[r.IntN(len(vowels))])
		if r.chance(30) {
			b.WriteByte(consonants[r.IntN(len(consonants))])
		}
	}
	word := b.String()
	switch {
	case r.chance(6):
		return strings.ToUpper(word)
	case r.chance(15):
		return strings.ToUpper(word[:1]) + word[1:]
	case r.chance(10):
		return word + pick(r, ".", ",", ":", "!", "?")
	}
	return word
}

// makeNumber makes up a number, a price, a time or a share.
func (r source) makeNumber() string {
	digits := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte(byte('0' + r.IntN(10)))
		}
		return b.String()
	}
	return pick(r, digits(r.between(1, 5)), digits(r.between(1, 3))+"."+digits(2), "$"+digits(r.between(1, 4)),
		digits(2)+":"+digits(2), digits(2)+"%", digits(2)+"/"+digits(2)+"/"+digits(2))
}

// makeLine makes up words, which have at most so many letters together.
func (r source) makeLine(letters int) string {
	text := r.makeWord()
	for len(text) < letters {
		text += " " + r.makeWord()
	}
	return text[:max(min(letters, len(text)), 0)]
}

// drawText draws a few large words, a page, a receipt, a page in columns, a sign, or
// handwriting.
func drawText(r source) *canvas {
	w, h := r.pickSize()
	switch r.IntN(7) {
	case 0, 1:
		return drawWords(r, w, h)
	case 2:
		return drawReceipt(r, max(w, 200), max(h, 200))
	case 3:
		return drawSign(r, w, h)
	case 4:
		return drawHandwriting(r, w, h)
	}
	return drawPage(r, max(w, 150), max(h, 150))
}

// drawWords draws some words in large letters.
func drawWords(r source, w, h int) *canvas {
	back := r.makeGround(h)
	k := newCanvas(w, h, back)
	ink := r.pickContrast(back(w/2, h/2))
	letters := r.between(1, 14)
	dot := max(w*px/(letters*6+2), 8)
	turn := pick(r, 0, 0, r.between(-20, 20), 90)
	for y := r.between(0, h/4) * px; y < h*px; y += dot * r.between(8, 12) {
		k.write(pose{centre: point{r.between(0, w/8) * px, y}, size: px, degrees: turn}, 0, 0, dot, r.makeLine(letters),
			solid(ink))
		if r.chance(25) {
			ink = r.pickContrast(back(w/2, h/2))
		}
	}
	return r.photograph(k)
}

// drawPage draws a page of paragraphs, some with headings, columns or boxes for pictures:
// the whole page, or a part of it, or lying on a table.
func drawPage(r source, w, h int) *canvas {
	paper := r.pickPale()
	k := newCanvas(w, h, solid(paper))
	ink := r.pickContrast(paper)
	if r.chance(60) {
		ink = colour{20, 20, 25, 255}
	}
	o := pose{centre: point{}, size: 1000 * px} // a thousandth is a pixel
	left, top, right, bottom := w/12, h/14, w-w/12, h-h/14
	if r.chance(40) { // the page lies askew on something
		back := r.makeGround(h)
		k = newCanvas(w, h, back)
		o = pose{centre: point{w / 2 * px, h / 2 * px}, size: r.between(600, 950) * px, degrees: r.between(-25, 25)}
		left, top, right, bottom = -w/2, -h/2, w/2, h/2
		k.fill(solid(colour{0, 0, 0, 60}), o.place(left+6, top+6, right+8, top+6, right+8, bottom+8, left+6, bottom+8))
		k.fill(solid(paper), o.place(left, top, right, top, right, bottom, left, bottom))
		left, top, right, bottom = left+w/12, top+h/14, right-w/12, bottom-h/14
	}
	dot := pick(r, 10, 16, 16, 24, 32)
	columns := pick(r, 1, 1, 1, 2, 3)
	wide := (right - left) / columns
	for column := range columns {
		x, y := left+column*wide, top
		for y < bottom-8*dot/px {
			size := dot
			switch {
			case r.chance(6):
				size = 2 * dot
			case r.chance(4): // a picture in the text
				high := r.between(20, 60) * h / 300
				k.fill(r.makeGround(h), o.place(x, y, x+wide*9/10, y, x+wide*9/10, min(y+high, bottom), x,
					min(y+high, bottom)))
				y += high + 4
				continue
			case r.chance(8): // between paragraphs
				y += 8 * dot / px
			}
			letters := wide * 9 / 10 * px / (6 * size)
			if r.chance(12) {
				letters = letters * r.between(20, 90) / 100
			}
			k.write(o, x, y, size*o.size/(1000*px), r.makeLine(letters), solid(ink))
			y += size*10/px + 1
		}
	}
	return r.photograph(k)
}

// drawReceipt draws a strip of paper with items and prices.
func drawReceipt(r source, w, h int) *canvas {
	k := newCanvas(w, h, r.makeGround(h))
	paper := mix(colour{255, 255, 255, 255}, r.pickPale(), 1, 2)
	o := pose{centre: point{w / 2 * px, h / 2 * px}, size: min(w, h*3/4) * px, degrees: r.between(-30, 30)}
	long := r.between(500, 900)
	k.fill(solid(colour{0, 0, 0, 70}), o.place(-285, -long+25, 315, -long+25, 315, long+25, -285, long+25))
	k.fill(solid(paper), o.place(-300, -long, 300, -long, 300, long, -300, long))
	ink := colour{50, 50, 60, 255}
	dot := max(o.length(550)/(6*24), 6)
	high := 7 * dot * 1000 / o.size
	k.write(o, -150, -long+30, dot*3/2, strings.ToUpper(r.makeLine(9)), solid(ink))
	for y := -long + 50 + 2*high; y < long-2*high; y += high + high/2 {
		switch {
		case r.chance(10):
			k.write(o, -275, y, dot, strings.Repeat(pick(r, "-", "=", "*"), 24), solid(ink))
		case r.chance(8):
		default:
			price := r.makeNumber()
			k.write(o, -275, y, dot, r.makeLine(14), solid(ink))
			k.write(o, -275+6*(24-len(price))*dot*1000/o.size, y, dot, price, solid(ink))
		}
	}
	return r.photograph(k)
}

// drawSign draws a sign, a label or a logo: a shape with a word on it.
func drawSign(r source, w, h int) *canvas {
	k := newCanvas(w, h, r.makeGround(h))
	board := r.pickColour()
	ink := r.pickContrast(board)
	side := min(w, h)
	o := pose{centre: point{w / 2 * px, h / 2 * px}, size: side * px, degrees: r.between(-12, 12)}
	shapes := [][]point{
		o.ellipse(0, 0, 420, 420, 0), o.place(-450, -250, 450, -250, 450, 250, -450, 250),
		o.place(0, -450, 450, 380, -450, 380),
		o.place(0, -450, 450, 0, 0, 450, -450, 0), o.ellipse(0, 0, 480, 300, 0),
		o.place(-180, -440, 180, -440, 440, -180, 440, 180, 180, 440, -180, 440, -440, 180, -440, -180),
	}
	shape := pick(r, shapes...)
	k.fill(solid(board), shape)
	if r.chance(60) {
		k.stroke(solid(ink), o.length(r.between(10, 40)), append(shape, shape[0])...)
	}
	word := strings.ToUpper(r.makeWord())
	wide := r.between(350, 600)
	dot := o.length(wide) / (6 * len(word))
	if dot > o.length(45) {
		dot = o.length(45)
	}
	k.write(o, -3*len(word)*dot*1000/o.size, -3*dot*1000/o.size, dot, word, solid(ink))
	return r.photograph(k)
}

// drawHandwriting draws lines of connected loops on paper.
func drawHandwriting(r source, w, h int) *canvas {
	paper := r.pickPale()
	k := newCanvas(w, h, solid(paper))
	high := r.between(max(h/24, 5), max(h/8, 6))
	if r.chance(50) { // ruled, or with squares
		line := mix(paper, hsv(r.between(180, 240), 200, 200), 1, 3)
		squares := r.chance(50)
		k.fillBox(0, 0, w, h, func(x, y int) colour {
			if y%high == high-1 || squares && x%high == high-1 {
				return line
			}
			return colour{}
		})
	}
	ink := pick(r, colour{20, 30, 120, 255}, colour{20, 20, 20, 255}, r.pickContrast(paper))
	for y := 2 * high; y < h; y += high {
		for x := w / 15; x < w*9/10; {
			stroke := []point{{x * px, y * px}}
			for range r.between(4, 16) {
				x += r.between(1, max(high/3, 1))
				up := pick(r, 2, 2, 5)
				stroke = append(stroke, point{x * px, (y - r.IntN(high*up/6+1)) * px})
				stroke = append(stroke, point{(x + r.between(-2, 2)) * px, (y + r.IntN(high/6+1)) * px})
			}
			k.stroke(solid(ink), max(high*px/14, 10), bend(stroke, 2)...)
			x += max(high/2, 3)
		}
	}
	return r.photograph(k)
}
