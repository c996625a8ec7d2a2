package keras

import (
	"encoding/json"
	"slices"

	"garb/backbone"
)

// matchSmallCNN recognizes small-cnn in a described model by its layers and their settings.
func matchSmallCNN(m *Model) (*match, error) {
	a, err := backbone.Lookup("small-cnn")
	if err != nil {
		return nil, err
	}
	var classes []string
	var layers []*Layer
	for _, l := range m.Layers {
		if l.Class != "InputLayer" && l.Class != "Dropout" {
			classes = append(classes, l.Class)
			layers = append(layers, l)
		}
	}
	if !slices.Equal(classes, []string{"Conv2D", "MaxPooling2D", "Flatten", "Dense", "Dense"}) {
		return nil, nil
	}
	conv, pool, inner, last := layers[0], layers[1], layers[3], layers[4]
	if !conv.hasSettings(`{"filters":32,"kernel_size":[3,3],"strides":[1,1],"padding":"valid","activation":"relu"}`) ||
		!pool.hasSettings(`{"pool_size":[2,2],"strides":[2,2],"padding":"valid"}`) ||
		!inner.hasSettings(`{"units":64,"activation":"relu"}`) ||
		!last.hasSettings(`{"units":1,"activation":"sigmoid"}`) {
		return nil, nil
	}
	height, width := m.inputSize()
	if height < a.MinSide || width < a.MinSide || height > maxSide || width > maxSide {
		return nil, nil
	}
	f := &match{architecture: a.Name, withTop: true, height: height, width: width, sources: map[string]source{}}
	for name, l := range map[string]*Layer{"conv1": conv, "dense1": inner, backbone.ClassifierName: last} {
		if err := f.assign(name, l); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// hasSettings reports whether a layer's settings agree with those of a JSON object. The strides of
// a pooling may be null; they are then the size of the pool.
func (l *Layer) hasSettings(settings string) bool {
	var want, got map[string]any
	if json.Unmarshal([]byte(settings), &want) != nil || json.Unmarshal(l.Config, &got) != nil {
		return false
	}
	for key, value := range want {
		have := got[key]
		if have == nil && key == "strides" {
			have = got["pool_size"]
		}
		w, _ := json.Marshal(value)
		h, err := json.Marshal(have)
		if err != nil || string(w) != string(h) {
			return false
		}
	}
	return true
}
