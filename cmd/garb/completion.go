package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"garb/accept"
	"garb/backbone"
	"garb/convert"
	"garb/dataset"
	"garb/evaluate"
	"garb/mislabel"
	"garb/model"
	"garb/picture"
	"garb/train"
	"garb/weights"
)

// values are what a flag or an argument takes: what a shell proposes for it, and
// whether anything else is refused.
type values struct {
	words   func() []string // proposed
	only    bool            // anything but the words is refused
	files   bool            // files are proposed if no word fits
	endings []string        // of the files that are proposed; nil: all
	folders bool            // folders are proposed, and no files
}

func words(list ...string) values { return values{words: func() []string { return list }} }

func oneOf(list ...string) values {
	v := words(list...)
	v.only = true
	return v
}

func filesOf(endings ...string) values { return values{files: true, endings: endings} }

var (
	anyText = values{} // nothing to propose
	anyFile = values{files: true}
	folders = values{folders: true}
	filters = oneOf(string(picture.Nearest), string(picture.Bilinear), string(picture.Bicubic))
	tables  = filesOf("csv", "tsv")
	dataSet = filesOf("csv", "tsv", "zip", "tar", "gz", "tgz") // shells propose folders too
	models  = values{words: model.BuiltInNames, files: true}
	weighed = values{words: knownNames, files: true}
	shots   = filesOf("jpg", "jpeg", "png", "gif", "webp", "bmp", "avif", "heic", "heif")
)

func acceptanceMethods() []string {
	var names []string
	for _, m := range train.AcceptanceMethods() {
		names = append(names, string(m))
	}
	return names
}

// flagValues has what flags take, by name, or by command and name where a name means
// different things. Numbers are not in it unless some of them are worth a proposal.
var flagValues = map[string]values{
	"acceptance":        oneOf(acceptanceMethods()...),
	"accept":            words(accept.All),
	"addr":              anyText,
	"allow-url-prefix":  anyText,
	"api-key-file":      anyFile,
	"background":        folders,
	"backbone":          {words: backbones, files: true},
	"channels":          words("1", "3"),
	"class":             anyText,
	"features-at":       anyText,
	"classes":           anyText,
	"classes-from":      folders,
	"config":            filesOf("json", "yaml", "yml"),
	"data":              dataSet,
	"digest":            anyText,
	"train-data":        dataSet,
	"other":             folders,
	"refusal":           anyText,
	"dtype":             oneOf(slices.Sorted(maps.Values(dtypeNames))...),
	"exclude":           anyText,
	"fine-tune":         words("none", "all"),
	"from":              anyFile,
	"data relabel from": tables,
	"group-by":          anyText,
	"group-pattern":     anyText,
	"html":              filesOf("html"),
	"ignore":            anyText,
	"image-column":      anyText,
	"images":            folders,
	"label-column":      anyText,
	"labels":            tables,
	"data crops labels": folders,
	"labels-csv":        tables,
	"labels-order":      {words: labelOrders, only: true},
	"layer":             anyText,
	"masks":             folders,
	"merge":             anyText,
	"method":            oneOf(methodTSNE, methodPCA),
	"model":             models,
	"models":            folders,
	"monitor":           oneOf(train.Choices("monitor")...),
	"names":             filesOf("txt"),
	"negatives":         folders,
	"neighbours":        dataSet,
	"optimizer":         oneOf(train.Choices("optimizer")...),
	"out":               folders,
	"photos":            folders,
	"plot":              filesOf("svg"),
	"predictions":       filesOf("csv"),
	"preprocess":        {words: convert.Preprocessings}, // which has aliases
	"quantize":          oneOf("int8"),
	"resize":            filters,
	"resume":            folders,
	"schedule":          oneOf(train.Choices("schedule")...),
	"size":              {words: sides},
	"sort-into":         folders,
	"split":             oneOf(dataset.Validation, dataset.Test, wholeSet),
	"svg":               filesOf("svg"),
	"teacher":           models,
	"tls-cert":          filesOf("pem", "crt", "cer"),
	"tls-key":           filesOf("pem", "key"),
	"trace-endpoint":    anyText,
	"tta":               oneOf(evaluate.FlipTTA),
	"undo-sort":         folders,
	"url":               anyText,
	"weights":           filesOf("safetensors", "pth", "pt"),
	"average out":       filesOf("safetensors"),
	"data preview out":  filesOf("png", "jpg", "jpeg"),
	"embed out":         filesOf("npy"),
	"map out":           filesOf("html"),
	"serve model":       anyText, // NAME=PATH
}

