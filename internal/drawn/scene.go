package drawn

// drawMap draws a map: streets with blocks and parks, heights in colours with contour
// lines, or regions of a few colours.
func drawMap(r source) *canvas {
	w, h := r.pickSize()
	w, h = max(w, 64), max(h, 64)
	coarse, fine := newField(r, r.between(40, 200)), newField(r, r.between(10, 40))
	height := func(x, y int) int { return (3*coarse.at(x, y) + fine.at(x, y)) / 4 }
	var k *canvas
	switch r.IntN(3) {
	case 0:
		k = drawHeights(r, w, h, height)
	case 1:
		k = drawRegions(r, w, h, fine)
	default:
		k = drawTown(r, w, h, height)
	}
	ink := colour{40, 40, 40, 255}
	for range r.between(0, 10) {
		k.label(r.IntN(w), r.IntN(h), pick(r, 1, 1, 2), r.makeWord(), solid(ink))
	}
	for range r.between(0, 3) { // pins
		o := pose{centre: point{r.IntN(w) * px, r.IntN(h) * px}, size: min(w, h) * px / 8}
		k.fill(solid(hsv(r.IntN(360), 220, 220)),
			smooth(o.place(0, 600, -350, -100, -300, -500, 0, -600, 300, -500, 350, -100), 2))
		k.fill(solid(colour{255, 255, 255, 255}), o.ellipse(0, -230, 120, 120, 0))
	}
	return r.photograph(k)
}

// drawHeights draws bands of heights in colours, with contour lines or without.
func drawHeights(r source, w, h int, height func(x, y int) int) *canvas {
	levels := []colour{hsv(210, 160, 200), hsv(200, 100, 230), hsv(50, 80, 230), hsv(90, 120, 190),
		hsv(40, 120, 160), {240, 240, 240, 255}}
	if r.chance(30) {
		for i := range levels {
			levels[i] = r.pickColour()
		}
	}
	bands, lines := r.between(6, 18), r.chance(60)
	return newCanvas(w, h, func(x, y int) colour {
		band := height(x, y) * bands / 256
		c := levels[band*len(levels)/bands]
		if lines && (height(x+1, y)*bands/256 != band || height(x, y+1)*bands/256 != band) {
			return c.shade(60)
		}
		return c
	})
}

// drawRegions draws regions with uneven borders: each pixel belongs to the nearest seat.
func drawRegions(r source, w, h int, uneven field) *canvas {
	n := r.between(4, 30)
	seats, colours := make([]point, n), make([]colour, n)
	for i := range seats {
		seats[i], colours[i] = point{r.IntN(w), r.IntN(h)}, r.pickColour()
	}
	return newCanvas(w, h, func(x, y int) colour {
		nearest, second, region := 1<<30, 1<<30, 0 // squares of distances
		x, y = x+uneven.at(x, y)/16, y+uneven.at(y, x)/16
		for i, s := range seats {
			d := (x-s.x)*(x-s.x) + (y-s.y)*(y-s.y)
			switch {
			case d < nearest:
				nearest, second, region = d, nearest, i
			case d < second:
				second = d
			}
		}
		if sqrt(int64(second))-sqrt(int64(nearest)) < 2 {
			return colour{60, 60, 60, 255}
		}
		return colours[region]
	})
}

// drawTown draws water, parks, streets, trunk roads and railways.
func drawTown(r source, w, h int, height func(x, y int) int) *canvas {
	land := pick(r, hsv(45, 20, 240), hsv(90, 30, 230), colour{40, 44, 52, 255}, r.pickPale())
	water, park := hsv(205, r.between(60, 150), 230), hsv(110, r.between(50, 120), 210)
	wet, green := r.between(20, 90), r.between(150, 220)
	k := newCanvas(w, h, func(x, y int) colour {
		switch v := height(x, y); {
		case v < wet:
			return water
		case v > green:
			return park
		}
		return land
	})
	street := pick(r, colour{255, 255, 255, 255}, land.shade(70))
	grid, turn := r.between(16, 60), r.between(0, 89)
	o := pose{centre: point{w / 2 * px, h / 2 * px}, size: 1000 * px, degrees: turn}
	for d := -w - h; d < w+h; d += grid * r.between(5, 15) / 10 {
		wide := pick(r, 1, 2, 2, 5) * px
		k.stroke(solid(street), wide, o.at(d, -w-h), o.at(d+r.between(-20, 20), w+h))
		k.stroke(solid(street), wide, o.at(-w-h, d), o.at(w+h, d+r.between(-20, 20)))
	}
	for range r.between(1, 4) { // trunk roads, railways
		line := bend([]point{{0, r.IntN(h) * px}, {w / 3 * px, r.IntN(h) * px},
			{w * 2 / 3 * px, r.IntN(h) * px}, {w * px, r.IntN(h) * px}}, 3)
		c := pick(r, hsv(40, 200, 240), hsv(20, 200, 230), colour{120, 120, 120, 255})
		k.stroke(solid(c.shade(75)), 9*px, line...)
		k.stroke(solid(c), 6*px, line...)
	}
	return k
}

