package drawn

import (
	"fmt"
	"slices"
	"strings"

	"garb/picture"
)

// garments has functions that draw a garment each, of a cloth, in a pose.
var garments = map[string]func(r source, k *canvas, o pose, cloth fabric){
	"t-shirt": drawTShirt, "longsleeve": drawLongsleeve, "pants": drawPants, "dress": drawDress,
	"shoes": drawShoes, "hat": drawHat, "skirt": drawSkirt, "shorts": drawShorts, "shirt": drawShirt,
	"outwear": drawCoat,
}

// Garments returns the classes that DrawGarment draws, sorted.
func Garments() []string {
	var classes []string
	for class := range garments {
		classes = append(classes, class)
	}
	slices.Sort(classes)
	return classes
}

// DrawGarment draws a garment that lies on a floor, a bed or a table, in a picture of 400 × 533 pixels.
// Colours, cut, folds and ground depend on the seed. The class must be one of Garments.
func DrawGarment(class string, seed uint64) (*picture.RGB, error) {
	draw, ok := garments[class]
	if !ok {
		return nil, fmt.Errorf("there is no drawing of a garment %q, only of %s", class, strings.Join(Garments(), ", "))
	}
	const width, height = 400, 533
	r := newSource(seed, uint64(slices.Index(Garments(), class)))
	back, light := r.makeFloor(width), r.between(-12, 12)
	k := newCanvas(width, height,
		func(x, y int) colour { return back(x, y).shade(104 + light*(x-width/2)/width - 8*y/height) })
	o := pose{centre: point{(width/2 + r.between(-10, 10)) * px, (height/2 + r.between(-12, 12)) * px},
		size:    370 * px,
		degrees: r.between(-6, 6), wide: r.between(92, 108)}
	draw(r, k, o, r.makeFabric(back(width/2, height/2), o))
	k.addGrain(r, 3)
	return &picture.RGB{Width: width, Height: height, Pix: k.Pix}, nil
}

// makeFloor returns a background of garments: boards, a sheet, a carpet, a wall.
func (r source) makeFloor(width int) paint {
	switch r.IntN(4) {
	case 0: // boards
		base, board := hsv(r.between(22, 36), r.between(60, 120), r.between(150, 215)), r.between(60, 100)
		f, fine := newField(r, 24), newField(r, 5)
		return func(x, y int) colour {
			if x%board < 2 {
				return base.shade(78)
			}
			return base.shade(88 + f.at(3*x, y/3)*12/255 + fine.at(4*x, y/5)*9/255 + x/board*29%9)
		}
	case 1: // a sheet with soft folds
		base := hsv(r.IntN(360), r.between(0, 30), r.between(215, 245))
		f := newField(r, width/4)
		return func(x, y int) colour { return base.shade(86 + f.at(2*x+y, y)*16/255) }
	case 2: // carpet
		base := hsv(r.IntN(360), r.between(10, 60), r.between(120, 200))
		f, fine := newField(r, 90), newField(r, 2)
		return func(x, y int) colour { return base.shade(82 + f.at(x, y)*10/255 + fine.at(x, y)*14/255) }
	}
	base := hsv(r.between(20, 60), r.between(4, 25), r.between(200, 240)) // a wall
	f := newField(r, 160)
	return func(x, y int) colour { return base.shade(92 + f.at(x, y)*9/255) }
}

// fabric is the material of a garment.
type fabric struct {
	base colour
	paint
	trim paint // of collars, waistbands and the like
	seam colour
}

// makeFabric returns a cloth that stands out from the ground: plain, striped or checked, and always with
// darker and lighter folds.
func (r source) makeFabric(back colour, o pose) fabric {
	base := r.pickContrast(back)
	other := r.pickContrast(base)
	folds, fine := newField(r, o.size/px/7), newField(r, 2)
	slope, step, kind := r.between(1, 3), r.between(8, 26), r.IntN(6)
	cloth := func(x, y int) colour {
		c := base
		switch {
		case kind == 3 && y/step%2 == 0:
			c = mix(base, other, 1, 2)
		case kind == 4 && (x/step%3 == 0 || y/step%3 == 0):
			c = mix(base, other, 1, 3)
		}
		return c.shade(78 + folds.at(slope*x+y/2, x/3+y)*30/255 + fine.at(x, y)*8/255)
	}
	return fabric{base, cloth, func(x, y int) colour { return cloth(x, y).shade(82) }, base.shade(62)}
}

