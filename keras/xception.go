package keras

import (
	"encoding/json"
	"math"
	"regexp"

	"garb/backbone"
)

// blockLayer matches Keras's names of Xception's layers: block5_sepconv1 and block5_sepconv1_bn.
var blockLayer = regexp.MustCompile(`^(block[0-9]+)_((?:sep)?conv[0-9])(_bn)?$`)

// matchXception recognizes Keras's Xception by the names of its layers. The strided convolutions
// beside blocks 2, 3, 4 and 13, and their batch-norms, have only numbers (conv2d_1,
// batch_normalization_7). They are found by the graph if it is known, and otherwise by their
// shapes, which differ.
func matchXception(m *Model) (*match, error) {
	byName := map[string]*Layer{}
	for _, l := range m.Layers {
		byName[l.Name] = l
	}
	for _, name := range []string{"block1_conv1", "block14_sepconv2"} {
		if l := byName[name]; l == nil || len(l.Variables) == 0 {
			return nil, nil
		}
	}
	a, err := backbone.Lookup("xception")
	if err != nil {
		return nil, err
	}
	consumers := m.consumers()
	f := &match{architecture: a.Name, height: a.Spec.Height, width: a.Spec.Width, sources: map[string]source{}}
	for _, l := range m.Layers {
		if len(l.Variables) == 0 {
			continue
		}
		if err := checkEpsilon(l); err != nil {
			return nil, err
		}
		name := nameXceptionLayer(m, l, consumers)
		if name == "" {
			continue // part of another head, or an error that is found later
		}
		f.withTop = f.withTop || name == backbone.ClassifierName
		if err := f.assign(name, l); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// nameXceptionLayer returns garb's name of a layer of Xception, "" if it is none.
func nameXceptionLayer(m *Model, l *Layer, consumers map[string][]*Layer) string {
	suffix := ""
	if parts := blockLayer.FindStringSubmatch(l.Name); parts != nil {
		if parts[3] != "" {
			suffix = "/bn"
		}
		return parts[1] + "/" + parts[2] + suffix
	}
	if l.Name == "predictions" && l.kind() == dense {
		return backbone.ClassifierName
	}
	if m.Class == "" {
		return nameShortcut(l)
	}
	block := findShortcut(l, consumers)
	if block == "" {
		return ""
	}
	if l.kind() == normalisation {
		suffix = "/bn"
	}
	return block + "/shortcut" + suffix
}

// nameShortcut returns garb's name of an unnamed layer of Xception by its number of outputs.
func nameShortcut(l *Layer) string {
	suffix := "/shortcut"
	switch l.kind() {
	case convolution:
	case normalisation:
		suffix += "/bn"
	default:
		return ""
	}
	shape := l.Variables[0].Shape()
	switch shape[len(shape)-1] {
	case 128:
		return "block2" + suffix
	case 256:
		return "block3" + suffix
	case 728:
		return "block4" + suffix
	case 1024:
		return "block13" + suffix
	}
	return ""
}

// findShortcut returns the block, "block2", that a layer is the side branch of: the branch ends in
// an Add whose other input is the block's last layer, block2_pool.
func findShortcut(l *Layer, consumers map[string][]*Layer) string {
	// A convolution leads to its batch-norm, a batch-norm to the Add.
	for range 2 {
		next := consumers[l.Name]
		if len(next) != 1 {
			return ""
		}
		if next[0].Class != "Add" {
			l = next[0]
			continue
		}
		for _, input := range next[0].Inputs {
			if parts := blockPool.FindStringSubmatch(input); parts != nil {
				return parts[1]
			}
		}
		return ""
	}
	return ""
}

var blockPool = regexp.MustCompile(`^(block[0-9]+)_pool$`)

// consumers lists the layers that take each layer's output.
func (m *Model) consumers() map[string][]*Layer {
	all := map[string][]*Layer{}
	for _, l := range m.Layers {
		for _, input := range l.Inputs {
			all[input] = append(all[input], l)
		}
	}
	return all
}

// checkEpsilon refuses a batch-norm whose epsilon is not 0.001, Keras's default, which garb's
// Xception has.
func checkEpsilon(l *Layer) error {
	var config struct {
		Epsilon *float64 `json:"epsilon"`
	}
	if l.Class != "BatchNormalization" || json.Unmarshal(l.Config, &config) != nil || config.Epsilon == nil {
		return nil
	}
	if math.Abs(*config.Epsilon-1e-3) > 1e-9 {
		return malformed("layer %q adds %g to the variance; garb's Xception adds 0.001", l.Name, *config.Epsilon)
	}
	return nil
}
