package drawn

// animals has functions that draw an animal each, in a pose, with a coat and marks of a second colour.
var animals = []func(r source, k *canvas, o pose, coat, mark paint, ink colour){
	drawFish, drawCatFace, drawBird, drawSnail, drawDog, drawCat, drawRabbit, drawButterfly, drawTurtle, drawSnake,
	drawHorse, drawOwl,
}

// drawAnimal draws one animal or a few of a kind, filled with random colours and
// patterns, on any ground.
func drawAnimal(r source) *canvas {
	w, h := r.pickSize()
	w, h = max(w, 48), max(h, 48)
	back := r.makeGround(h)
	k := newCanvas(w, h, back)
	if r.chance(25) { // a meadow, water or floor below
		k.fillBox(0, h*r.between(50, 80)/100, w, h, r.makeGround(h))
	}
	animal := pick(r, animals...)
	count, side := 1, min(w, h)*r.between(55, 105)/100
	if r.chance(15) {
		count, side = r.between(2, 6), min(w, h)*r.between(25, 45)/100
	}
	behind := back(w/2, h/2)
	for i := range count {
		o := pose{centre: point{(w/2 + r.between(-w/12, w/12)) * px, (h/2 + r.between(-h/12, h/12)) * px},
			size:    side * px,
			degrees: pick(r, 0, r.between(-15, 15), r.between(-40, 40)), mirrored: r.chance(50),
			wide: r.between(80, 125)}
		if i > 0 {
			o.centre = point{r.IntN(w) * px, r.IntN(h) * px}
		}
		base := r.pickContrast(behind)
		ink := pick(r, base.shade(35), colour{25, 20, 20, 255}, r.pickContrast(base))
		animal(r, k, o, r.makeCoat(base, o), r.makeCoat(r.pickContrast(base), o), ink)
	}
	return r.photograph(k)
}

// makeCoat returns a skin or fur of about one colour: plain, shaded, spotted, striped, or fuzzy.
func (r source) makeCoat(base colour, o pose) paint {
	other := pick(r, base.shade(70), r.pickColour())
	side := max(o.size/px, 8)
	switch r.IntN(6) {
	case 0, 1:
		return solid(base)
	case 2: // light from above
		top := o.centre.y/px - side/2
		return func(_, y int) colour { return base.shade(120 - min(max(y-top, 0), side)*50/side) }
	case 3: // spots
		f := newField(r, max(side/r.between(6, 20), 2))
		return func(x, y int) colour {
			if f.at(x, y) > 160 {
				return other
			}
			return base
		}
	case 4: // stripes
		step, f := max(side/r.between(8, 24), 3), newField(r, max(side/6, 2))
		lying := r.chance(40)
		return func(x, y int) colour {
			if lying {
				x = y
			}
			if (x+f.at(x, y)*step/200)/step%2 == 0 {
				return base
			}
			return other
		}
	}
	f, coarse := newField(r, 2), newField(r, max(side/5, 2))
	return func(x, y int) colour { return base.shade(75 + f.at(x, y)*25/255 + coarse.at(x, y)*25/255) }
}

// drawEye draws an eye at a place of the pose.
func drawEye(k *canvas, o pose, x, y, size int, ink colour) {
	k.fill(solid(colour{250, 250, 245, 255}), o.ellipse(x, y, size, size, 0))
	k.fill(solid(ink), o.ellipse(x+size/5, y, size*6/10, size*7/10, 0))
	k.fill(solid(colour{255, 255, 255, 255}), o.ellipse(x+size/10, y-size/3, size/5, size/5, 0))
}

func drawFish(r source, k *canvas, o pose, coat, mark paint, ink colour) {
	tail, high := r.between(120, 260), r.between(160, 300)
	k.fill(mark, smooth(o.place(-250, 0, -470, -tail, -400, 0, -470, tail), 1))
	k.fill(mark, smooth(o.place(-150, -high+60, 40, -high-r.between(60, 180), 200, -high+80), 2))
	k.fill(mark, smooth(o.place(-60, high-80, 20, high+120, 120, high-60), 1))
	k.fill(coat, smooth(o.place(-330, 0, -120, -high, 200, -high, 460, -60, 480, 20, 200, high, -120, high), 3))
	if r.chance(50) {
		for x := -180; x < 150; x += 80 {
			k.stroke(solid(ink.fade(140)), o.length(10), bend(o.place(x, -high/2, x+50, 0, x, high/2), 2)...)
		}
	}
	k.stroke(solid(ink), o.length(14), bend(o.place(230, -high*2/3, 190, 0, 230, high*2/3), 2)...)
	drawEye(k, o, 330, -50, r.between(28, 60), ink)
	k.stroke(solid(ink), o.length(12), o.place(465, 30, 400, r.between(40, 80))...)
}

