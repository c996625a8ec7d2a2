package drawn

// drawColour draws one colour: black, white, a grey, or any hue.
func drawColour(r source) *canvas {
	w, h := r.pickSize()
	v := uint8(r.IntN(256))
	c := pick(r, colour{0, 0, 0, 255}, colour{255, 255, 255, 255}, colour{v, v, v, 255},
		hsv(r.IntN(360), 255, 255), hsv(r.IntN(360), r.IntN(256), r.between(40, 255)), r.pickColour(), r.pickColour())
	k := newCanvas(w, h, solid(c))
	if r.chance(20) { // a wall in a photo is not quite one colour
		k.addGrain(r, r.between(1, 4))
	}
	return k
}

// drawGradient draws gradients: along a line, around a point, between four corners, or in clouds.
func drawGradient(r source) *canvas {
	w, h := r.pickSize()
	stops := make([]colour, r.between(2, 5))
	for i := range stops {
		stops[i] = r.pickColour()
	}
	const whole = 1000
	through := func(at int) colour {
		at = min(max(at, 0), whole-1) * (len(stops) - 1)
		return mix(stops[at/whole], stops[at/whole+1], at%whole, whole)
	}
	reach := sqrt(int64(w)*int64(w) + int64(h)*int64(h))
	k := newCanvas(w, h, black)
	switch r.IntN(5) {
	case 0, 1:
		degrees := r.IntN(360)
		k.fillBox(0, 0, w, h, func(x, y int) colour {
			along := scale(x-w/2, cosine(degrees)) + scale(y-h/2, sine(degrees))
			return through(whole/2 + along*whole/reach)
		})
	case 2:
		cx, cy := r.IntN(w), r.IntN(h)
		k.fillBox(0, 0, w, h, func(x, y int) colour {
			return through(sqrt(int64((x-cx)*(x-cx)+(y-cy)*(y-cy))) * whole / reach)
		})
	case 3:
		corners := [4]colour{r.pickColour(), r.pickColour(), r.pickColour(), r.pickColour()}
		k.fillBox(0, 0, w, h, func(x, y int) colour {
			return mix(mix(corners[0], corners[1], x, w), mix(corners[2], corners[3], x, w), y, h)
		})
	default:
		f := newField(r, r.between(max(w/6, 2), w))
		k.fillBox(0, 0, w, h, func(x, y int) colour { return through(f.at(x, y) * whole / 256) })
	}
	if r.chance(20) {
		k.addGrain(r, r.between(1, 8))
	}
	return k
}

// black paints black, for canvases that are painted over at once.
func black(int, int) colour { return colour{a: 255} }

// drawNoise draws noise: uniform, Gaussian, smooth, of two colours, or as of an untuned television.
func drawNoise(r source) *canvas {
	w, h := r.pickSize()
	base, other := r.pickColour(), r.pickColour()
	block := pick(r, 1, 1, 1, 2, r.between(2, 32)) // pixels that share a value
	f := newField(r, r.between(2, 60))
	g, b := newField(r, r.between(2, 60)), newField(r, r.between(2, 60))
	spot := newField(r, 1)
	var p paint
	switch r.IntN(8) {
	case 0: // each channel uniform
		p = func(int, int) colour { return colour{uint8(r.IntN(256)), uint8(r.IntN(256)), uint8(r.IntN(256)), 255} }
	case 1: // grey
		p = func(int, int) colour { v := uint8(r.IntN(256)); return colour{v, v, v, 255} }
	case 2: // Gaussian around a colour
		deviation := r.between(8, 90)
		p = func(int, int) colour {
			return colour{clamp(int(base.r) + r.normal(deviation)), clamp(int(base.g) + r.normal(deviation)),
				clamp(int(base.b) + r.normal(deviation)), 255}
		}
	case 3: // two colours
		share := r.between(2, 98)
		p = func(int, int) colour {
			if r.chance(share) {
				return base
			}
			return other
		}
	case 4: // smooth, each channel for itself
		p = func(x, y int) colour { return colour{uint8(f.at(x, y)), uint8(g.at(x, y)), uint8(b.at(x, y)), 255} }
	case 5: // smooth between two colours, at several scales
		p = func(x, y int) colour {
			return mix(base, other, (4*f.at(x, y)+2*f.at(2*x, 2*y)+f.at(4*x, 4*y)+f.at(8*x, 8*y))/8, 255)
		}
	case 6: // blotches with hard edges
		limit := r.between(70, 180)
		p = func(x, y int) colour {
			if f.at(x, y) < limit {
				return base
			}
			return other
		}
	default: // lines of a television
		p = func(x, y int) colour {
			v := spot.at(x/3, y) * (60 + f.at(0, y)*195/255) / 255
			return colour{uint8(v), uint8(v), uint8(v), 255}
		}
	}
	k := newCanvas(w, h, black)
	for y := 0; y < h; y += block {
		for x := 0; x < w; x += block {
			k.fillBox(x, y, x+block, y+block, solid(p(x, y)))
		}
	}
	if r.chance(25) {
		k.blur(r.between(1, 4))
	}
	return k
}

