package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets into winogradTile (winograd_vector.go), in bytes.
const (
	winogradMap      = 8 * iota // a row of the feature map
	winogradResidual            // likewise; 0: none
	winogradPlanes
	winogradBias
	winogradLine
	winogradPixel
	winogradPlane
	winogradPitch
	winogradCount
	winogradVectors
	winogradMask // 0: no part of a vector is left
	winogradLow
	winogradHigh = winogradLow + 4
)

// winograd is what the transforms share: they go through tiles, and in each through the
// channels a vector at a time.
type winograd struct {
	isa
	arguments
}

// eachVector emits a loop over the tiles, and in it one over the vectors of channels. setUp
// loads the addresses of a tile's first channels, body handles a vector, advance moves the
// addresses on by one, and next moves those in the arguments to the next tile.
func (w winograd) eachVector(setUp func(), body func(part *mask), advance, next func()) {
	vectors := GP64()
	Label("tile")
	setUp()
	MOVQ(w.at(winogradVectors), vectors)
	TESTQ(vectors, vectors)
	JZ(LabelRef("part"))
	Label("vector")
	body(nil)
	advance()
	DECQ(vectors)
	JNZ(LabelRef("vector"))
	Label("part")
	CMPQ(w.at(winogradMask), Imm(0))
	JEQ(LabelRef("next"))
	part := w.loadMask(w.at(winogradMask))
	body(&part)
	Label("next")
	next()
	DECQ(w.at(winogradCount))
	JNZ(LabelRef("tile"))
	VZEROUPPER()
	RET()
}

// moveArgument adds a register, or a field of the arguments, to a field.
func (w winograd) moveArgument(field int, by Op) {
	r := GP64()
	MOVQ(by, r)
	ADDQ(r, w.at(field))
}

// loadInto loads a field into an existing register.
func (w winograd) loadInto(r reg.GPVirtual, field int) { MOVQ(w.at(field), r) }

// setLines points l to n lines from the address in a field on.
func (w winograd) setLines(l lines, field int) {
	w.loadInto(l.bases[0], field)
	for i := 1; i < len(l.bases); i++ {
		LEAQ(Mem{Base: l.bases[i-1], Index: l.stride, Scale: 4}, l.bases[i])
	}
}

// newEmptyLines returns n lines whose addresses setLines sets.
func newEmptyLines(n int, stride, stride3 reg.GPVirtual) lines {
	l := lines{stride: stride, stride3: stride3}
	for i := 0; i < n; i += 4 {
		l.bases = append(l.bases, GP64())
	}
	return l
}

// winogradTerm is a value of a transformed vector, made of its values number a and b: their sum
// or difference, or, if the other number is negative, value a alone or value b negated.
type winogradTerm struct {
	a, b int
	add  bool
}

// winogradInput transforms 4×4 windows: planes = Bᵀ·window·B.
func winogradInput(s isa) {
	terms := [4]winogradTerm{{0, 2, false}, {1, 2, true}, {2, 1, false}, {1, 3, false}}
	winogradSpread(s, "winogradInput", "windows", 4, terms)
}

// winogradGradient transforms gradients of 2×2 outputs: planes = A·gradient·Aᵀ.
func winogradGradient(s isa) {
	terms := [4]winogradTerm{{0, -1, false}, {0, 1, true}, {0, 1, false}, {-1, 1, false}}
	winogradSpread(s, "winogradGradient", "gradients", 2, terms)
}

// winogradSpread transforms parts of the map, size positions high and wide, to planes.
func winogradSpread(s isa, name, what string, size int, terms [4]winogradTerm) {
	name += s.name
	w := winograd{isa: s, arguments: begin(name, name+" computes the planes of a winogradTile's "+what+".")}
	plane, pixel := w.load(winogradPlane), w.load(winogradPixel)
	planes := newEmptyLines(16, plane, triple(plane))
	pixel3 := triple(pixel)
	rows := make([]lines, size)
	for i := range rows {
		rows[i] = lines{bases: []reg.GPVirtual{GP64()}, stride: pixel, stride3: pixel3}
	}
	zero := w.vector()
	w.zeros(zero)
	// combine sets to as a term says, of two vectors of which one may be missing.
	combine := func(t winogradTerm, value func(i int) reg.VecVirtual, to reg.VecVirtual) reg.VecVirtual {
		switch {
		case t.b < 0:
			return value(t.a)
		case t.a < 0:
			VSUBPS(value(t.b), zero, to)
		case t.add:
			VADDPS(value(t.b), value(t.a), to)
		default:
			VSUBPS(value(t.b), value(t.a), to)
		}
		return to
	}
	w.eachVector(func() {
		w.setLines(planes, winogradPlanes)
		w.loadInto(rows[0].bases[0], winogradMap)
		for i := 1; i < size; i++ {
			MOVQ(rows[i-1].bases[0], rows[i].bases[0])
			ADDQ(w.at(winogradLine), rows[i].bases[0])
		}
	}, func(part *mask) {
		for i, down := range terms {
			column := make([]reg.VecVirtual, size)
			for j := range column {
				column[j] = combine(down, func(row int) reg.VecVirtual {
					v := w.vector()
					w.read(rows[row].at(j, 0), v, part)
					return v
				}, w.vector())
			}
			for j, along := range terms {
				v := combine(along, func(k int) reg.VecVirtual { return column[k] }, w.vector())
				w.write(v, planes.at(4*i+j, 0), part)
			}
		}
	}, func() {
		planes.move(Imm(uint64(s.bytes)))
		for _, r := range rows {
			r.move(Imm(uint64(s.bytes)))
		}
	}, func() {
		w.moveArgument(winogradPlanes, w.at(winogradPitch))
		two := GP64()
		LEAQ(Mem{Base: pixel, Index: pixel, Scale: 1}, two)
		w.moveArgument(winogradMap, two)
	})
}

