package explain

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"html/template"
	"image"
	"image/draw"
	"image/jpeg"
	"io"
	"math"
	"slices"
	"strings"

	"garb/report"
)

// Atlas is a map of pictures, which lays similar ones close together.
type Atlas struct {
	Title  string
	Data   string // where the pictures come from
	Model  string
	Method string // how they were laid out
	Note   string // a further remark, or ""
	Points []Point
	// Judged says that the folders' names are classes of the model, so that its answers can
	// be right or wrong.
	Judged bool

	full  []template.URL // full sheets of thumbnails
	sheet *image.NRGBA   // the sheet being filled
}

// Point is a picture on the map.
type Point struct {
	X, Y        float64
	Class       string // "" if unknown
	Part        string // of a data set, or ""
	Path        string // as the page shows it
	Answer      string // the model's class
	Probability float64

	width, height int // of its thumbnail
}

// A sheet has tilesAcross rows and columns of thumbnails, each of tileSide pixels.
const (
	tileSide    = 64
	tilesAcross = 32
	perSheet    = tilesAcross * tilesAcross
)

// Add adds a picture with its thumbnail, whose longer side has ThumbnailSide pixels. X and Y
// may be set later.
func (a *Atlas) Add(p Point, thumbnail *image.NRGBA) {
	at := len(a.Points) % perSheet
	if at == 0 {
		if a.sheet != nil {
			a.full = append(a.full, encodeSheet(a.sheet, perSheet))
		}
		a.sheet = image.NewNRGBA(image.Rect(0, 0, tilesAcross*tileSide, tilesAcross*tileSide))
	}
	size := thumbnail.Rect.Size()
	p.width, p.height = min(size.X, tileSide), min(size.Y, tileSide)
	x, y := at%tilesAcross*tileSide, at/tilesAcross*tileSide
	draw.Draw(a.sheet, image.Rect(x, y, x+p.width, y+p.height), thumbnail, thumbnail.Rect.Min, draw.Src)
	a.Points = append(a.Points, p)
}

// encodeSheet returns the data URL of a sheet with the given number of tiles.
func encodeSheet(sheet *image.NRGBA, tiles int) template.URL {
	rows := (tiles + tilesAcross - 1) / tilesAcross
	var b bytes.Buffer
	err := jpeg.Encode(&b, sheet.SubImage(image.Rect(0, 0, sheet.Rect.Dx(), rows*tileSide)),
		&jpeg.Options{Quality: 75})
	if err != nil {
		panic("explain: " + err.Error()) // neither the buffer nor the sheet's size can fail
	}
	return template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(b.Bytes()))
}

// ThumbnailSide is the longer side of a thumbnail in pixels.
const ThumbnailSide = tileSide

//go:embed atlas.html
var atlasHTML string

//go:embed atlas.js
var atlasScript string

var atlasPage = template.Must(template.New("atlas").Parse(atlasHTML))

// atlasData is the JSON that the page's script reads.
type atlasData struct {
	Labels   []string `json:"labels"`
	ByAnswer bool     `json:"byAnswer"` // the labels are the model's answers
	Judged   bool     `json:"judged"`
	Tile     int      `json:"tile"`
	Columns  int      `json:"columns"`
	PerSheet int      `json:"perSheet"`
	// Each point is x, y, label, answer, percent, part, path, width, height.
	Points [][9]any `json:"points"`
}

// WritePage writes the map as an HTML page that people explore by pointer, touch or keys. The
// colour of a picture shows its class or, if no picture has a class, the model's answer.
// Errors are w's.
func (a *Atlas) WritePage(w io.Writer) error {
	v := struct {
		*Atlas
		Labels, Parts []string
		Counts        []int
		Wrong         int
		Sheets        []template.URL
		JSON          atlasData
	}{Atlas: a}
	byAnswer := !slices.ContainsFunc(a.Points, func(p Point) bool { return p.Class != "" })
	v.JSON = atlasData{ByAnswer: byAnswer, Judged: a.Judged, Tile: tileSide, Columns: tilesAcross, PerSheet: perSheet,
		Points: [][9]any{}}
	label := func(p Point) string {
		if byAnswer {
			return p.Answer
		}
		return p.Class
	}
	for _, p := range a.Points {
		v.Labels, v.Parts = append(v.Labels, label(p)), append(v.Parts, p.Part)
	}
	slices.Sort(v.Labels)
	v.Labels = slices.Compact(v.Labels)
	v.Parts = removeDuplicates(v.Parts)
	v.Counts = make([]int, len(v.Labels))
	places := a.scalePoints()
	for i, p := range a.Points {
		at, _ := slices.BinarySearch(v.Labels, label(p))
		v.Counts[at]++
		if a.Judged && p.Answer != p.Class {
			v.Wrong++
		}
		v.JSON.Points = append(v.JSON.Points, [9]any{
			round(places[i][0]), round(places[i][1]), at, p.Answer, math.Round(1000*p.Probability) / 10,
			slices.Index(v.Parts, p.Part), p.Path, p.width, p.height,
		})
	}
	v.JSON.Labels = v.Labels
	if v.Sheets = a.full; len(a.Points) > 0 {
		v.Sheets = append(slices.Clone(a.full), encodeSheet(a.sheet, (len(a.Points)-1)%perSheet+1))
	}
	var body strings.Builder
	if err := atlasPage.Execute(&body, v); err != nil {
		return err
	}
	return report.ScriptedPage(w, a.Title, template.HTML(body.String()), template.JS(atlasScript))
}

// scalePoints returns the points scaled to a square from 0 to 1, centred along the shorter
// axis.
func (a *Atlas) scalePoints() [][2]float64 {
	low, high := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for _, p := range a.Points {
		low, high = [2]float64{min(low[0], p.X), min(low[1], p.Y)}, [2]float64{max(high[0], p.X), max(high[1], p.Y)}
	}
	span := max(high[0]-low[0], high[1]-low[1], math.SmallestNonzeroFloat32)
	centreX, centreY := float64((low[0]+high[0])/2), float64((low[1]+high[1])/2)
	all := make([][2]float64, len(a.Points))
	for i, p := range a.Points {
		all[i] = [2]float64{0.5 + (p.X-centreX)/span, 0.5 + (p.Y-centreY)/span}
	}
	return all
}

// round keeps four digits: no screen shows more.
func round(v float64) float64 { return math.Round(v*1e4) / 1e4 }

// removeDuplicates returns the distinct values in the order of their first occurrence.
func removeDuplicates(all []string) []string {
	var different []string
	for _, v := range all {
		if !slices.Contains(different, v) {
			different = append(different, v)
		}
	}
	return different
}
