package train

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"garb/nn"
)

// FineTune says which layers of the backbone are trained together with the head. At most one
// field is set; the zero value freezes the backbone.
//
// Its text form, also in JSON, is "none", "all", the number of the last layers, or the name of
// the first layer to train.
type FineTune struct {
	All  bool   // train all layers
	Last int    // train this number of last layers with weights
	From string // train the layer of this name and all that follow
}

// Enabled reports whether any layer of the backbone is trained.
func (f FineTune) Enabled() bool { return f != FineTune{} }

// String returns the text form.
func (f FineTune) String() string {
	switch {
	case f.All:
		return "all"
	case f.Last != 0:
		return strconv.Itoa(f.Last)
	case f.From != "":
		return f.From
	}
	return "none"
}

// MarshalText returns the text form.
func (f FineTune) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText parses the text form; an empty text means "none". It accepts every other word
// as the name of a layer, which Config.Validate looks up in the backbone.
func (f *FineTune) UnmarshalText(text []byte) error {
	word := string(text)
	switch n, err := strconv.Atoi(word); {
	case word == "none" || word == "":
		*f = FineTune{}
	case word == "all":
		*f = FineTune{All: true}
	case err == nil && n > 0:
		*f = FineTune{Last: n}
	default:
		*f = FineTune{From: word}
	}
	return nil
}

// selectLayers returns the names of the layers with weights that are trained, in their order.
func (f FineTune) selectLayers(features *nn.Graph) ([]string, error) {
	var layers []string
	for _, p := range features.Params() {
		if l := layerName(p); len(layers) == 0 || layers[len(layers)-1] != l {
			layers = append(layers, l)
		}
	}
	switch {
	case f == FineTune{}:
		return nil, nil
	case f == FineTune{All: true}:
		return layers, nil
	case f == FineTune{Last: f.Last} && f.Last > 0:
		return layers[max(0, len(layers)-f.Last):], nil
	}
	if first := slices.Index(layers, f.From); first >= 0 && f == (FineTune{From: f.From}) {
		return layers[first:], nil
	}
	const shown = 4
	last := strings.Join(layers[max(0, len(layers)-shown):], ", ")
	return nil, fmt.Errorf("fine-tune %q: must be none, all, the number of the last layers to train, or the name "+
		"of the first; the last of %d layers are %s", f, len(layers), last)
}

// validateFineTune checks that the backbone has the layers that are to be trained.
func (c Config) validateFineTune() error {
	if !c.FineTune.Enabled() || c.FineTune == (FineTune{All: true}) {
		return nil
	}
	a, err := c.architecture()
	if err != nil {
		return err
	}
	_, err = c.FineTune.selectLayers(a.Features(c.Preprocessing.Height, c.Preprocessing.Width))
	return err
}

// selectParams returns a function that reports whether a parameter is trained: those of the head
// are, and those of the selected layers of the backbone. It returns nil if all parameters are
// trained.
func (f FineTune) selectParams(features *nn.Graph) (func(nn.Param) bool, error) {
	if f.All {
		return nil, nil
	}
	layers, err := f.selectLayers(features)
	if err != nil {
		return nil, err
	}
	inBackbone := map[string]bool{}
	for _, p := range features.Params() {
		inBackbone[layerName(p)] = true
	}
	return func(p nn.Param) bool { return !inBackbone[layerName(p)] || slices.Contains(layers, layerName(p)) }, nil
}

// layerName returns the name of the layer that a parameter belongs to.
func layerName(p nn.Param) string { return p.Name[:strings.LastIndexByte(p.Name, '/')] }