// drawPattern draws a pattern: stripes, checks, dots, rings, bricks.
func drawPattern(r source) *canvas {
	w, h := r.pickSize()
	a := r.pickColour()
	b := r.pickContrast(a)
	step, degrees := r.between(3, 80), pick(r, 0, 90, 45, r.IntN(360))
	turned := func(x, y int) (int, int) {
		x, y = x-w/2, y-h/2
		return scale(x, cosine(degrees)) - scale(y, sine(degrees)) + 1<<14,
			scale(x, sine(degrees)) + scale(y, cosine(degrees)) + 1<<14
	}
	third := r.pickColour()
	var choose func(x, y int) int
	switch r.IntN(7) {
	case 0:
		thick := r.between(1, 2*step-1)
		choose = func(x, _ int) int { return toBit(x%(2*step) < thick) }
	case 1:
		choose = func(x, y int) int { return (x/step + y/step) % 2 }
	case 2: // tartan: where stripes cross is a third colour
		choose = func(x, y int) int { return toBit(x%(3*step) < step) + toBit(y%(3*step) < step) }
	case 3: // dots
		radius := r.between(step/3, step)
		choose = func(x, y int) int {
			dx, dy := x%(2*step)-step, y%(2*step)-step
			return toBit(dx*dx+dy*dy < radius*radius)
		}
	case 4: // rings
		choose = func(x, y int) int {
			x, y = x-1<<14, y-1<<14
			return sqrt(int64(x*x+y*y)) / step % 2
		}
	case 5: // bricks
		choose = func(x, y int) int {
			return toBit(y%step < max(step/8, 1) ||
				(x+y/step%2*step)%(2*step) < max(step/8, 1))
		}
	default: // three stripes in turn
		choose = func(x, _ int) int { return x / step % 3 }
	}
	k := newCanvas(w, h, func(x, y int) colour {
		x, y = turned(x, y)
		return [3]colour{a, b, third}[choose(x, y)]
	})
	return r.photograph(k)
}

// toBit returns 1 for true, and 0 for false.
func toBit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// drawTiny draws a few pixels: one, a row, a column, a very small picture.
func drawTiny(r source) *canvas {
	sizes := [][2]int{
		{1, 1}, {1, 1}, {2, 2}, {1, r.between(2, 300)}, {r.between(2, 300), 1}, {r.between(2, 31), r.between(2, 31)},
		{r.between(2, 8), r.between(2, 8)}, {r.between(100, 600), r.between(1, 6)},
	}
	s := pick(r, sizes...)
	a, b := r.pickColour(), r.pickColour()
	f := newField(r, r.between(1, 9))
	return newCanvas(s[0], s[1], pick(r, solid(a), func(x, y int) colour { return mix(a, b, f.at(x, y), 255) },
		func(x, y int) colour {
			if (x+y)%2 == 0 {
				return a
			}
			return b
		}))
}

// drawShapes draws circles, boxes, triangles, stars and lines of many colours.
func drawShapes(r source) *canvas {
	w, h := r.pickSize()
	k := newCanvas(w, h, r.makeGround(h))
	side := min(w, h)
	for range r.between(1, pick(r, 1, 4, 40)) {
		o := pose{point{r.IntN(w) * px, r.IntN(h) * px}, r.between(side/12+1, side*3/4+2) * px, r.IntN(360), false,
			r.between(40, 160)}
		c := r.pickColour()
		if r.chance(30) {
			c = c.fade(r.between(80, 220))
		}
		switch r.IntN(6) {
		case 0:
			k.fill(solid(c), o.ellipse(0, 0, 400, 400, 0))
		case 1:
			k.fill(solid(c), o.place(-350, -350, 350, -350, 350, 350, -350, 350))
		case 2:
			k.fill(solid(c), o.place(0, -450, 400, 300, -400, 300))
		case 3:
			var star []point
			for i, n := 0, r.between(4, 9); i < 2*n; i++ {
				reach := 450 - 280*(i%2)
				star = append(star, o.at(scale(reach, cosine(180*i/n)), scale(reach, sine(180*i/n))))
			}
			k.fill(solid(c), star)
		case 4:
			k.stroke(solid(c), o.length(r.between(5, 80)),
				o.place(-400, r.between(-300, 300), 0, r.between(-300, 300), 400, 0)...)
		default:
			ring := o.ellipse(0, 0, 400, 400, 0)
			k.stroke(solid(c), o.length(r.between(20, 120)), append(ring, ring[0])...)
		}
	}
	return r.photograph(k)
}
