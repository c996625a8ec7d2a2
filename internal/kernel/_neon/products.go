package main

import "fmt"

const (
	// gemmRows is the number of rows of the largest tile: 8 × 2 sums, 8 registers with values of
	// A, and 8 of B.
	gemmRows = 8
	// outerRows is the number of rows of the largest outer tile: 6 × 4 sums, 4 registers of b, and 2
	// of a.
	outerRows = 6
)

// Offsets into gemmTile (gemm_vector.go), in bytes.
const (
	tileDst = 8 * iota
	tileA
	tileB
	tileBias
	tileResidual
	tileDstStride
	tileAStride
	tileSegments
	tileSegmentLen
	tileSegmentStep
	tileResidualStride
	tileNext
	tilePart // 0: the tile has eight columns
	tileLow
)

func gemmName(rows int) string { return fmt.Sprintf("gemm%dx8NEON", rows) }

// gemm writes the function for a gemmTile of so many rows and eight columns. V0 to V15 are the sums,
// V16 to V23 four values of each row of A, V24 to V31 four rows of B. The address of row i of A is in
// R3+i.
func (a *assembly) gemm(rows int) string {
	name := gemmName(rows)
	a.text(name, "(SB), NOSPLIT, $0-8")
	a.emit("MOVD arguments+0(FP), R0")
	a.emit("MOVD %d(R0), R1", tileB)
	a.emit("MOVD %d(R0), R3", tileA)
	a.emit("MOVD %d(R0), R11", tileAStride)
	a.emit("MOVD %d(R0), %s", tilePart, part)
	for i := 1; i < rows; i++ {
		a.emit("ADD R11, R%d, R%d", 2+i, 3+i)
	}
	a.gemmBias(rows)
	a.emit("MOVD %d(R0), R12", tileSegments)
	a.emit("MOVD %d(R0), R14", tileSegmentStep)
	a.label("segment")
	a.emit("MOVD %d(R0), R13", tileSegmentLen)
	a.emit("SUBS $4, R13, R13")
	a.emit("BLT rest")
	a.label("unrolled")
	a.emit("VLD1.P 64(R1), [V24.S4, V25.S4, V26.S4, V27.S4]")
	for i := range rows {
		a.emit("FMOVQ.P 16(R%d), F%d", 3+i, 16+i)
	}
	a.emit("VLD1.P 64(R1), [V28.S4, V29.S4, V30.S4, V31.S4]")
	for k := range 4 {
		for i := range rows {
			a.fmlaLane(2*i, 24+2*k, 16+i, k)
			a.fmlaLane(2*i+1, 25+2*k, 16+i, k)
		}
	}
	a.emit("SUBS $4, R13, R13")
	a.emit("BGE unrolled")
	a.label("rest")
	a.emit("ADDS $4, R13, R13")
	a.emit("BEQ next")
	a.label("single")
	a.emit("VLD1.P 32(R1), [V24.S4, V25.S4]")
	for i := range rows {
		a.emit("FMOVS.P 4(R%d), F%d", 3+i, 16+i)
	}
	for i := range rows {
		a.fmlaLane(2*i, 24, 16+i, 0)
		a.fmlaLane(2*i+1, 25, 16+i, 0)
	}
	a.emit("SUBS $1, R13, R13")
	a.emit("BNE single")
	a.label("next")
	a.emit("SUBS $1, R12, R12")
	a.emit("BEQ epilogue")
	for i := range rows {
		a.emit("ADD R14, R%d, R%d", 3+i, 3+i)
	}
	a.emit("B segment")
	a.label("epilogue")
	a.gemmEpilogue(rows)
	return name
}

// gemmBias sets the sums to the bias, or to zero.
func (a *assembly) gemmBias(rows int) {
	a.emit("MOVD %d(R0), %s", tileBias, address)
	a.emit("CBZ %s, noBias", address)
	a.emit("CBNZ %s, partBias", part)
	a.emit("FLDPQ (%s), (F0, F1)", address)
	a.emit("B bias")
	a.label("partBias")
	a.readPart(0, 1)
	a.label("bias")
	for i := 1; i < rows; i++ {
		a.move(2*i, 0)
		a.move(2*i+1, 1)
	}
	a.emit("B begun")
	a.label("noBias")
	for i := range 2 * rows {
		a.zero(i)
	}
	a.label("begun")
}