// lay draws a shape of cloth with a shadow on the ground and darker edges.
func (f fabric) lay(k *canvas, o pose, outline []point) {
	for i := 1; i <= 3; i++ {
		shadow := make([]point, len(outline))
		for j, p := range outline {
			shadow[j] = point{p.x + 3*i*px/2, p.y + 2*i*px}
		}
		k.fill(solid(colour{0, 0, 0, 38}), shadow)
	}
	k.fill(f.paint, outline)
	for i := 1; i <= 3; i++ {
		k.stroke(solid(f.base.shade(40).fade(26)), o.length(9*i), append(slices.Clone(outline), outline[0])...)
	}
}

// sew draws a seam.
func (f fabric) sew(k *canvas, o pose, width int, xy ...int) {
	k.stroke(solid(f.seam.fade(190)), o.length(width), bend(o.place(xy...), 2)...)
}

// fold draws a soft crease.
func (f fabric) fold(k *canvas, o pose, xy ...int) {
	line := bend(o.place(xy...), 2)
	k.stroke(solid(f.base.shade(45).fade(45)), o.length(26), line...)
	k.stroke(solid(f.base.shade(35).fade(70)), o.length(9), line...)
}

// mirror returns the outline of a left half, which goes from the middle of the top to the middle
// of the bottom, and of its mirror image.
func mirror(xy ...int) []int {
	whole := slices.Clone(xy)
	for i := len(xy) - 2; i >= 0; i -= 2 {
		whole = append(whole, -xy[i], xy[i+1])
	}
	return whole
}

// drawCollar draws the opening of the neck: the back of the cloth, and a rib around it.
func (f fabric) drawCollar(k *canvas, o pose, wide, deep int) {
	k.fill(solid(f.base.shade(50)),
		smooth(o.place(-wide, -560, wide, -560, wide*3/4, -560+deep, 0, -545+deep, -wide*3/4, -560+deep), 2))
	k.stroke(f.trim, o.length(30),
		bend(o.place(-wide, -560, -wide*3/4, -560+deep, 0, -540+deep, wide*3/4, -560+deep, wide, -560), 2)...)
}

func drawTShirt(r source, k *canvas, o pose, f fabric) {
	wide, hem := r.between(290, 340), r.between(460, 600)
	f.lay(k, o, smooth(o.place(
		mirror(-60, -565, -160, -560, -330, -480, -520, -190, -370, -100, -wide+10, -220, -wide, 100,
			-wide-10, hem, 0, hem+20)...), 1))
	f.drawCollar(k, o, 140, r.between(70, 130))
	for _, s := range []int{-1, 1} {
		f.sew(k, o, 8, s*330, -470, s*290, -330, s*(wide-10), -200)
		f.sew(k, o, 6, s*505, -210, s*365, -125)
		f.fold(k, o, s*280, -200, s*180, -60, s*200, 120)
		f.fold(k, o, s*(wide-60), 200, s*120, hem-160)
	}
	f.sew(k, o, 6, -wide, hem-35, 0, hem-12, wide, hem-35)
	if r.chance(50) { // a print
		k.fill(solid(r.pickContrast(f.base)), o.ellipse(0, -140, r.between(80, 150), r.between(80, 150), 0))
	}
}

func drawLongsleeve(r source, k *canvas, o pose, f fabric) {
	wide, hem := r.between(280, 330), r.between(430, 540)
	f.lay(k, o, smooth(o.place(
		mirror(-60, -565, -160, -560, -320, -490, -420, -250, -500, 120, -530, 430, -420, 450,
			-360, 100, -wide+20, -180, -wide, 100, -wide, hem, 0, hem+15)...), 1))
	f.drawCollar(k, o, 130, r.between(50, 100))
	for _, s := range []int{-1, 1} {
		f.sew(k, o, 8, s*310, -480, s*270, -330, s*(wide-20), -170)
		f.sew(k, o, 8, s*525, 370, s*415, 390)
		f.fold(k, o, s*420, -120, s*380, 20)
		f.fold(k, o, s*480, 100, s*400, 170)
		f.fold(k, o, s*260, -160, s*150, 60)
	}
	f.sew(k, o, 8, -wide, hem-50, 0, hem-35, wide, hem-50)
}