func drawCatFace(r source, k *canvas, o pose, coat, mark paint, ink colour) {
	long := r.between(330, 480)
	for _, side := range []int{-1, 1} {
		k.fill(coat, smooth(o.place(side*390, -40, side*350, -long, side*60, -280), 1))
		k.fill(mark, smooth(o.place(side*340, -140, side*325, -long+80, side*140, -270), 1))
	}
	k.fill(coat, smooth(o.place(-300, -320, 300, -320, 470, 60, 300, 400, 0, 450, -300, 400, -470, 60), 3))
	k.fill(mark, o.ellipse(-85, 210, 120, 95, 0), o.ellipse(85, 210, 120, 95, 0))
	size := r.between(50, 95)
	for _, x := range []int{-180, 180} {
		k.fill(solid(r.pickColour()), o.ellipse(x, -20, size*13/10, size, 0))
		k.fill(solid(colour{10, 10, 10, 255}), o.ellipse(x, -20, size*r.between(2, 7)/10, size*9/10, 0))
		for i := -1; i <= 1; i++ {
			k.stroke(solid(ink), o.length(8), o.place(x*2/3, 200+20*i, x*5/2, 190+70*i)...)
		}
	}
	k.fill(solid(hsv(r.between(330, 359), 120, 200)), smooth(o.place(-60, 110, 60, 110, 0, 180), 1))
	k.stroke(solid(ink), o.length(12), bend(o.place(-110, 250, -40, 280, 0, 180, 40, 280, 110, 250), 2)...)
}

func drawBird(r source, k *canvas, o pose, coat, mark paint, ink colour) {
	fat := r.between(180, 300)
	legs := solid(hsv(r.between(15, 50), 220, 220))
	for _, x := range []int{-20, 60} {
		k.stroke(legs, o.length(16), o.place(x, fat-40, x, fat+160)...)
		k.stroke(legs, o.length(14), o.place(x-50, fat+170, x, fat+150, x+60, fat+170)...)
	}
	k.fill(mark, smooth(o.place(-220, 0, -490, r.between(-200, 60), -480, r.between(80, 160), -200, 120), 1))
	k.fill(coat, smooth(o.place(-300, 40, -180, -fat+60, 140, -fat, 330, -40, 240, fat, -100, fat), 3))
	k.fill(coat, o.ellipse(230, -fat+10, 150, 140, 0))
	k.fill(legs, o.place(350, -fat-40, 350+r.between(80, 200), -fat+20, 350, -fat+60))
	if r.chance(60) {
		k.fill(mark, smooth(o.place(110, -60, 100, 90, -120, 140, -340, 60, -160, -40), 2))
	} else { // spread
		k.fill(mark, smooth(o.place(110, -60, -30, -470, -200, -430, -190, 0), 1))
	}
	drawEye(k, o, 270, -fat-20, 34, ink)
}

func drawSnail(r source, k *canvas, o pose, coat, mark paint, ink colour) {
	k.fill(coat, smooth(o.place(-480, 330, -200, 240, 200, 240, 300, 60, 330, -120, 440, -130, 460, 100, 380, 330), 2))
	for _, x := range []int{370, 430} {
		tip := o.at(x+50, -300)
		k.stroke(coat, o.length(26), o.at(x, -100), tip)
		k.fill(solid(ink), ellipse(tip, o.length(26), o.length(26)))
	}
	size := r.between(230, 310)
	k.fill(mark, o.ellipse(-60, 250-size, size, size, 0))
	var spiral []point
	for d, reach := 0, size; reach > 20; d, reach = d+20, reach*94/100 {
		spiral = append(spiral, o.at(-60+scale(reach, cosine(d)), 250-size+scale(reach, sine(d))))
	}
	k.stroke(solid(ink), o.length(r.between(12, 40)), spiral...)
	k.stroke(solid(ink), o.length(10), bend(o.place(455, 40, 420, 70, 390, 60), 1)...)
}