// drawCode draws what machines read: a square code with three corners, or bars; also
// crosswords and chess boards.
func drawCode(r source) *canvas {
	w, h := r.pickSize()
	w, h = max(w, 48), max(h, 48)
	back := r.pickPale()
	k := newCanvas(w, h, r.makeGround(h))
	dark := pick(r, colour{0, 0, 0, 255}, r.pickContrast(back))
	o := pose{centre: point{w / 2 * px, h / 2 * px}, size: min(w, h) * px * r.between(60, 105) / 100,
		degrees: pick(r, 0, 0, r.between(-30, 30))}
	k.fill(solid(back), o.place(-500, -500, 500, -500, 500, 500, -500, 500))
	switch r.IntN(5) {
	case 0, 1:
		drawSquareCode(r, k, o, dark, back)
	case 2: // bars
		for x := -420; x < 420; {
			wide := r.between(1, 4) * 9
			k.fill(solid(dark), o.place(x, -280, x+wide, -280, x+wide, 280, x, 280))
			x += wide + r.between(1, 4)*9
		}
		k.write(o, -300, 310, o.length(14), r.makeNumber()+" "+r.makeNumber(), solid(dark))
	case 3: // chess board
		for i := range 64 {
			if x, y := i%8, i/8; (x+y)%2 == 1 {
				drawSquare(k, o, 8, x, y, 1, dark)
			}
		}
	default:
		drawCrossword(r, k, o, dark, back)
	}
	return r.photograph(k)
}

// drawSquare fills the cells from (x, y) on, as many as wide along each axis, of a board of n × n.
func drawSquare(k *canvas, o pose, n, x, y, wide int, c colour) {
	at := func(v int) int { return -440 + 880*v/n }
	k.fill(solid(c), o.place(at(x), at(y), at(x+wide), at(y), at(x+wide), at(y+wide), at(x), at(y+wide)))
}

// drawSquareCode draws random cells, and marks in three corners.
func drawSquareCode(r source, k *canvas, o pose, dark, back colour) {
	n := 17 + 4*r.between(1, 5)
	for y := range n {
		for x := range n {
			if r.chance(48) {
				drawSquare(k, o, n, x, y, 1, dark)
			}
		}
	}
	for _, c := range [][2]int{{0, 0}, {n - 7, 0}, {0, n - 7}} {
		drawSquare(k, o, n, c[0]-1, c[1]-1, 9, back)
		drawSquare(k, o, n, c[0], c[1], 7, dark)
		drawSquare(k, o, n, c[0]+1, c[1]+1, 5, back)
		drawSquare(k, o, n, c[0]+2, c[1]+2, 3, dark)
	}
}

// drawCrossword draws cells, most of them light, and letters in some of these.
func drawCrossword(r source, k *canvas, o pose, dark, back colour) {
	n := r.between(6, 14)
	for i := range n * n {
		x, y := i%n, i/n
		drawSquare(k, o, n, x, y, 1, dark)
		if r.chance(25) {
			continue
		}
		cell := pose{centre: o.at(-440+880*x/n+440/n, -440+880*y/n+440/n), size: 1000, degrees: o.degrees}
		half := o.length(400 / n)
		k.fill(solid(back), cell.place(-half, -half, half, -half, half, half, -half, half))
		if r.chance(50) {
			dot := max(half/5, 1)
			k.write(cell, -5*dot/2, -7*dot/2, dot, string(rune('A'+r.IntN(26))), solid(dark))
		}
	}
}

// drawFace draws faces as in messages: round, with eyes and a mouth.
func drawFace(r source) *canvas {
	w, h := r.pickSize()
	k := newCanvas(w, h, r.makeGround(h))
	n := pick(r, 1, 1, 1, 2, 3)
	side := max(min(w, h)/n, 8)
	for y := side / 2; y < h; y += side {
		for x := side / 2; x < w; x += side {
			o := pose{centre: point{x * px, y * px}, size: side * px * 95 / 100,
				degrees: pick(r, 0, r.between(-25, 25))}
			drawOneFace(r, k, o)
		}
	}
	return r.photograph(k)
}