func drawShirt(r source, k *canvas, o pose, f fabric) {
	drawLongsleeve(r, k, o, f)
	k.fill(f.trim, o.place(-150, -590, 0, -470, -90, -400, -190, -530),
		o.place(150, -590, 0, -470, 90, -400, 190, -530))
	f.sew(k, o, 8, -150, -590, -190, -530, -90, -400, 0, -470)
	f.sew(k, o, 8, 150, -590, 190, -530, 90, -400, 0, -470)
	f.sew(k, o, 6, -34, -440, -34, 460)
	f.sew(k, o, 6, 34, -440, 34, 460)
	button := r.pickContrast(f.base)
	for y := -380; y < 440; y += 135 {
		k.fill(solid(button), o.ellipse(0, y, 15, 15, 0))
	}
	f.sew(k, o, 7, 90, -190, 220, -190, 220, -40, 155, 0, 90, -40, 90, -190)
}

func drawCoat(r source, k *canvas, o pose, f fabric) {
	drawLongsleeve(r, k, o, f)
	lining := solid(f.base.shade(45))
	k.fill(lining, o.place(-130, -580, 130, -580, 0, -120))
	k.fill(f.trim, o.place(-160, -590, -60, -585, 0, -110, -150, -280, -120, -340, -210, -400),
		o.place(160, -590, 60, -585, 0, -110, 150, -280, 120, -340,
			210, -400))
	f.sew(k, o, 14, 0, -110, 0, 450)
	button := r.pickContrast(f.base)
	for y := -60; y < 400; y += 130 {
		k.fill(solid(button), o.ellipse(40, y, 20, 20, 0))
	}
	for _, s := range []int{-1, 1} {
		f.sew(k, o, 16, s*110, 180, s*230, 230)
	}
}

func drawPants(r source, k *canvas, o pose, f fabric) {
	leg, out := r.between(560, 640), r.between(40, 110)
	f.lay(k, o, o.place(
		mirror(0, -610, -210, -600, -235, -420, -260-out/3, 0, -240-out, leg, -90-out/2, leg+10,
			-40, -60, 0, -230)...))
	k.fill(f.trim, o.place(-212, -612, 212, -612, 218, -545, -218, -545))
	f.sew(k, o, 8, -214, -545, 0, -540, 214, -545)
	f.sew(k, o, 9, 0, -540, 4, -380, 0, -235)
	k.fill(solid(r.pickContrast(f.base)), o.ellipse(0, -578, 17, 17, 0))
	for _, s := range []int{-1, 1} {
		f.sew(k, o, 8, s*120, -545, s*150, -440, s*232, -420)
		f.fold(k, o, s*60, -240, s*150, -180, s*200, -190)
		f.fold(k, o, s*(150+out/2), 40, s*(190+out/2), 130)
		f.fold(k, o, s*150, -150, s*(165+out*2/3), leg-40)
		f.sew(k, o, 6, s*(235+out), leg-30, s*(95+out/2), leg-20)
	}
}

func drawShorts(r source, k *canvas, o pose, f fabric) {
	leg := r.between(180, 330)
	f.lay(k, o, o.place(
		mirror(0, -400, -330, -390, -390, -100, -440, leg, -60, leg+25, -30, 60, 0, 0)...))
	k.fill(f.trim, o.place(-332, -402, 332, -402, 345, -325, -345, -325))
	f.sew(k, o, 9, 0, -325, 4, -150, 0, 0)
	k.stroke(solid(r.pickContrast(f.base)), o.length(16), bend(o.place(-40, -330, -70, -200, -30, -150), 2)...)
	k.stroke(solid(r.pickContrast(f.base)), o.length(16), bend(o.place(40, -330, 60, -210, 50, -130), 2)...)
	for _, s := range []int{-1, 1} {
		f.sew(k, o, 9, s*230, -325, s*270, -180, s*380, -140)
		f.sew(k, o, 7, s*435, leg-35, s*65, leg-10)
		f.fold(k, o, s*80, 20, s*220, 60, s*330, 40)
		f.fold(k, o, s*240, -100, s*270, leg-60)
	}
}