// drawFourLegged draws a body on four legs, without head and tail.
func drawFourLegged(r source, k *canvas, o pose, coat, far paint, leg int) {
	for i, x := range []int{-250, 170, -310, 230} {
		p, swing := coat, r.between(-50, 50)
		if i < 2 {
			p = far
		}
		k.stroke(p, o.length(r.between(60, 95)),
			bend(o.place(x, 60, x+swing/2, 60+leg/2, x+swing, 60+leg, x+swing+40, 60+leg), 1)...)
	}
	k.fill(coat, smooth(o.place(-370, -130, 240, -150, 330, 40, 230, 160, -300, 150, -400, 40), 3))
}

func drawDog(r source, k *canvas, o pose, coat, mark paint, ink colour) {
	k.stroke(coat, o.length(50), bend(o.place(-350, -60, -450, -140, r.between(-490, -380), -320), 2)...)
	drawFourLegged(r, k, o, coat, mark, r.between(180, 320))
	k.stroke(coat, o.length(170), o.place(230, -80, 300, -220)...)
	k.fill(coat, smooth(o.place(200, -380, 380, -380, 420, -250, 500, -220, 490, -140, 330, -120, 210, -160), 2))
	k.fill(mark, smooth(o.place(210, -370, 290, -370, 260, -100, 170, -120, 150, -240), 2))
	k.fill(solid(ink), o.ellipse(490, -215, 28, 24, 0))
	drawEye(k, o, 345, -290, 26, ink)
	if r.chance(60) {
		k.stroke(solid(r.pickColour()), o.length(40), o.place(200, -110, 340, -90)...)
	}
}

func drawCat(r source, k *canvas, o pose, coat, mark paint, ink colour) {
	if r.chance(50) { // sitting
		k.stroke(coat, o.length(60), bend(o.place(180, 380, 420, 400, 430, 200, r.between(330, 480), 60), 2)...)
		k.fill(coat, smooth(o.place(0, -160, 170, 0, 260, 420, -260, 420, -170, 0), 2))
		k.fill(mark, smooth(o.place(0, 0, 90, 120, 60, 400, -60, 400, -90, 120), 2))
		for _, s := range []int{-1, 1} {
			k.fill(coat, o.place(s*180, -260, s*170, -480, s*40, -380))
			k.fill(coat, o.ellipse(s*90, 400, 80, 45, 0))
		}
		k.fill(coat, o.ellipse(0, -240, 200, 170, 0))
		drawEye(k, o, -75, -260, 40, ink)
		drawEye(k, o, 75, -260, 40, ink)
		k.fill(solid(ink), o.place(-25, -190, 25, -190, 0, -160))
		return
	}
	k.stroke(coat, o.length(45), bend(o.place(-350, -60, -500, -120, -400, -400, -490, -450), 3)...)
	drawFourLegged(r, k, o, coat, mark, r.between(160, 260))
	for _, x := range []int{260, 400} {
		k.fill(coat, o.place(x-50, -280, x-10, -450, x+60, -290))
	}
	k.fill(coat, o.ellipse(330, -220, 150, 130, 0))
	drawEye(k, o, 300, -240, 28, ink)
	drawEye(k, o, 400, -240, 28, ink)
	k.fill(solid(ink), o.place(340, -180, 390, -180, 365, -155))
}

func drawRabbit(r source, k *canvas, o pose, coat, mark paint, ink colour) {
	lean := r.between(-15, 25)
	k.fill(mark, o.ellipse(-320, 250, 80, 80, 0))
	k.fill(coat, o.ellipse(-60, 190, 300, 230, 0), o.ellipse(-150, 330, 200, 90, 0), o.ellipse(150, 390, 120, 45, 0))
	for i, x := range []int{150, 240} {
		k.fill(coat, o.ellipse(x, -290, 55, 190, lean-10+20*i))
		k.fill(mark, o.ellipse(x, -280, 25, 140, lean-10+20*i))
	}
	k.fill(coat, o.ellipse(210, -40, 160, 140, 0))
	drawEye(k, o, 250, -70, 34, ink)
	k.fill(solid(hsv(345, 110, 220)), o.ellipse(360, -20, 22, 18, 0))
	for i := -1; i <= 1; i++ {
		k.stroke(solid(ink), o.length(6), o.place(330, 10, 470, 10+40*i)...)
	}
}