// gemmEpilogue adds the residual, applies the activation and stores the sums.
func (a *assembly) gemmEpilogue(rows int) {
	eachRow := func(read func(low, high int)) {
		for i := range rows {
			read(2*i, 2*i+1)
			a.emit("ADD R11, %s, %s", address, address)
		}
	}
	a.emit("MOVD %d(R0), %s", tileResidual, address)
	a.emit("CBZ %s, noResidual", address)
	a.emit("MOVD %d(R0), R11", tileResidualStride)
	a.emit("CBNZ %s, partResidual", part)
	add := func(low, high int) {
		a.fadd(low, low, 24)
		a.fadd(high, high, 25)
	}
	eachRow(func(low, high int) {
		a.emit("FLDPQ (%s), (F24, F25)", address)
		add(low, high)
	})
	a.emit("B noResidual")
	a.label("partResidual")
	eachRow(func(low, high int) {
		a.readPart(24, 25)
		add(low, high)
	})
	a.label("noResidual")
	a.emit("ADD $%d, R0, %s", tileLow, address)
	a.emit("VLD1R.P 4(%s), [V24.S4]", address)
	a.emit("VLD1R (%s), [V25.S4]", address)
	for v := range 2 * rows {
		a.larger(v, v, 24, 26)
		a.smaller(v, v, 25, 26)
	}
	a.emit("MOVD %d(R0), %s", tileDst, address)
	a.emit("MOVD %d(R0), R11", tileDstStride)
	a.emit("CBNZ %s, partDst", part)
	eachRow(func(low, high int) { a.emit("FSTPQ (F%d, F%d), (%s)", low, high, address) })
	a.emit("RET")
	a.label("partDst")
	eachRow(a.writePart)
	a.emit("RET")
}

// Offsets into outerTile (outer_vector.go), in bytes.
const (
	outerDst = 8 * iota
	outerA
	outerB
	outerCount
	outerDstStride
	outerAStride
	outerPart // 0: the last vector is full
)

// outer writes the function for an outerTile. V0 to V23 are the sums, V24 to V27 a row of b, V28 and
// V29 values of a row of a.
func (a *assembly) outer(rows, vectors int) string {
	name := fmt.Sprintf("outer%dx%dNEON", rows, 8*vectors)
	a.text(name, "(SB), NOSPLIT, $0-8")
	a.emit("MOVD arguments+0(FP), R0")
	a.emit("MOVD %d(R0), R1", outerA)
	a.emit("MOVD %d(R0), R2", outerB)
	a.emit("MOVD %d(R0), R3", outerCount)
	a.emit("MOVD %d(R0), R4", outerDstStride)
	a.emit("MOVD %d(R0), R5", outerAStride)
	a.emit("MOVD %d(R0), %s", outerPart, part)
	a.moveTile("FLDPQ", rows, vectors, a.readPart)
	a.label("next")
	for v := range vectors {
		a.emit("FLDPQ.P 32(R2), (F%d, F%d)", 24+2*v, 25+2*v)
	}
	a.emit("FLDPQ (R1), (F28, F29)")
	for i := range rows {
		for half := range 2 * vectors {
			a.fmlaLane(2*i*vectors+half, 24+half, 28+i/4, i%4)
		}
	}
	a.emit("ADD R5, R1, R1")
	a.emit("SUBS $1, R3, R3")
	a.emit("BNE next")
	a.moveTile("FSTPQ", rows, vectors, a.writePart)
	a.emit("RET")
	return name
}

// moveTile loads or stores the values of dst: whole vectors by an instruction for pairs, and the last
// of each row by whole or in part.
func (a *assembly) moveTile(whole string, rows, vectors int, inPart func(low, high int)) {
	done, partly := whole+"Done", whole+"Part"
	a.emit("CBNZ %s, %s", part, partly)
	a.moveRows(whole, rows, vectors, nil)
	a.emit("B %s", done)
	a.label(partly)
	a.moveRows(whole, rows, vectors, inPart)
	a.label(done)
}

// moveRows is moveTile for tiles whose last vectors are in part, or whole if inPart is nil.
func (a *assembly) moveRows(whole string, rows, vectors int, inPart func(low, high int)) {
	a.emit("MOVD %d(R0), R6", outerDst)
	for i := range rows {
		for v := range vectors {
			low := 2 * (i*vectors + v)
			switch {
			case inPart != nil && v == vectors-1:
				a.emit("ADD $%d, R6, %s", 32*v, address)
				inPart(low, low+1)
			case whole == "FLDPQ":
				a.emit("FLDPQ %d(R6), (F%d, F%d)", 32*v, low, low+1)
			default:
				a.emit("FSTPQ (F%d, F%d), %d(R6)", low, low+1, 32*v)
			}
		}
		a.emit("ADD R4, R6, R6")
	}
}