func drawOneFace(r source, k *canvas, o pose) {
	skin := pick(r, hsv(48, 200, 250), hsv(48, 200, 250), r.pickColour(),
		hsv(25, r.between(60, 160), r.between(110, 240)))
	ink := pick(r, colour{40, 25, 10, 255}, r.pickContrast(skin))
	k.fill(r.makeCoat(skin, o), o.ellipse(0, 0, 450, 450, 0))
	if r.chance(40) {
		ring := o.ellipse(0, 0, 450, 450, 0)
		k.stroke(solid(ink), o.length(r.between(10, 40)), append(ring, ring[0])...)
	}
	for _, s := range []int{-1, 1} {
		x := s * 165
		switch r.IntN(4) {
		case 0:
			k.fill(solid(ink), o.ellipse(x, -110, 50, 80, 0))
		case 1:
			drawEye(k, o, x, -110, 95, ink)
		case 2:
			k.stroke(solid(ink), o.length(36), bend(o.place(x-80, -90, x, -160, x+80, -90), 2)...)
		default:
			k.stroke(solid(ink), o.length(36), o.place(x-70, -110, x+70, -110)...)
		}
		if r.chance(30) {
			k.stroke(solid(ink), o.length(28), o.place(x-80, r.between(-260, -210), x+80, r.between(-260, -210))...)
		}
		if r.chance(25) {
			k.fill(solid(hsv(350, 150, 240).fade(160)), o.ellipse(s*270, 60, 80, 60, 0))
		}
	}
	up := r.between(-160, 220)
	switch r.IntN(3) {
	case 0:
		k.stroke(solid(ink), o.length(36), bend(o.place(-220, 170, 0, 170+up, 220, 170), 3)...)
	case 1:
		k.fill(solid(colour{120, 20, 30, 255}), smooth(o.place(-240, 100, 240, 100, 180, 320, 0, 370, -180, 320), 1))
	default:
		k.fill(solid(ink), o.ellipse(0, 220, r.between(50, 130), r.between(40, 120), 0))
	}
}

// drawThing draws a thing or a scene in a few shapes: a house, a tree, a car, a flower, a
// cup, a bottle, a clock, a chair, fruit, hills, a plate, a ball.
func drawThing(r source) *canvas {
	w, h := r.pickSize()
	k := newCanvas(w, h, r.makeGround(h))
	if r.chance(40) {
		k.fillBox(0, h*r.between(50, 85)/100, w, h, r.makeGround(h))
	}
	things := []func(source, *canvas, pose){
		drawHouse, drawTree, drawCar, drawFlower, drawCup, drawBottle,
		drawClock, drawChair, drawFruit, drawHills, drawPlate, drawBall,
	}
	draw := pick(r, things...)
	side := min(w, h)
	for range pick(r, 1, 1, 1, 3) {
		o := pose{centre: point{(w/2 + r.between(-w/8, w/8)) * px, (h/2 + r.between(-h/8, h/8)) * px},
			size:    max(side*r.between(50, 100)/100, 4) * px,
			degrees: pick(r, 0, 0, r.between(-20, 20)), mirrored: r.chance(50), wide: r.between(80, 120)}
		draw(r, k, o)
	}
	return r.photograph(k)
}

func drawHouse(r source, k *canvas, o pose) {
	wall := r.pickColour()
	k.fill(r.makeCoat(wall, o), o.place(-350, -50, 350, -50, 350, 420, -350, 420))
	k.fill(solid(r.pickContrast(wall)), o.place(-430, -40, 0, -430, 430, -40))
	k.fill(solid(r.pickColour()), o.place(-70, 420, -70, 170, 70, 170, 70, 420))
	for _, x := range []int{-240, 240} {
		k.fill(solid(hsv(200, 80, 250)), o.place(x-70, 60, x+70, 60, x+70, 200, x-70, 200))
		k.stroke(solid(wall.shade(50)), o.length(14), o.place(x, 60, x, 200)...)
	}
}

func drawTree(r source, k *canvas, o pose) {
	leaves := hsv(pick(r, r.between(60, 150), r.between(10, 50)), r.between(100, 230), r.between(90, 220))
	k.fill(r.makeCoat(hsv(25, 150, r.between(70, 140)), o), o.place(-50, 0, 50, 0, 80, 460, -80, 460))
	if r.chance(40) {
		for y := -460; y < 100; y += 160 {
			k.fill(r.makeCoat(leaves, o), o.place(0, y, 180+(y+460)/3, y+300, -180-(y+460)/3, y+300))
		}
		return
	}
	for range 14 {
		k.fill(solid(leaves.shade(r.between(75, 115))),
			o.ellipse(r.between(-230, 230), r.between(-330, 60), r.between(90, 180), r.between(80, 160), 0))
	}
}