func drawButterfly(r source, k *canvas, o pose, coat, mark paint, ink colour) {
	upper, lower := r.between(300, 480), r.between(200, 380)
	for _, s := range []int{-1, 1} {
		k.fill(coat, smooth(o.place(0, -60, s*140, -upper, s*460, -upper+40, s*420, -60, s*60, 30), 2))
		k.fill(mark, smooth(o.place(0, 0, s*300, 20, s*360, lower-80, s*180, lower+40, s*40, 120), 2))
		for range 3 {
			k.fill(solid(r.pickColour()), o.ellipse(s*r.between(120, 340), r.between(-upper+100, lower-60), 40, 40, 0))
		}
		k.stroke(solid(ink), o.length(10), bend(o.place(0, -180, s*60, -360, s*140, -430), 2)...)
	}
	k.fill(solid(ink), o.ellipse(0, 20, 32, 220, 0), o.ellipse(0, -200, 50, 50, 0))
}

func drawTurtle(r source, k *canvas, o pose, coat, mark paint, ink colour) {
	for _, x := range []int{-250, -140, 130, 230} {
		k.stroke(coat, o.length(95), o.place(x, 100, x+r.between(-40, 40), 290)...)
	}
	k.fill(coat, o.place(-330, 140, -470, 190, -320, 190))
	k.stroke(coat, o.length(110), bend(o.place(250, 110, 370, 60, 400, -60), 2)...)
	k.fill(coat, o.ellipse(410, -70, 90, 75, 0))
	k.fill(mark, smooth(o.place(-360, 170, -300, -110, 0, -260, 260, -110, 330, 170), 2))
	for x := -200; x <= 200; x += 130 {
		k.stroke(solid(ink), o.length(12), append(o.ellipse(x, 0, 55, 60, 0), o.at(x+55, 0))...)
	}
	drawEye(k, o, 440, -90, 24, ink)
}

func drawSnake(r source, k *canvas, o pose, coat, mark paint, ink colour) {
	var line []point
	bends := r.between(2, 5)
	for i := 0; i <= 40; i++ {
		line = append(line, o.at(-450+i*21, scale(r.between(150, 170), sine(i*9*bends))))
	}
	thick := r.between(50, 110)
	k.stroke(coat, o.length(thick), line...)
	for i := 1; i < 38; i += r.between(2, 4) {
		k.fill(mark, ellipse(line[i], o.length(thick/4), o.length(thick/4)))
	}
	head := line[len(line)-1]
	k.fill(coat, ellipse(head, o.length(thick*8/10), o.length(thick*6/10)))
	k.stroke(solid(hsv(0, 230, 220)), o.length(10), head, point{head.x + o.length(130), head.y + o.length(20)})
	k.fill(solid(ink), ellipse(point{head.x, head.y - o.length(20)}, o.length(14), o.length(14)))
}

func drawHorse(r source, k *canvas, o pose, coat, mark paint, ink colour) {
	k.stroke(mark, o.length(50), bend(o.place(-370, -60, -460, 40, -440, 260), 2)...)
	drawFourLegged(r, k, o, coat, mark, r.between(300, 400))
	k.stroke(coat, o.length(150), o.place(240, -60, 330, -340)...)
	k.stroke(mark, o.length(60), o.place(190, -120, 280, -420)...)
	k.fill(coat, smooth(o.place(280, -460, 390, -440, 500, -250, 470, -190, 400, -210, 310, -290), 2),
		o.place(300, -420, 310, -500, 350, -430))
	drawEye(k, o, 370, -370, 22, ink)
	k.fill(solid(ink), o.ellipse(470, -235, 12, 16, 0))
}

func drawOwl(r source, k *canvas, o pose, coat, mark paint, ink colour) {
	k.fill(coat, smooth(o.place(-280, -420, 0, -360, 280, -420, 320, 0, 220, 380, 0, 440, -220, 380, -320, 0), 2))
	k.fill(mark, o.ellipse(0, 170, 180, 230, 0))
	for _, s := range []int{-1, 1} {
		k.fill(mark, smooth(o.place(s*260, -80, s*360, 120, s*270, 360, s*200, 100), 2))
		k.fill(solid(colour{245, 240, 220, 255}), o.ellipse(s*120, -190, 120, 120, 0))
		size := r.between(40, 85)
		k.fill(solid(r.pickColour()), o.ellipse(s*120, -190, size, size, 0))
		k.fill(solid(colour{10, 10, 10, 255}), o.ellipse(s*120, -190, size/2, size/2, 0))
		k.stroke(solid(ink), o.length(30), o.place(s*90, 430, s*90, 480)...)
	}
	k.fill(solid(hsv(40, 220, 230)), o.place(-40, -130, 40, -130, 0, -40))
}
