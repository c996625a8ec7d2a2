package kernel

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"math"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "record the digests of the kernels' results in testdata/digests.json")

const digestsFile = "testdata/digests.json"

// TestDigests compares the bits of each kernel's results with those that were recorded on amd64: all
// levels with assembly must give the same, and the portable level and WebAssembly's the other.
func TestDigests(t *testing.T) {
	recorded := map[string]map[string]string{}
	text, err := os.ReadFile(digestsFile)
	if err == nil {
		err = json.Unmarshal(text, &recorded)
	}
	if err != nil && !*update {
		t.Fatal(err)
	}
	written := map[string]map[string]string{}
	eachLevel(t, func(t *testing.T, l Level) {
		kind := "assembly"
		if !l.complete() {
			kind = "portable"
		}
		got := digestKernels(l)
		if *update && written[kind] == nil {
			written[kind], recorded[kind] = got, got
		}
		if len(got) != len(recorded[kind]) {
			t.Errorf("%d kernels, and digests of %d", len(got), len(recorded[kind]))
		}
		for name, digest := range got {
			if want := recorded[kind][name]; digest != want {
				t.Errorf("%s has the digest %s, and had %s", name, digest, want)
			}
		}
	})
	if *update {
		text, err := json.MarshalIndent(written, "", "  ")
		if err == nil {
			err = os.WriteFile(digestsFile, append(text, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// digest returns the start of the SHA-256 of the values' bits. All NaN count as one.
func digest(slices ...[]float32) string {
	h := sha256.New()
	for _, values := range slices {
		for _, v := range values {
			bits := math.Float32bits(v)
			if v != v {
				bits = math.Float32bits(float32(math.NaN()))
			}
			h.Write([]byte{byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)})
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// sprinkle replaces some values by odd ones.
func sprinkle(values []float32) []float32 {
	for i := 0; i < len(values); i += 7 {
		values[i] = odd[i/7%len(odd)]
	}
	return values
}

// digestKernels returns the digests of the results of all kernels at level l, which is in use.
func digestKernels(l Level) map[string]string {
	all := map[string]string{}
	digestProducts(all, l)
	digestDepthwise(all)
	digestWinograd(all)
	digestElementwise(all, l)
	return all
}

func digestProducts(all map[string]string, l Level) {
	for _, s := range []shape{
		{rows: 29, columns: 47, segments: 3, segmentLen: 9, aStride: 6, gap: 30, bias: true, residual: true},
		{rows: 13, columns: 24, segments: 1, segmentLen: 21, aStride: 21, activation: ReLU6},
		{rows: 1, columns: 5, segments: 1, segmentLen: 1030, aStride: 1030, bias: true, activation: ReLU},
	} {
		for _, special := range []string{"", "/special"} {
			p := newProduct(s)
			if special != "" {
				sprinkle(p.A)
				sprinkle(p.b)
			}
			p.B = newMatrix(s.segments*s.segmentLen, s.columns, l)
			p.B.Set(p.b, nil)
			p.Run(0, s.rows, 0, p.B.Panels())
			all["gemm/"+s.String()+special] = digest(p.Dst)
		}
	}
	r := newRand(5)
	o := Outer{Dst: random(r, 29*43), Sums: random(r, 43), A: sprinkle(random(r, 600*29)), AStride: 29,
		B: random(r, 600*43), BStride: 43, Rows: 29, Columns: 43, Scratch: make([]float32, OuterScratchLen)}
	o.Run(600)
	all["outer"] = digest(o.Dst, o.Sums)
}

func digestDepthwise(all map[string]string) {
	var outputs, gradients [][]float32
	for _, kernel := range []int{3, 4, 5} {
		for stride := 1; stride <= 3; stride++ {
			w := same(11, 19, 45, kernel, stride)
			w.relu, w.activation = stride == 2, Activation(stride%3)
			d, _ := newDepthwise(w)
			sprinkle(d.Src)
			d.Run(0, d.DstHeight)
			r := newRand(kernel, stride)
			flipped, gradient := make([]float32, len(d.Kernel)), random(r, len(d.Dst))
			d.FlippedTaps(flipped)
			input, taps, bias := random(r, len(d.Src)), random(r, len(d.Kernel)), random(r, d.Channels)
			d.InputGradient(input, gradient, flipped, 0, d.SrcHeight)
			d.AddKernelGradient(taps, bias, gradient, make([]float32, d.KernelGradientScratch()), 0, d.SrcHeight)
			outputs, gradients = append(outputs, d.Dst), append(gradients, input, taps, bias)
		}
	}
	all["depthwise"], all["depthwise gradients"] = digest(outputs...), digest(gradients...)
}

func digestWinograd(all map[string]string) {
	s := winogradCase{channels: 45, rows: 2, positions: 5}
	in, gradient, out := s.newWinograd(4, 8), s.newWinograd(2, 6), s.newWinograd(2, 5)
	sprinkle(in.Map)
	sprinkle(gradient.Map)
	in.Input(3)
	gradient.Gradient(3)
	out.Output(2, 5, WinogradEpilogue{Bias: in.Map, Residual: out.Map, Activation: ReLU6})
	all["winograd"] = digest(in.Planes, gradient.Planes, out.Map)
}

func digestElementwise(all map[string]string, l Level) {
	each := func(name string, f func(dst, src []float32)) {
		a, b := operands(17 * 59)
		f(a, b)
		all[name] = digest(a)
	}
	each("max", Max)
	each("add", func(dst, src []float32) { Add(dst, src, ReLU6) })
	each("activate", func(dst, src []float32) { Activate(dst, src, ReLU) })
	each("activation gradient", func(dst, src []float32) { ActivationGradient(dst, src, ReLU6) })
	for _, p := range products {
		each(p.name, func(dst, src []float32) {
			y := src
			if p.rows {
				y = src[:17]
			}
			p.run(dst, dst, y)
		})
	}
	each("PReLU slopes", func(dst, src []float32) { PReLUSlopesGradient(dst[:17], src, src) })
	halves := make([]byte, 2<<16)
	for i := range 1 << 16 {
		halves[2*i], halves[2*i+1] = byte(i), byte(i>>8)
	}
	wide := make([]float32, 1<<16)
	FromHalf(wide, halves)
	all["half"] = digest(wide)
	src := sweep()
	for _, f := range nonlinearities {
		// Near its root this sum cancels, and shows the last bits of Go's functions of float64, which
		// differ between amd64 and arm64.
		if !l.complete() && f.name == "GELUGradient" {
			continue
		}
		dst := make([]float32, len(src))
		for i := range dst {
			dst[i] = 1.5
		}
		f.run(dst, src)
		all[f.name] = digest(dst)
	}
}
