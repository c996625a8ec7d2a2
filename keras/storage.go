package keras

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"garb/internal/hdf5"
)

// The newer generation stores a layer's variables by number: layers/CLASS_N/vars/I,
// where CLASS is the class in snake case and N counts the layers of that class.
// The name of the folder has changed within Keras 2.
var layerFolders = []string{"layers", "_layer_checkpoint_dependencies"}

// attachByNumber gives each layer of m its variables from a group of the newer
// generation.
func attachByNumber(m *Model, g *hdf5.Group, place string) error {
	folder, err := layerFolder(g)
	if err != nil {
		return err
	}
	used := map[string]int{}
	for _, l := range m.Layers {
		at := join(place, l.Name)
		stored := snakeCase(l.Class)
		used[stored]++
		if n := used[stored]; n > 1 {
			stored += "_" + strconv.Itoa(n-1)
		}
		names, _ := variableNames(l)
		if len(names) == 0 && l.Model == nil {
			continue
		}
		if folder == nil {
			return missing(at)
		}
		group, err := folder.Group(stored)
		if err != nil || group == nil {
			return unexpected(at, err)
		}
		if l.Model != nil {
			if err := attachByNumber(l.Model, group, at); err != nil {
				return err
			}
			continue
		}
		datasets, err := numbered(group)
		if err != nil {
			return unexpected(at, err)
		}
		if l.Variables, err = variables(at, l, datasets); err != nil {
			return err
		}
	}
	return nil
}

func layerFolder(g *hdf5.Group) (*hdf5.Group, error) {
	for _, name := range layerFolders {
		folder, err := g.Group(name)
		if err != nil || folder != nil {
			return folder, err
		}
	}
	return nil, nil
}

type namedDataset struct {
	name    string // as stored, the last part of it
	dataset *hdf5.Dataset
}

// numbered returns the datasets vars/0, vars/1, ... of a layer's group.
func numbered(g *hdf5.Group) ([]namedDataset, error) {
	vars, err := g.Group("vars")
	if err != nil || vars == nil {
		return nil, err
	}
	var list []namedDataset
	for range vars.Names() {
		d, err := vars.Dataset(strconv.Itoa(len(list)))
		if err != nil {
			return nil, err
		}
		if d == nil {
			break
		}
		list = append(list, namedDataset{dataset: d})
	}
	return list, nil
}

var (
	wordStart = regexp.MustCompile(`(.)([A-Z][a-z]+)`)
	wordEnd   = regexp.MustCompile(`([a-z])([A-Z])`)
)

// snakeCase turns a class into the name it is stored under, as Keras does:
// SeparableConv2D into separable_conv2d.
func snakeCase(class string) string {
	return strings.ToLower(wordEnd.ReplaceAllString(wordStart.ReplaceAllString(class, "${1}_${2}"), "${1}_${2}"))
}

// listByNumber lists what a file of weights of the newer generation holds, class
// by class, each in the order of the model.
func listByNumber(root *hdf5.Group) (*Model, error) {
	m, err := listGroup(root, 0)
	if err != nil {
		return nil, err
	}
	if m == nil || len(m.Layers) == 0 {
		return nil, malformed("it is an HDF5 file, but not of Keras: it has no layers")
	}
	return m, nil
}

func listGroup(g *hdf5.Group, depth int) (*Model, error) {
	if depth > maxModelDepth {
		return nil, malformed("models are nested more than %d deep", maxModelDepth)
	}
	folder, err := layerFolder(g)
	if err != nil || folder == nil {
		return nil, err
	}
	names := folder.Names()
	slices.SortStableFunc(names, func(a, b string) int {
		classA, numberA := splitNumber(a)
		classB, numberB := splitNumber(b)
		return cmp.Or(cmp.Compare(classA, classB), cmp.Compare(numberA, numberB))
	})
	m := &Model{}
	for _, name := range names {
		group, err := folder.Group(name)
		if err != nil {
			return nil, err
		}
		if group == nil {
			continue
		}
		nested, err := listGroup(group, depth+1)
		if err != nil {
			return nil, err
		}
		datasets, err := numbered(group)
		if err != nil {
			return nil, err
		}
		if nested == nil && len(datasets) == 0 {
			continue
		}
		l := &Layer{Name: name, Model: nested}
		for _, d := range datasets {
			l.Variables = append(l.Variables, Variable{dataset: d.dataset})
		}
		m.Layers = append(m.Layers, l)
	}
	return m, nil
}

// splitNumber splits conv2d_12 into conv2d and 12, conv2d into conv2d and 0.
func splitNumber(name string) (string, int) {
	at := strings.LastIndexByte(name, '_')
	if at < 0 {
		return name, 0
	}
	n, err := strconv.Atoi(name[at+1:])
	if err != nil {
		return name, 0
	}
	return name[:at], n
}

