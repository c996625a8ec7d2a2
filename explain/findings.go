package explain

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"strings"

	"garb/internal/safefile"
	"garb/model"
	"garb/report"
)

// Findings say what an explanation found, and which files of its folder show it. Fields of
// what was not asked for are empty.
type Findings struct {
	Picture     string                   `json:"picture"`
	Width       int                      `json:"width"` // of the picture, upright
	Height      int                      `json:"height"`
	Model       string                   `json:"model"`
	Digest      string                   `json:"digest"`
	Input       [2]int                   `json:"input"` // the network's width and height
	Predictions []model.ListedPrediction `json:"predictions"`
	// Refused is the model's name for other pictures, such as "not clothing", if it refuses
	// this one.
	Refused    string          `json:"refused,omitempty"`
	Maps       []MapFile       `json:"maps"`
	Layers     []LayerFile     `json:"layers"`
	Filters    *FiltersFile    `json:"filters,omitempty"`
	Neighbours *NeighboursFile `json:"neighbours,omitempty"`
	// LeftOut says what could not be drawn, and why.
	LeftOut []string `json:"left_out,omitempty"`
	// Stopped says that the user stopped the work before its end.
	Stopped bool `json:"stopped,omitempty"`
}

// The kinds of maps.
const (
	KindCAM       = "cam"
	KindGradCAM   = "gradcam"
	KindOcclusion = "occlusion"
)

// MapFile describes a map of where the network sees a class, drawn over the picture.
type MapFile struct {
	File   string     `json:"file"`
	Kind   string     `json:"kind"`
	Class  string     `json:"class"`
	Height int        `json:"height"` // positions
	Width  int        `json:"width"`
	Range  [2]float32 `json:"range"` // the smallest value and the largest
}

// LayerFile describes a grid of a layer's feature maps.
type LayerFile struct {
	File     string     `json:"file"`
	Layer    string     `json:"layer"`
	Number   int        `json:"number"`
	Op       string     `json:"op"`
	Shape    [3]int     `json:"shape"`    // height, width, channels
	Channels []int      `json:"channels"` // those drawn, in order
	Range    [2]float32 `json:"range"`
}

// FiltersFile describes a grid of the first convolution's filters.
type FiltersFile struct {
	File  string `json:"file"`
	Layer string `json:"layer"`
	Shape []int  `json:"shape"` // height, width, colours, filters
}

// NeighboursFile describes a grid of the most similar pictures of a folder.
type NeighboursFile struct {
	File     string      `json:"file"`
	Folder   string      `json:"folder"`
	Compared int         `json:"compared"` // pictures that could be read
	Nearest  []Neighbour `json:"nearest"`
}

// maxPictureFile is the size of the largest file that a page embeds.
const maxPictureFile = 64 << 20

// WritePage writes findings as an HTML page with the pictures that they name, which it reads
// from folder. Errors are w's, or about reading these files.
func WritePage(w io.Writer, folder string, f *Findings) error {
	var body strings.Builder
	err := template.Must(findingsPage.Clone()).Funcs(template.FuncMap{
		"file": func(name string) (template.URL, error) {
			data, err := safefile.Read(filepath.Join(folder, name), maxPictureFile)
			return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(data)), err
		},
	}).Execute(&body, f)
	if err != nil {
		return err
	}
	return report.Page(w, "What "+f.Model+" sees in "+filepath.Base(f.Picture), template.HTML(body.String()))
}

// mapsOf returns the maps of a kind.
func (f *Findings) mapsOf(kind string) []MapFile {
	var maps []MapFile
	for _, m := range f.Maps {
		if m.Kind == kind {
			maps = append(maps, m)
		}
	}
	return maps
}

//go:embed findings.html
var findingsHTML string

var findingsPage = template.Must(template.New("findings").Funcs(template.FuncMap{
	"file":    func(string) template.URL { return "" }, // WritePage replaces it
	"percent": func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) },
	"share":   func(v float64) template.CSS { return template.CSS(fmt.Sprintf("--share:%.1f%%", 100*v)) },
	"mapsOf":  (*Findings).mapsOf,
}).Parse(findingsHTML))