// argumentValues has what the arguments of commands are. Of the others nothing is
// proposed.
var argumentValues = map[string]values{
	"average":      models,
	"classify":     shots,
	"compare":      models,
	"convert":      models,
	"data check":   dataSet,
	"data preview": dataSet,
	"data pull":    {words: dataSetNames},
	"data relabel": dataSet,
	"embed":        shots,
	"explain":      shots,
	"models pull":  {words: pullable},
	"models show":  weighed,
}

func labelOrders() []string {
	var names []string
	for _, order := range mislabel.Orders() {
		names = append(names, string(order))
	}
	return names
}

func backbones() []string {
	var names []string
	for _, a := range backbone.All() {
		names = append(names, a.Name)
	}
	for _, s := range weights.Sources() {
		if s.Application != nil {
			names = append(names, s.Name)
		}
	}
	return names
}

// sides are the sizes of the pictures that backbones were made for.
func sides() []string {
	var all []int
	for _, a := range backbone.All() {
		all = append(all, a.Spec.Width)
	}
	slices.Sort(all)
	var text []string
	for _, side := range slices.Compact(all) {
		text = append(text, fmt.Sprint(side))
	}
	return text
}

// knownNames are the names of models and weights.
func knownNames() []string {
	names := model.BuiltInNames()
	for _, s := range weights.Sources() {
		names = append(names, s.Name)
	}
	return names
}

func dataSetNames() []string {
	var names []string
	for _, s := range dataset.Sources() {
		names = append(names, s.Name)
	}
	return names
}

// addValues lets shells propose what the flags and arguments of a command and those
// below it take, and lets flags refuse what they do not know.
func addValues(c *cobra.Command) {
	name := strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Value.Type() == "bool" {
			return
		}
		v := valuesOf(name, f.Name)
		list, _ := f.Value.(*listValue)
		switch {
		case v.only && list != nil:
			list.Value = &choice{list.Value, v.words()}
		case v.only:
			f.Value = &choice{f.Value, v.words()}
		}
		// The only error is that the flag has proposals already.
		isList := list != nil || strings.HasSuffix(f.Value.Type(), "Slice")
		_ = c.RegisterFlagCompletionFunc(f.Name,
			func(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
				return v.propose(begun, isList)
			})
	})
	c.ValidArgsFunction = func(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return argumentValues[name].propose(begun, false)
	}
	for _, sub := range c.Commands() {
		if sub.Name() != "help" { // which proposes commands
			addValues(sub)
		}
	}
}

// valuesOf returns what a flag of a command takes.
func valuesOf(command, flag string) values {
	if v, ok := flagValues[command+" "+flag]; ok {
		return v
	}
	return flagValues[flag]
}

// propose gives a shell the words that what is typed so far may become, and says
// whether files or folders may follow. Of a list, the last of the values with commas
// between is proposed.
func (v values) propose(begun string, list bool) ([]string, cobra.ShellCompDirective) {
	switch {
	case v.folders:
		return nil, cobra.ShellCompDirectiveFilterDirs
	case v.endings != nil:
		return v.endings, cobra.ShellCompDirectiveFilterFileExt
	}
	directive := cobra.ShellCompDirectiveNoFileComp
	if v.files {
		directive = cobra.ShellCompDirectiveDefault
	}
	before := ""
	if at := strings.LastIndexByte(begun, ','); list && at >= 0 {
		before = begun[:at+1]
	}
	var proposed []string
	if v.words != nil {
		for _, word := range v.words() {
			if strings.HasPrefix(before+word, begun) {
				proposed = append(proposed, before+word)
			}
		}
	}
	return proposed, directive
}

// choice is a flag that takes some words only.
type choice struct {
	pflag.Value
	words []string
}

// Set implements pflag.Value. Its error says which words there are, and which one was
// probably meant.
func (c *choice) Set(text string) error {
	if slices.Contains(c.words, text) || text == "" && c.Value.String() == "" {
		return c.Value.Set(text)
	}
	must := strings.Join(c.words, ", ")
	if at := strings.LastIndex(must, ", "); at >= 0 {
		must = must[:at] + " or " + must[at+2:]
	}
	if name := nearest(text, c.words); name != "" {
		return fmt.Errorf("it must be %s; did you mean %s?", must, name)
	}
	return fmt.Errorf("it must be %s", must)
}