// winogradOutput transforms planes back: to rows × columns of the 2×2 outputs Aᵀ·planes·A.
func winogradOutput(s isa, rows, columns int) {
	name := fmt.Sprintf("winogradOutput%dx%d%s", rows, columns, s.name)
	doc := fmt.Sprintf("%s computes %d×%d outputs of each of a winogradTile's tiles.", name, rows, columns)
	w := winograd{isa: s, arguments: begin(name, doc)}
	plane := w.load(winogradPlane)
	planes := newEmptyLines(16, plane, triple(plane))
	low, high := w.vector(), w.vector()
	VBROADCASTSS(w.at(winogradLow), low)
	VBROADCASTSS(w.at(winogradHigh), high)
	dst, toResidual, bias, pixel := GP64(), GP64(), GP64(), w.load(winogradPixel)
	second := GP64() // the second row of dst
	// The residual is found by its distance from dst.
	w.loadInto(toResidual, winogradResidual)
	SUBQ(w.at(winogradMap), toResidual)
	count := 0
	w.eachVector(func() {
		w.setLines(planes, winogradPlanes)
		w.loadInto(dst, winogradMap)
		MOVQ(dst, second)
		ADDQ(w.at(winogradLine), second)
		w.loadInto(bias, winogradBias)
	}, func(part *mask) {
		count++
		sums := make([][4]reg.VecVirtual, rows)
		for j := range columns + 2 {
			v := make([]reg.VecVirtual, 4)
			for i := range rows + 2 {
				v[i] = w.vector()
				w.read(planes.at(4*i+j, 0), v[i], part)
			}
			if rows == 2 {
				sums[1][j] = w.vector()
				VSUBPS(v[2], v[1], sums[1][j])
				VSUBPS(v[3], sums[1][j], sums[1][j])
			}
			sums[0][j] = v[0]
			VADDPS(v[1], v[0], v[0])
			VADDPS(v[2], v[0], v[0])
		}
		// Of each row: in[0] + in[1] + in[2], and in[1] − in[2] − in[3].
		outputs := make([][]reg.VecVirtual, rows)
		for i, in := range sums {
			outputs[i] = make([]reg.VecVirtual, columns)
			if columns == 2 {
				outputs[i][1] = w.vector()
				VSUBPS(in[2], in[1], outputs[i][1])
				VSUBPS(in[3], outputs[i][1], outputs[i][1])
			}
			outputs[i][0] = in[0]
			VADDPS(in[1], in[0], in[0])
			VADDPS(in[2], in[0], in[0])
		}
		each := func(do func(v reg.VecVirtual, at Mem)) {
			for i, row := range []reg.GPVirtual{dst, second}[:rows] {
				do(outputs[i][0], Mem{Base: row})
				if columns == 2 {
					do(outputs[i][1], Mem{Base: row, Index: pixel, Scale: 1})
				}
			}
		}
		label := fmt.Sprint("added", count)
		more := w.vector()
		TESTQ(bias, bias)
		JZ(LabelRef("no" + label))
		w.read(Mem{Base: bias}, more, part)
		each(func(v reg.VecVirtual, _ Mem) { VADDPS(more, v, v) })
		Label("no" + label)
		CMPQ(w.at(winogradResidual), Imm(0))
		JEQ(LabelRef(label))
		ADDQ(toResidual, dst)
		ADDQ(toResidual, second)
		each(func(v reg.VecVirtual, at Mem) {
			w.read(at, more, part)
			VADDPS(more, v, v)
		})
		SUBQ(toResidual, dst)
		SUBQ(toResidual, second)
		Label(label)
		each(func(v reg.VecVirtual, at Mem) {
			clamp(v, low, high)
			w.write(v, at, part)
		})
	}, func() {
		planes.move(Imm(uint64(s.bytes)))
		ADDQ(Imm(uint64(s.bytes)), dst)
		ADDQ(Imm(uint64(s.bytes)), second)
		TESTQ(bias, bias)
		JZ(LabelRef("noBias"))
		ADDQ(Imm(uint64(s.bytes)), bias)
		Label("noBias")
	}, func() {
		w.moveArgument(winogradPlanes, w.at(winogradPitch))
		two := GP64()
		LEAQ(Mem{Base: pixel, Index: pixel, Scale: 1}, two)
		w.moveArgument(winogradMap, two)
	})
}
