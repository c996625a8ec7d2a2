package explain

import (
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

// Findings say what a look inside a network found, and in which files of a folder it is
// drawn. What was not looked at is empty.
type Findings struct {
	Picture     string                   `json:"picture"`
	Width       int                      `json:"width"` // of the picture, upright
	Height      int                      `json:"height"`
	Model       string                   `json:"model"`
	Digest      string                   `json:"digest"`
	Input       [2]int                   `json:"input"` // width and height that the network sees
	Predictions []model.ListedPrediction `json:"predictions"`
	// Refused is what the model says of the picture if it accepts it for none of its
	// classes: "not clothing".
	Refused    string          `json:"refused,omitempty"`
	Maps       []MapFile       `json:"maps"`
	Layers     []LayerFile     `json:"layers"`
	Filters    *FiltersFile    `json:"filters,omitempty"`
	Neighbours *NeighboursFile `json:"neighbours,omitempty"`
	// Left out names what could not be drawn, and why.
	LeftOut []string `json:"left_out,omitempty"`
	// Stopped says that the work was stopped before its end.
	Stopped bool `json:"stopped,omitempty"`
}

// The kinds of maps.
const (
	KindCAM       = "cam"
	KindGradCAM   = "gradcam"
	KindOcclusion = "occlusion"
)

// MapFile is a map of where a class is seen, drawn over the picture.
type MapFile struct {
	File   string     `json:"file"`
	Kind   string     `json:"kind"`
	Class  string     `json:"class"`
	Height int        `json:"height"` // positions
	Width  int        `json:"width"`
	Range  [2]float32 `json:"range"` // the smallest value and the largest
}

// LayerFile is a grid of a layer's feature maps.
type LayerFile struct {
	File     string     `json:"file"`
	Layer    string     `json:"layer"`
	Number   int        `json:"number"`
	Op       string     `json:"op"`
	Shape    [3]int     `json:"shape"`    // height, width, channels
	Channels []int      `json:"channels"` // that are drawn, in this order
	Range    [2]float32 `json:"range"`
}

// FiltersFile is a grid of the first convolution's filters.
type FiltersFile struct {
	File  string `json:"file"`
	Layer string `json:"layer"`
	Shape []int  `json:"shape"` // height, width, colours, filters
}

// NeighboursFile shows the nearest pictures of a folder.
type NeighboursFile struct {
	File     string      `json:"file"`
	Folder   string      `json:"folder"`
	Compared int         `json:"compared"` // pictures that could be read
	Nearest  []Neighbour `json:"nearest"`
}

// maxPictureFile bounds what a page embeds of one file.
const maxPictureFile = 64 << 20

// WritePage writes findings as one HTML file that holds the pictures in a folder that
// they name. Errors are about reading these, or w's.
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

// of lists the maps of a kind.
func (f *Findings) of(kind string) []MapFile {
	var all []MapFile
	for _, m := range f.Maps {
		if m.Kind == kind {
			all = append(all, m)
		}
	}
	return all
}

var findingsPage = template.Must(template.New("findings").Funcs(template.FuncMap{
	"file":    func(string) template.URL { return "" }, // WritePage's own
	"percent": func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) },
	"share":   func(v float64) template.CSS { return template.CSS(fmt.Sprintf("--share:%.1f%%", 100*v)) },
	"of":      func(f *Findings, kind string) []MapFile { return f.of(kind) },
	"name":    func(path string) string { return filepath.Base(path) },
}).Parse(`
{{define "maps"}}<div class="pictures maps">{{range .}}<figure><img src="{{file .File}}" alt="{{.Kind}} of {{.Class}}"><figcaption>{{.Class}} · {{.Height}} × {{.Width}} positions</figcaption></figure>{{end}}</div>{{end}}
<style>.maps{grid-template-columns:repeat(auto-fill,minmax(min(15.5rem,100%),1fr))}.maps img{width:auto;max-width:100%;height:auto;margin:0 auto .4rem}.sheet{overflow-x:auto}.sheet img{display:block;max-width:100%}
details{margin:.5rem 0}summary{cursor:pointer;padding:.2rem 0}.bars{max-width:30rem;margin:1rem 0}.bars .bar{padding:.15rem .5rem;margin:.25rem 0}</style>
<p class="faint">{{.Picture}}, {{.Width}} × {{.Height}} pixels · the network sees {{index .Input 0}} × {{index .Input 1}} of them · model {{.Model}} <code>{{.Digest}}</code></p>
{{if .Stopped}}<div class="warn"><p>The work was stopped before its end; this is what there was.</p></div>{{end}}
{{with .Refused}}<div class="warn"><p>The model refuses this picture as “{{.}}”; what follows is what it is closest to.</p></div>{{end}}
<div class="bars">{{range .Predictions}}<div class="bar" style="{{share .Probability}}">{{.Class}}<i>{{percent .Probability}}</i></div>{{end}}</div>
{{range .LeftOut}}<p class="faint">{{.}}</p>{{end}}
{{with of . "cam"}}<h2>What speaks for a class, and what against it</h2><p>The class activation map weighs the last feature map by what decides on the class: yellow to red is where the network sees the class, blue where it sees something else.</p>{{template "maps" .}}{{end}}
{{with of . "gradcam"}}<h2>What a class rests on</h2><p>Grad-CAM weighs each channel of the last feature map by how much the class's logit rises with it, and shows only what speaks for the class.</p>{{template "maps" .}}{{end}}
{{with of . "occlusion"}}<h2>What the answer cannot do without</h2><p>A grey square was slid over the picture: red is where covering it makes the class less probable, blue where it makes it more so.</p>{{template "maps" .}}{{end}}
{{with .Neighbours}}<h2>What it resembles</h2><p>These pictures, of {{.Compared}} in <code>{{.Folder}}</code>, have the embeddings that point most nearly where this one's does.</p>
<div class="sheet"><img src="{{file .File}}" alt="the nearest pictures"></div>
<details><summary>Their files</summary><div class="wide"><table><tr><th>class</th><th>similarity</th><th>file</th></tr>{{range .Nearest}}<tr><td>{{.Class}}</td><td>{{printf "%.3f" .Similarity}}</td><td>{{.Path}}</td></tr>{{end}}</table></div></details>{{end}}
{{with .Filters}}<h2>What the first layer looks for</h2><p>Each tile is a filter of <code>{{.Layer}}</code>, {{index .Shape 0}} × {{index .Shape 1}} pixels, slid over the picture: grey weighs nothing, a colour is what it looks for.</p>
<div class="sheet"><img src="{{file .File}}" alt="filters of {{.Layer}}"></div>{{end}}
{{if .Layers}}<h2>What the layers see</h2><p>Each tile is a channel's answer at every place, dark where it is lowest and light where it is highest: first edges and colours, later parts, at the end what decides.</p>
{{range .Layers}}<details open><summary><b>{{.Layer}}</b> <span class="faint">layer {{.Number}}, {{.Op}}, {{index .Shape 0}} × {{index .Shape 1}} positions, {{index .Shape 2}} channels, from {{printf "%.3g" (index .Range 0)}} to {{printf "%.3g" (index .Range 1)}}</span></summary>
<div class="sheet"><img src="{{file .File}}" alt="feature maps of {{.Layer}}"></div></details>{{end}}{{end}}
`))