// The older generation stores variables by name: the attribute layer_names lists
// the groups, each group's weight_names the datasets below it. A layer that is a
// model has the variables of all its layers in one list.

// attachByName gives each layer of m its variables from a group of the older
// generation.
func attachByName(m *Model, g *hdf5.Group) error {
	for _, l := range m.Layers {
		group, err := g.Group(strings.TrimPrefix(l.Name, "/"))
		if err != nil {
			return unexpected(l.Name, err)
		}
		var datasets []namedDataset
		if group != nil {
			if datasets, err = weightsOf(group); err != nil {
				return unexpected(l.Name, err)
			}
		}
		if l.Model == nil {
			if l.Variables, err = variables(l.Name, l, datasets); err != nil {
				return err
			}
			continue
		}
		leaves := l.Model.leaves(l.Name, nil)
		known := map[string]bool{}
		for _, leaf := range leaves {
			known[leaf.layer.Name] = true
		}
		byLayer := map[string][]namedDataset{}
		for _, d := range datasets {
			name := d.layerOf(known)
			byLayer[name] = append(byLayer[name], d)
		}
		for _, leaf := range leaves {
			name := leaf.layer.Name
			if leaf.layer.Variables, err = variables(leaf.place, leaf.layer, byLayer[name]); err != nil {
				return err
			}
			delete(byLayer, name) // a second layer of that name would be told apart by nothing
		}
	}
	return nil
}

// layer returns the layer's name in a dataset's: "bn" of "base/bn/gamma:0".
func (d namedDataset) layer() string {
	parts := strings.Split(d.name, "/")
	return parts[max(0, len(parts)-2)]
}

// layerOf returns the layer's name, one of those known, which may have slashes of their
// own: "conv1/bn" of "base/conv1/bn/gamma:0". It is "" if none is known.
func (d namedDataset) layerOf(known map[string]bool) string {
	end := strings.LastIndexByte(d.name, '/')
	if end < 0 || end > 1000 { // no name that Keras makes
		return ""
	}
	for name := d.name[:end]; name != ""; {
		if known[name] {
			return name
		}
		_, name, _ = strings.Cut(name, "/")
	}
	return ""
}

// weightsOf returns the datasets that a layer's group lists.
func weightsOf(g *hdf5.Group) ([]namedDataset, error) {
	names, err := texts(g, "weight_names")
	if err != nil {
		return nil, err
	}
	var list []namedDataset
	for _, name := range names {
		d, err := g.Dataset(strings.TrimPrefix(name, "/"))
		if err != nil {
			return nil, err
		}
		if d == nil {
			return nil, malformed("array %q is listed but missing", name)
		}
		list = append(list, namedDataset{name, d})
	}
	return list, nil
}

// texts returns an attribute that is a list. Keras splits one of more than 64 kB
// over name0, name1, ...
func texts(o hdf5.Object, name string) ([]string, error) {
	values, found, err := o.Attribute(name)
	if err != nil || found {
		return values, err
	}
	var all []string
	for i := 0; ; i++ {
		values, found, err := o.Attribute(name + strconv.Itoa(i))
		if err != nil || !found {
			return all, err
		}
		all = append(all, values...)
	}
}

// listByName lists what a file of weights of the older generation holds, in the
// order of the model.
func listByName(root *hdf5.Group) (*Model, error) {
	names, err := texts(root, "layer_names")
	if err != nil {
		return nil, err
	}
	m := &Model{}
	for _, name := range names {
		group, err := root.Group(strings.TrimPrefix(name, "/"))
		if err != nil || group == nil {
			return nil, unexpected(name, err)
		}
		datasets, err := weightsOf(group)
		if err != nil {
			return nil, unexpected(name, err)
		}
		if len(datasets) == 0 {
			continue
		}
		l := &Layer{Name: name}
		byLayer, order := map[string]*Layer{}, []*Layer{}
		for _, d := range datasets {
			inner, seen := byLayer[d.layer()]
			if !seen {
				inner = &Layer{Name: d.layer()}
				byLayer[inner.Name] = inner
				order = append(order, inner)
			}
			inner.Variables = append(inner.Variables, Variable{dataset: d.dataset})
			l.Variables = append(l.Variables, Variable{dataset: d.dataset})
		}
		// Before Keras 2, the parts of a name were joined otherwise and say nothing
		// of layers; such a list is one layer's if it is as short as one's.
		if len(order) > 1 && len(datasets) > maxLayerVariables {
			l.Variables, l.Model = nil, &Model{Name: name, Layers: order}
		}
		m.Layers = append(m.Layers, l)
	}
	if len(m.Layers) == 0 {
		return nil, malformed("it is of Keras, but holds no weights")
	}
	return m, nil
}

// maxLayerVariables is the number of variables of BatchNormalization, which has
// the most.
const maxLayerVariables = 4