func drawDress(r source, k *canvas, o pose, f fabric) {
	waist, hem, sleeve := r.between(130, 180), r.between(300, 440), r.chance(40)
	outline := mirror(
		-70, -560, -110, -655, -165, -650, -190, -470, -230, -400, -waist, -160, -220, 80, -hem, 610,
		0, 650)
	if sleeve {
		outline = mirror(
			-60, -620, -170, -640, -340, -430, -250, -360, -210, -400, -waist, -160, -220, 80, -hem, 610,
			0, 650)
	}
	f.lay(k, o, smooth(o.place(outline...), 1))
	k.fill(solid(f.base.shade(50)), smooth(o.place(-75, -600, 75, -600, 60, -520, 0, -490, -60, -520), 1))
	k.fill(f.trim, smooth(o.place(-waist-12, -185, waist+12, -185, waist+12, -130, -waist-12, -130), 1))
	for i := -3; i <= 3; i++ {
		f.fold(k, o, i*waist/4, -110, i*(waist+hem)/8, 200, i*hem/4, 590)
	}
	f.sew(k, o, 7, -hem*9/10, 582, 0, 615, hem*9/10, 582)
}

func drawSkirt(r source, k *canvas, o pose, f fabric) {
	waist, hem, long := r.between(180, 230), r.between(330, 470), r.between(250, 420)
	f.lay(k, o, smooth(o.place(mirror(0, -400, -waist, -400, -waist-60, -260, -hem, long, -hem/2, long+45, 0,
		long+55)...), 1))
	k.fill(f.trim, o.place(-waist, -410, waist, -410, waist+12, -335, -waist-12, -335))
	f.sew(k, o, 9, -waist-12, -335, 0, -325, waist+12, -335)
	for i := -4; i <= 4; i++ {
		f.fold(k, o, i*waist/5, -310, i*(waist+hem)/10, 0, i*hem/5, long+10)
	}
	f.sew(k, o, 7, -hem*9/10, long-38, 0, long+20, hem*9/10, long-38)
}

func drawHat(r source, k *canvas, o pose, f fabric) {
	brim, crown := r.between(380, 500), r.between(200, 330)
	if r.chance(50) { // a cap with a peak
		f.lay(k, o, smooth(o.place(-370, 130, -360, -120, -200, -330, 40, -350, 260, -220, 330, 110), 2))
		f.lay(k, o, smooth(o.place(-60, 110, 330, 60, 520, 150, 500, 230, 200, 190, -60, 180), 2))
		for _, x := range []int{-200, -20, 150} {
			f.sew(k, o, 8, -20, -345, x*3/2, -100, x*3/2, 110)
		}
		k.fill(f.trim, o.ellipse(-20, -345, 34, 20, 0))
		return
	}
	f.lay(k, o, o.ellipse(0, 140, brim, 150, 0))
	k.fill(solid(f.base.shade(45).fade(90)), o.ellipse(0, 125, 270, 80, 0))
	f.lay(k, o, smooth(o.place(-255, 110, -240, -crown+60, -120, -crown-30, 0, -crown+10, 120, -crown-30, 240,
		-crown+60, 255, 110, 0, 180), 2))
	k.fill(solid(r.pickContrast(f.base)), smooth(o.place(-250, 20, 0, 90, 250, 20, 252, 100, 0, 170, -252, 100), 1))
	f.fold(k, o, -80, -crown+30, 0, -crown+120, 80, -crown+30)
}

func drawShoes(r source, k *canvas, o pose, f fabric) {
	sole, lace := r.pickContrast(f.base), pick(r, colour{245, 245, 245, 255}, r.pickContrast(f.base))
	for i, y := range []int{-230, 210} { // a pair, from the side
		p := o
		p.centre = o.at(30-60*i, y)
		f.lay(k, p, smooth(p.place(-460, -160, -420, -210, -190, -190, -60, -110, 130, -20, 400, 20, 480, 90, 470,
			160, -450, 160, -480, 20), 2))
		k.fill(solid(sole), smooth(p.place(-480, 120, 480, 110, 500, 150, 470, 200, -460, 200, -490, 170), 1))
		k.fill(f.trim, smooth(p.place(300, 20, 480, 60, 490, 130, 260, 125), 2))
		k.fill(solid(f.base.shade(45)), smooth(p.place(-430, -185, -200, -175, -150, -140, -400, -140), 2))
		for x := -130; x <= 110; x += 60 {
			k.stroke(solid(lace), p.length(18), p.place(x, -105+(x+130)/3, x-55, -30+(x+130)/3)...)
		}
		f.sew(k, p, 9, -180, -120, -150, 20, -250, 115)
		f.sew(k, p, 9, 60, -30, 60, 60, 150, 115)
		k.stroke(solid(r.pickContrast(f.base)), p.length(26), bend(p.place(-360, 60, -200, 90, 0, -40), 2)...)
	}
}
