package weights

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// ImageNetClass is one of the 1000 classes of ImageNet's networks.
type ImageNetClass struct {
	Index int    // of the network's output
	WNID  string // in WordNet: "n04370456"
	Name  string // in English, synonyms separated by commas: "sweatshirt"
}

// imagenet_classes.tsv is made by generate.py.
//
//go:embed imagenet_classes.tsv
var classTable string

var classes = sync.OnceValue(func() []ImageNetClass {
	var all []ImageNetClass
	for line := range strings.Lines(classTable) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		index, err := strconv.Atoi(fields[0])
		if err != nil || index != len(all) || len(fields) != 3 {
			panic("weights: the built-in table of classes is broken at " + line)
		}
		all = append(all, ImageNetClass{index, fields[1], fields[2]})
	}
	return all
})

// ImageNetClasses returns the 1000 classes of ImageNet in the order of the
// networks' outputs. Names are not unique ("crane" is a bird and a machine); WNID
// is.
func ImageNetClasses() []ImageNetClass { return slices.Clone(classes()) }
