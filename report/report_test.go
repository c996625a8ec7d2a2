package report

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"image/jpeg"
	"io"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"garb/picture"
)

// checkXML fails the test unless text is well-formed XML.
func checkXML(t interface{ Fatalf(string, ...any) }, text string) {
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
}

func TestPage(t *testing.T) {
	var b bytes.Buffer
	chart := Chart{Title: "x & y", Series: []Series{{Name: "<b>", X: []float64{1, 2}, Y: []float64{3, 4}}}}
	if err := Page(&b, "a <title>", chart.SVG()); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{"<!DOCTYPE html>", "a &lt;title&gt;", "x &amp; y", "Content-Security-Policy"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	rest := strings.ReplaceAll(text, "http://www.w3.org/2000/svg", "") // a name space, not an address
	for _, foreign := range []string{"http:", "https:", "src=", "<script", "@import"} {
		if strings.Contains(rest, foreign) {
			t.Errorf("the page has %q", foreign)
		}
	}
}

// TestChartAnyValues checks that a chart of any values is well-formed and that all its
// coordinates are numbers.
func TestChartAnyValues(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		value := rapid.OneOf(rapid.Float64(),
			rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, -1, 1e-300, 1e300}))
		n := rapid.IntRange(0, 5).Draw(r, "points")
		var s []Series
		for range rapid.IntRange(0, 4).Draw(r, "curves") {
			one := Series{
				Name: rapid.String().Filter(func(s string) bool {
					return xml.EscapeText(io.Discard, []byte(s)) == nil &&
						!strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0xfffe || c == 0xffff })
				}).Draw(r, "name"),
				X: rapid.SliceOfN(value, n, n).Draw(r, "x"), Y: rapid.SliceOfN(value, n, n).Draw(r, "y"),
			}
			if rapid.Bool().Draw(r, "band") {
				one.Low = rapid.SliceOfN(value, n, n).Draw(r, "low")
				one.High = rapid.SliceOfN(value, n, n).Draw(r, "high")
			}
			s = append(s, one)
		}
		text := string(Chart{
			Title: "t", Series: s, Points: true,
			LogX: rapid.Bool().Draw(r, "log"), MarkX: value.Draw(r, "mark"),
		}.SVG())
		checkXML(r, text)
		if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			r.Fatalf("a coordinate is not a number: %s", text)
		}
	})
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		a    axis
		want []float64
	}{
		{axis{low: 0, high: 1}, []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
		{axis{low: 0.83, high: 0.97}, []float64{0.85, 0.9, 0.95}},
		{axis{low: -5, high: 1, log: true}, []float64{1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10}},
	} {
		got := c.a.ticks()
		if len(got) != len(c.want) {
			t.Errorf("%+v: %v, want %v", c.a, got, c.want)
			continue
		}
		for i := range got {
			if math.Abs(got[i]-c.want[i]) > 1e-9*math.Abs(c.want[i])+1e-12 {
				t.Errorf("%+v: %v, want %v", c.a, got, c.want)
			}
		}
	}
}

func TestThumbnail(t *testing.T) {
	p := &picture.RGB{Width: 300, Height: 100, Pix: bytes.Repeat([]byte{200, 10, 10}, 300*100)}
	url, err := Thumbnail(p, 60)
	if err != nil {
		t.Fatal(err)
	}
	data, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(url), "data:image/jpeg;base64,"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil || m.Bounds().Dx() != 60 || m.Bounds().Dy() != 20 {
		t.Fatalf("%v, %v", m.Bounds(), err)
	}
	if r, g, _, _ := m.At(30, 10).RGBA(); r>>8 < 190 || g>>8 > 30 {
		t.Errorf("its red and green are %d and %d", r>>8, g>>8)
	}
}