func drawCar(r source, k *canvas, o pose) {
	body := r.pickColour()
	k.fill(r.makeCoat(body, o), smooth(o.place(
		-470, 60, -440, -40, -260, -60, -150, -240, 160, -240, 280, -60, 450, -20, 470, 160, -470, 160), 1))
	k.fill(solid(hsv(200, 60, r.between(150, 240))), o.place(-220, -70, -130, -210, -10, -210, -10, -70),
		o.place(20, -70, 20, -210, 140, -210, 230, -70))
	for _, x := range []int{-270, 280} {
		k.fill(solid(colour{25, 25, 25, 255}), o.ellipse(x, 160, 110, 110, 0))
		k.fill(solid(colour{190, 190, 195, 255}), o.ellipse(x, 160, 50, 50, 0))
	}
	k.fill(solid(colour{255, 240, 150, 255}), o.ellipse(440, 30, 25, 35, 0))
}

func drawFlower(r source, k *canvas, o pose) {
	green := hsv(r.between(80, 140), 180, 150)
	k.stroke(solid(green), o.length(36), bend(o.place(0, -150, 30, 200, 0, 480), 2)...)
	k.fill(solid(green), smooth(o.place(10, 300, 150, 180, 260, 200, 130, 320), 1))
	petals, c := r.between(4, 13), r.pickColour()
	for i := range petals {
		d := 360 * i / petals
		k.fill(r.makeCoat(c, o), o.ellipse(scale(190, cosine(d)), -150+scale(190, sine(d)), 150, r.between(50, 90), d))
	}
	k.fill(solid(r.pickContrast(c)), o.ellipse(0, -150, 95, 95, 0))
}

func drawCup(r source, k *canvas, o pose) {
	c := r.pickColour()
	ring := o.ellipse(300, 20, 130, 140, 0)
	k.stroke(solid(c.shade(80)), o.length(50), append(ring, ring[0])...)
	k.fill(r.makeCoat(c, o), o.place(-320, -260, 320, -260, 270, 300, -270, 300))
	k.fill(solid(c.shade(110)), o.ellipse(0, -260, 320, 70, 0))
	k.fill(solid(hsv(25, 200, r.between(50, 120))), o.ellipse(0, -255, 280, 52, 0))
	k.fill(r.makeCoat(c, o), o.ellipse(0, 300, 270, 50, 0))
}

func drawBottle(r source, k *canvas, o pose) {
	c := r.pickColour().fade(r.between(180, 255))
	k.fill(solid(c), smooth(o.place(-60, -400, 60, -400, 60, -220, 150, -100, 150, 450, -150, 450, -150, -100, -60,
		-220), 1))
	k.fill(solid(r.pickColour()), o.place(-66, -480, 66, -480, 66, -390, -66, -390))
	k.fill(solid(r.pickPale()), o.place(-148, 30, 148, 30, 148, 280, -148, 280))
	k.write(o, -110, 110, o.length(9), r.makeLine(4), solid(colour{30, 30, 30, 255}))
}

func drawClock(r source, k *canvas, o pose) {
	face := r.pickPale()
	k.fill(solid(r.pickContrast(face)), o.ellipse(0, 0, 450, 450, 0))
	k.fill(solid(face), o.ellipse(0, 0, 395, 395, 0))
	ink := r.pickContrast(face)
	for d := 0; d < 360; d += 30 {
		k.stroke(solid(ink), o.length(22), o.at(scale(350, cosine(d)), scale(350, sine(d))),
			o.at(scale(310, cosine(d)), scale(310, sine(d))))
	}
	for _, reach := range []int{180, 290} {
		d := r.IntN(360)
		k.stroke(solid(ink), o.length(34-reach/20), o.at(0, 0), o.at(scale(reach, cosine(d)), scale(reach, sine(d))))
	}
}

func drawChair(r source, k *canvas, o pose) {
	c := r.pickColour()
	p, far := r.makeCoat(c, o), solid(c.shade(65))
	for _, x := range []int{-200, 290} {
		k.stroke(far, o.length(44), o.place(x, 60, x, 380)...)
	}
	k.fill(p, o.place(-290, -470, 210, -470, 210, -420, -290, -420),
		o.place(-290, -470, -240, -470, -240, 60, -290, 60),
		o.place(160, -470, 210, -470, 210, 60, 160, 60), o.place(-290, -250, 210, -250, 210, -190, -290, -190))
	k.fill(p, o.place(-300, 30, 220, 30, 330, 110, -260, 110))
	for _, x := range []int{-260, 290} {
		k.stroke(p, o.length(48), o.place(x, 100, x, 470)...)
	}
}

