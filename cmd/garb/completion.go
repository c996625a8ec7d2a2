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

// The methods of garb map.
const (
	methodTSNE = "tsne"
	methodPCA  = "pca"
)

// valueRule says what shells suggest for a flag or an argument, and whether other values are
// refused.
type valueRule struct {
	words   func() []string // suggestions
	only    bool            // other values than the words are refused
	files   bool            // suggest files if no word fits
	endings []string        // of the suggested files; nil for all
	folders bool            // suggest folders, and no files
}

func suggestWords(list ...string) valueRule { return valueRule{words: func() []string { return list }} }

func allowOnly(list ...string) valueRule {
	v := suggestWords(list...)
	v.only = true
	return v
}

func suggestFiles(endings ...string) valueRule { return valueRule{files: true, endings: endings} }

var (
	noRule           = valueRule{} // no suggestions
	anyFiles         = valueRule{files: true}
	folders          = valueRule{folders: true}
	filters          = allowOnly(string(picture.Nearest), string(picture.Bilinear), string(picture.Bicubic))
	tables           = suggestFiles("csv", "tsv")
	dataSet          = suggestFiles("csv", "tsv", "zip", "tar", "gz", "tgz") // shells suggest folders too
	models           = valueRule{words: model.BuiltInNames, files: true}
	modelsAndWeights = valueRule{words: listModelNames, files: true}
	pictureFiles     = suggestFiles(listPictureEndings()...)
)

func listPictureEndings() []string {
	var endings []string
	for _, f := range picture.Formats() {
		for _, extension := range f.Extensions() {
			endings = append(endings, strings.TrimPrefix(extension, "."))
		}
	}
	return endings
}

func listAcceptanceMethods() []string {
	var names []string
	for _, m := range train.AcceptanceMethods() {
		names = append(names, string(m))
	}
	return names
}

// flagValues maps flags to their values, by name, or by command and name if the name has
// several meanings. It leaves out numbers, except those with common values.
var flagValues = map[string]valueRule{
	"acceptance":           allowOnly(listAcceptanceMethods()...),
	"accept":               suggestWords(accept.All),
	"addr":                 noRule,
	"admin-addr":           noRule,
	"allow-host":           noRule,
	"allow-private-prefix": noRule,
	"cors-origin":          noRule,
	"allow-url-prefix":     noRule,
	"answers":              folders,
	"log-answers":          folders,
	"api-key-file":         anyFiles,
	"try":                  folders,
	"max-pixels":           noRule,
	"truncated":            allowOnly(refuseTruncated, keepTruncated),
	orientationName:        allowOnly("apply", "ignore"),
	"background":           folders,
	"backbone":             {words: listBackbones, files: true},
	"channels":             suggestWords("1", "3"),
	"class":                noRule,
	"features":             suggestFiles("safetensors"),
	"features-at":          noRule,
	"classes":              noRule,
	"classes-from":         folders,
	"config":               suggestFiles("json", "yaml", "yml"),
	"data":                 dataSet,
	"digest":               noRule,
	"train-data":           dataSet,
	"other":                folders,
	"refusal":              noRule,
	"job":                  noRule,
	"listen":               noRule,
	"nats":                 noRule,
	"nats-creds":           suggestFiles("creds"),
	"queue":                folders,
	"task":                 allowOnly("classify", "embed", "features"),
	"dtype":                allowOnly(slices.Sorted(maps.Values(dtypeNames))...),
	"exclude":              noRule,
	"fine-tune":            suggestWords("none", "all"),
	"from":                 anyFiles,
	"data relabel from":    tables,
	"group-by":             noRule,
	"group-pattern":        noRule,
	"html":                 suggestFiles("html"),
	"ignore":               noRule,
	"image-column":         noRule,
	"images":               folders,
	"label-column":         noRule,
	"labels":               tables,
	"data crops labels":    folders,
	"labels-csv":           tables,
	"labels-order":         {words: listLabelOrders, only: true},
	"layer":                noRule,
	"masks":                folders,
	"merge":                noRule,
	"method":               allowOnly(methodTSNE, methodPCA),
	"model":                models,
	"models":               folders,
	"monitor":              allowOnly(train.Choices("monitor")...),
	"names":                suggestFiles("txt"),
	"negatives":            folders,
	"neighbours":           dataSet,
	"optimizer":            allowOnly(train.Choices("optimizer")...),
	"out":                  folders,
	"photos":               folders,
	"plot":                 suggestFiles("svg"),
	"predictions":          suggestFiles("csv"),
	"preprocess":           {words: convert.Preprocessings}, // aliases are allowed too
	"quantize":             allowOnly("int8"),
	"reference":            dataSet,
	"resize":               filters,
	"resume":               folders,
	"schedule":             allowOnly(train.Choices("schedule")...),
	"shard":                noRule, // I/N
	"since":                noRule,
	"size":                 {words: listSizes},
	"sort-into":            folders,
	"split":                allowOnly(dataset.Validation, dataset.Test, wholeSet),
	"svg":                  suggestFiles("svg"),
	"teacher":              models,
	"tls-cert":             suggestFiles("pem", "crt", "cer"),
	"tls-key":              suggestFiles("pem", "key"),
	"trace-endpoint":       noRule,
	"tta":                  allowOnly(evaluate.FlipTTA),
	"undo-sort":            folders,
	"until":                noRule,
	"url":                  noRule,
	"weights":              suggestFiles("safetensors", "pth", "pt"),
	"average out":          suggestFiles("safetensors"),
	"data preview out":     suggestFiles("png", "jpg", "jpeg"),
	"drift out":            suggestFiles("html"),
	"classify out":         suggestFiles("json", "jsonl", "csv", "txt"),
	"embed out":            suggestFiles("npy"),
	"evaluate out":         suggestFiles("json", "txt"),
	"features out":         suggestFiles("safetensors"),
	"merge out":            anyFiles,
	"map out":              suggestFiles("html"),
	"queue get out":        suggestFiles("jsonl", "parquet", "safetensors"),
	"serve model":          noRule, // NAME=PATH
	"serve label":          noRule, // NAME:LABEL=VERSION
	"serve canary":         noRule, // NAME=SHARE
	"serve shadow":         noRule, // NAME=VERSION
	"serve warm-up":        folders,
	"version-policy":       suggestWords("latest:1", "all"),
}

