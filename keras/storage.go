package keras

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"garb/internal/hdf5"
)

// The newer generation stores a layer's variables by number: layers/CLASS_N/vars/I,
// where CLASS is the class in snake case and N counts the layers of that class.
// The name of the group changed within Keras 2.
var layerFolders = []string{"layers", "_layer_checkpoint_dependencies"}

// attachByNumber assigns each layer of m its variables from a group of the newer generation.
func attachByNumber(m *Model, g *hdf5.Group, place string) error {
	folder, err := layerFolder(g)
	if err != nil {
		return err
	}
	used := map[string]int{}
	for _, l := range m.Layers {
		at := joinPath(place, l.Name)
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
			return errMissing(at)
		}
		group, err := folder.Group(stored)
		if err != nil || group == nil {
			return errUnexpected(at, err)
		}
		if l.Model != nil {
			if err = attachByNumber(l.Model, group, at); err != nil {
				return err
			}
			continue
		}
		datasets, err := listNumbered(group)
		if err != nil {
			return errUnexpected(at, err)
		}
		if l.Variables, err = pairVariables(at, l, datasets); err != nil {
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

// listNumbered returns the datasets vars/0, vars/1, ... of a layer's group.
func listNumbered(g *hdf5.Group) ([]namedDataset, error) {
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

// snakeCase returns a class's name in storage, as in Keras: SeparableConv2D is separable_conv2d.
func snakeCase(class string) string {
	return strings.ToLower(wordEnd.ReplaceAllString(wordStart.ReplaceAllString(class, "${1}_${2}"), "${1}_${2}"))
}

// listByNumber lists the layers in a file of weights of the newer generation, class by class, each
// in the order of the model.
func listByNumber(root *hdf5.Group) (*Model, error) {
	m, err := listGroup(root, 0)
	if err != nil {
		return nil, err
	}
	if m == nil || len(m.Layers) == 0 {
		return nil, malformed("it is an HDF5 file without Keras layers")
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
		datasets, err := listNumbered(group)
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

// attachByName assigns each layer of m its variables from a group of the older generation.
func attachByName(m *Model, g *hdf5.Group) error {
	for _, l := range m.Layers {
		group, err := g.Group(strings.TrimPrefix(l.Name, "/"))
		if err != nil {
			return errUnexpected(l.Name, err)
		}
		var datasets []namedDataset
		if group != nil {
			if datasets, err = readWeights(group); err != nil {
				return errUnexpected(l.Name, err)
			}
		}
		if l.Model != nil {
			err = attachToLeaves(l, datasets)
		} else {
			l.Variables, err = pairVariables(l.Name, l, datasets)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// attachToLeaves distributes the datasets of a layer that is a model to the layers in it.
func attachToLeaves(l *Layer, datasets []namedDataset) error {
	leaves := newLeafIndex(l.Model.leaves("", nil))
	byLeaf := make([][]namedDataset, len(leaves.all))
	for _, d := range datasets {
		at, err := leaves.find(d.name)
		if err != nil {
			return errUnexpected(l.Name, err)
		}
		if at >= 0 {
			byLeaf[at] = append(byLeaf[at], d)
		}
	}
	for i, leaf := range leaves.all {
		var err error
		leaf.layer.Variables, err = pairVariables(joinPath(l.Name, leaf.place), leaf.layer, byLeaf[i])
		if err != nil {
			return err
		}
	}
	return nil
}

// attachInOrder assigns the layers of m that have variables those in a file of weights, in order.
func attachInOrder(m *Model, root *hdf5.Group) error {
	var waiting []*Layer
	for _, l := range m.Layers {
		names, known := variableNames(l)
		switch {
		case l.Model != nil:
			return malformed("layer %q is a model, the order of whose weights garb does not know", l.Name)
		case !known:
			return &UnknownLayerError{Layer: l.Name, Class: l.Class}
		case len(names) > 0:
			waiting = append(waiting, l)
		}
	}
	stored, err := readTexts(root, "layer_names")
	if err != nil {
		return err
	}
	if len(stored) == 0 {
		return malformed("it has no list of layers, so it is not a file of weights of the older layout")
	}
	at := 0
	for _, name := range stored {
		group, err := root.Group(strings.TrimPrefix(name, "/"))
		if err != nil || group == nil {
			return errUnexpected(name, err)
		}
		datasets, err := readWeights(group)
		if err != nil {
			return errUnexpected(name, err)
		}
		if len(datasets) == 0 {
			continue
		}
		if at == len(waiting) {
			return malformed("it has the weights of more layers than the %d of %s; the first too many is %q", at,
				m.Name, name)
		}
		l := waiting[at]
		if l.Variables, err = pairVariables(l.Name, l, datasets); err != nil {
			return fmt.Errorf("as layer %q: %w", name, err)
		}
		at++
	}
	if at < len(waiting) {
		return malformed("it has the weights of %d layers instead of the %d of %s; those of layer %q are missing",
			at, len(waiting), m.Name, waiting[at].Name)
	}
	return nil
}

// leafIndex finds layers by the names of their datasets.
type leafIndex struct {
	all    []leaf
	byLast map[string][]int // indices by the last part of the name
	looked int
}

func newLeafIndex(all []leaf) *leafIndex {
	x := &leafIndex{all: all, byLast: map[string][]int{}}
	for i, l := range all {
		last := l.layer.Name[strings.LastIndexByte(l.layer.Name, '/')+1:]
		x.byLast[last] = append(x.byLast[last], i)
	}
	return x
}

// maxLooked limits the layers that are compared with names of datasets.
const maxLooked = 1 << 22

// find returns the layer of a dataset, −1 if there is none: "block/conv/kernel:0" belongs to conv,
// or to block/conv if that is a layer's name. If several layers have the name, it is the one whose
// path agrees in more parts from the end on; a path that agrees completely decides.
func (x *leafIndex) find(dataset string) (int, error) {
	end := strings.LastIndexByte(dataset, '/')
	if end < 0 || end > 1000 { // not a name of Keras's
		return -1, nil
	}
	path := dataset[:end]
	candidates := x.byLast[path[strings.LastIndexByte(path, '/')+1:]]
	if x.looked += len(candidates); x.looked > maxLooked {
		return -1, malformed("too many layers have the same name")
	}
	best, most, several := -1, 0, false
	for _, i := range candidates {
		l := x.all[i]
		if l.place == path {
			return i, nil
		}
		if path != l.layer.Name && !strings.HasSuffix(path, "/"+l.layer.Name) {
			continue
		}
		switch n := commonTail(path, l.place); {
		case n > most:
			best, most, several = i, n, false
		case n == most:
			several = true
		}
	}
	if several {
		return -1, malformed("the weights %q could be those of several layers", dataset)
	}
	return best, nil
}

// commonTail counts the parts in which two paths agree from the end on.
func commonTail(a, b string) int {
	for n := 0; ; n++ {
		i, j := strings.LastIndexByte(a, '/'), strings.LastIndexByte(b, '/')
		if a[i+1:] != b[j+1:] {
			return n
		}
		if i < 0 || j < 0 {
			return n + 1
		}
		a, b = a[:i], b[:j]
	}
}

// layer returns the layer's name in a dataset's: "bn" in "base/bn/gamma:0".
func (d namedDataset) layer() string {
	parts := strings.Split(d.name, "/")
	return parts[max(0, len(parts)-2)]
}

// readWeights returns the datasets that a layer's group lists.
func readWeights(g *hdf5.Group) ([]namedDataset, error) {
	names, err := readTexts(g, "weight_names")
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

// readTexts returns an attribute that is a list. Keras splits one of more than 64 kB over name0,
// name1, ...
func readTexts(o hdf5.Object, name string) ([]string, error) {
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

// listByName lists the layers in a file of weights of the older generation, in the order of the
// model.
func listByName(root *hdf5.Group) (*Model, error) {
	names, err := readTexts(root, "layer_names")
	if err != nil {
		return nil, err
	}
	m := &Model{}
	for _, name := range names {
		group, err := root.Group(strings.TrimPrefix(name, "/"))
		if err != nil || group == nil {
			return nil, errUnexpected(name, err)
		}
		datasets, err := readWeights(group)
		if err != nil {
			return nil, errUnexpected(name, err)
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
		return nil, malformed("it is a Keras file without weights")
	}
	return m, nil
}

// maxLayerVariables is the number of variables of BatchNormalization, which has
// the most.
const maxLayerVariables = 4