func drawFruit(r source, k *canvas, o pose) {
	c := hsv(pick(r, r.between(0, 60), r.between(60, 130), r.between(270, 359)), r.between(170, 255),
		r.between(150, 250))
	if r.chance(30) { // a banana
		k.fill(r.makeCoat(hsv(52, 200, 240), o),
			smooth(o.place(-450, -160, -300, 130, 60, 260, 430, 60, 460, -40, 340, 20, 40, 80, -220, -20, -400, -260),
				2))
		return
	}
	k.fill(r.makeCoat(c, o), smooth(o.place(-60, -250, 60, -250, 340, -300, 430, 20, 240, 400, 0, 370, -240, 400, -430,
		20, -340, -300), 2))
	k.fill(solid(colour{255, 255, 255, 90}), o.ellipse(-190, -110, 60, 110, 30))
	k.stroke(solid(hsv(25, 160, 90)), o.length(36), bend(o.place(0, -240, 20, -340, 70, -440), 1)...)
	k.fill(solid(hsv(110, 190, 150)), smooth(o.place(40, -350, 180, -460, 320, -420, 180, -320), 1))
}

func drawHills(r source, k *canvas, _ pose) {
	w, h := k.Width, k.Height
	sky := hsv(r.between(190, 230), r.between(30, 150), r.between(180, 255))
	k.fillBox(0, 0, w, h, func(_, y int) colour { return mix(sky, colour{255, 240, 220, 255}, y, h) })
	k.fill(solid(hsv(50, 120, 255)), ellipse(point{r.IntN(w) * px, r.IntN(h/3+1) * px}, h*px/10, h*px/10))
	for range r.between(0, 5) {
		x, y := r.IntN(w), r.IntN(h/3+1)
		for range 5 {
			k.fill(solid(colour{255, 255, 255, 220}),
				ellipse(point{(x + r.between(-w/12, w/12)) * px, y * px}, w*px/16, h*px/28))
		}
	}
	n := r.between(2, 5)
	for i := range n {
		c := hsv(r.between(70, 200), r.between(60, 180), 200-i*110/n)
		line := []point{{0, h * px}}
		for x := 0; x <= 6; x++ {
			line = append(line, point{w * x / 6 * px, h * (35 + 55*i/n + r.between(-10, 12)) / 100 * px})
		}
		line = append(line, point{w * px, h * px})
		if r.chance(70) {
			line = bend(line, 3)
		}
		k.fill(solid(c), line)
	}
}

func drawPlate(r source, k *canvas, o pose) {
	rim := r.pickPale()
	k.fill(solid(colour{0, 0, 0, 60}), o.ellipse(20, 25, 460, 460, 0))
	k.fill(solid(rim), o.ellipse(0, 0, 450, 450, 0))
	k.fill(solid(rim.shade(92)), o.ellipse(0, 0, 320, 320, 0))
	for range r.between(3, 25) {
		d, reach := r.IntN(360), r.IntN(230)
		k.fill(r.makeCoat(hsv(r.between(0, 130), r.between(120, 255), r.between(90, 240)), o),
			o.ellipse(scale(reach, cosine(d)), scale(reach, sine(d)), r.between(25, 120), r.between(25, 80),
				r.IntN(180)))
	}
}

func drawBall(r source, k *canvas, o pose) {
	c := r.pickColour()
	other := r.pickContrast(c)
	k.fill(solid(colour{0, 0, 0, 70}), o.ellipse(30, 400, 380, 70, 0))
	k.fill(r.makeCoat(c, o), o.ellipse(0, 0, 400, 400, 0))
	switch r.IntN(3) {
	case 0:
		for _, x := range []int{-180, 0, 180} {
			k.stroke(solid(other), o.length(20), bend(o.place(x, -360, 2*x, 0, x, 360), 3)...)
		}
	case 1:
		for range 6 {
			d, reach := r.IntN(360), r.IntN(280)
			var spot []point
			for i := range 5 {
				spot = append(spot, o.at(scale(reach, cosine(d))+scale(80, cosine(72*i)),
					scale(reach, sine(d))+scale(80, sine(72*i))))
			}
			k.fill(solid(other), spot)
		}
	default:
		k.fill(solid(other), o.place(-395, -60, 395, -60, 395, 60, -395, 60))
	}
	k.fill(solid(colour{255, 255, 255, 110}), o.ellipse(-150, -170, 90, 60, 130))
}