// argumentValues maps commands to the values of their arguments. Shells suggest nothing for
// other commands.
var argumentValues = map[string]valueRule{
	"average":      models,
	"classify":     pictureFiles,
	"compare":      models,
	"convert":      models,
	"data check":   dataSet,
	"data preview": dataSet,
	"data pull":    {words: listDataSets},
	"data relabel": dataSet,
	"embed":        pictureFiles,
	"explain":      pictureFiles,
	"merge":        anyFiles,
	"models pull":  {words: listPullable},
	"models show":  modelsAndWeights,
	"queue put":    pictureFiles,
}

func listLabelOrders() []string {
	var names []string
	for _, order := range mislabel.Orders() {
		names = append(names, string(order))
	}
	return names
}

func listBackbones() []string {
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

// listSizes lists the input sizes of the backbones.
func listSizes() []string {
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

// listModelNames lists the names of models and weights.
func listModelNames() []string {
	names := model.BuiltInNames()
	for _, s := range weights.Sources() {
		names = append(names, s.Name)
	}
	return names
}

func listDataSets() []string {
	var names []string
	for _, s := range dataset.Sources() {
		names = append(names, s.Name)
	}
	return names
}

// addValues registers suggestions for the flags and arguments of a command and its
// subcommands, and lets flags refuse unknown values.
func addValues(c *cobra.Command) {
	name := strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Value.Type() == "bool" {
			return
		}
		v := lookUpValues(name, f.Name)
		list, _ := f.Value.(*listValue)
		switch {
		case v.only && list != nil:
			list.Value = &choice{list.Value, v.words()}
		case v.only:
			f.Value = &choice{f.Value, v.words()}
		}
		// The only possible error is that the flag has suggestions already.
		isList := list != nil || strings.HasSuffix(f.Value.Type(), "Slice")
		_ = c.RegisterFlagCompletionFunc(f.Name,
			func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
				return v.suggest(typed, isList)
			})
	})
	c.ValidArgsFunction = func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return argumentValues[name].suggest(typed, false)
	}
	for _, sub := range c.Commands() {
		if sub.Name() != "help" { // it suggests commands
			addValues(sub)
		}
	}
}

// lookUpValues returns the rule for a flag of a command.
func lookUpValues(command, flag string) valueRule {
	if v, ok := flagValues[command+" "+flag]; ok {
		return v
	}
	return flagValues[flag]
}

// suggest returns the words that complete the typed text, and whether the shell should suggest
// files or folders. In a comma-separated list it completes the last value.
func (v valueRule) suggest(typed string, list bool) ([]string, cobra.ShellCompDirective) {
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
	if at := strings.LastIndexByte(typed, ','); list && at >= 0 {
		before = typed[:at+1]
	}
	var found []string
	if v.words != nil {
		for _, word := range v.words() {
			if strings.HasPrefix(before+word, typed) {
				found = append(found, before+word)
			}
		}
	}
	return found, directive
}

// choice is the value of a flag that takes one of several words.
type choice struct {
	pflag.Value
	words []string
}

// Set implements pflag.Value. Its error lists the words, and suggests the one that was
// probably meant.
func (c *choice) Set(text string) error {
	if slices.Contains(c.words, text) || text == "" && c.String() == "" {
		return c.Value.Set(text)
	}
	must := strings.Join(c.words, ", ")
	if at := strings.LastIndex(must, ", "); at >= 0 {
		must = must[:at] + " or " + must[at+2:]
	}
	if name := findNearest(text, c.words); name != "" {
		return fmt.Errorf("it must be %s; did you mean %s?", must, name)
	}
	return fmt.Errorf("it must be %s", must)
}
