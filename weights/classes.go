package weights

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// ImageNetClass is one of the 1000 classes of networks trained on ImageNet.
type ImageNetClass struct {
	Index int    // in the network's output
	WNID  string // WordNet ID: "n04370456"
	Name  string // in English, synonyms separated by commas: "sweatshirt"
}

// generate.py wrote imagenet_classes.tsv.
//
//go:embed imagenet_classes.tsv
var classTable string

var classes = sync.OnceValue(func() []ImageNetClass {
	var all []ImageNetClass
	for line := range strings.Lines(classTable) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		index, err := strconv.Atoi(fields[0])
		if err != nil || index != len(all) || len(fields) != 3 {
			panic("weights: invalid row in the table of classes: " + line)
		}
		all = append(all, ImageNetClass{index, fields[1], fields[2]})
	}
	return all
})

// ImageNetClasses returns the 1000 classes of ImageNet in the order of the networks' outputs. Names
// are not unique ("crane" is a bird and a machine); WNIDs are.
func ImageNetClasses() []ImageNetClass { return slices.Clone(classes()) }
