package dataset_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"garb/dataset"
	"garb/picture"
)

// folderOf makes a temporary folder with files, which are empty unless a text is given.
func folderOf(files map[string]string) string {
	folder, err := os.MkdirTemp("", "pictures")
	if err != nil {
		log.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(folder, filepath.FromSlash(name))
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
		if err != nil {
			log.Fatal(err)
		}
	}
	return folder
}

// manyOf makes a temporary folder with pictures of two classes, in a folder for each.
func manyOf(hats, shoes int) string {
	files := map[string]string{}
	for i := range hats {
		files[fmt.Sprintf("hat/%03d.jpg", i)] = ""
	}
	for i := range shoes {
		files[fmt.Sprintf("shoes/%03d.jpg", i)] = ""
	}
	return folderOf(files)
}

// The folders' names are the classes.
func ExampleOpen() {
	folder := folderOf(map[string]string{"shoes/1.jpg": "", "hat/1.jpg": "", "hat/2.png": ""})
	defer os.RemoveAll(folder)
	set, err := dataset.Open(folder)
	if err != nil {
		fmt.Println(err)
		return
	}
	counts := make([]int, len(set.Classes))
	for _, s := range set.Samples {
		counts[s.Label]++
	}
	for i, class := range set.Classes {
		fmt.Println(class, counts[i])
	}
	// Output:
	// hat 2
	// shoes 1
}

// Labels may also come from a table. Options rename, merge and choose them, and Tally counts
// what gave no picture.
func ExampleRead() {
	folder := folderOf(map[string]string{
		"labels.csv": "file;kind\na.jpg;polo\nb;t-shirt\nc;hat\n",
		"a.jpg":      "", "b.jpg": "",
	})
	defer os.RemoveAll(folder)
	options := dataset.Options{LabelColumn: "kind", Merge: map[string]string{"polo": "t-shirt"}}
	d, err := dataset.Read(context.Background(), folder, options)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Layout, d.Table.Columns, d.Classes)
	fmt.Println(d.Tally.Summary(len(d.All().Samples)))
	// Output:
	// table [file kind] [t-shirt]
	// 2 pictures used, 1 skipped (1 missing)
}

// A data set without splits is divided class by class. The same rule always gives the same
// splits, and most pictures stay where they are when others are added.
func ExampleData_Split() {
	folder := manyOf(100, 40)
	defer os.RemoveAll(folder)
	d, err := dataset.Read(context.Background(), folder, dataset.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	splits, err := d.Split(dataset.SplitRule{Validation: 0.2, Test: 0.1, Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, set := range []*dataset.Set{splits.Train.Set, splits.Validation, splits.Test} {
		counts := make([]int, 2)
		for _, s := range set.Samples {
			counts[s.Label]++
		}
		fmt.Println(counts)
	}
	// Output:
	// [70 28]
	// [20 8]
	// [10 4]
}

// In a cross-validation of five folds, each picture is a validation picture once.
func ExampleSplitRule() {
	folder := manyOf(25, 15)
	defer os.RemoveAll(folder)
	rule := dataset.DefaultSplitRule()
	rule.Test, rule.Folds = 0, 5
	validated := map[string]bool{}
	for rule.Fold = 1; rule.Fold <= rule.Folds; rule.Fold++ {
		splits, err := dataset.OpenSplits(folder, rule)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(len(splits.Train.Samples), "to train on,", len(splits.Validation.Samples), "to validate")
		for _, s := range splits.Validation.Samples {
			validated[s.Path] = true
		}
	}
	fmt.Println(len(validated), "different validation pictures")
	// Output:
	// 32 to train on, 8 to validate
	// 32 to train on, 8 to validate
	// 32 to train on, 8 to validate
	// 32 to train on, 8 to validate
	// 32 to train on, 8 to validate
	// 40 different validation pictures
}

// Pictures of one shop look alike. GroupPattern finds the shop in the files' names, and each
// shop's pictures stay in one split.
func ExampleOptions() {
	files := map[string]string{}
	for shop := range 20 {
		for i := range 5 {
			files[fmt.Sprintf("hat/shop%02d-%d.jpg", shop, i)] = ""
			files[fmt.Sprintf("shoes/shop%02d-%d.jpg", shop, i)] = ""
		}
	}
	folder := folderOf(files)
	defer os.RemoveAll(folder)
	d, err := dataset.Read(context.Background(), folder, dataset.Options{GroupPattern: `^(shop\d+)-`})
	if err != nil {
		fmt.Println(err)
		return
	}
	splits, err := d.Split(dataset.DefaultSplitRule())
	if err != nil {
		fmt.Println(err)
		return
	}
	inTrain := map[string]bool{}
	for _, s := range splits.Train.Samples {
		inTrain[s.Group] = true
	}
	both := 0
	for _, s := range splits.Test.Samples {
		if inTrain[s.Group] {
			both++
		}
	}
	fmt.Println(splits.Division.Groups, "groups,", both, "test pictures of a group in train")
	// Output: 20 groups, 0 test pictures of a group in train
}

// A mistake in the options is an error that names the option.
func ExampleOptionsError() {
	err := dataset.Options{GroupPattern: "shop(["}.Validate()
	var wrong *dataset.OptionsError
	if errors.As(err, &wrong) {
		fmt.Println(wrong.Option)
	}
	// Output: group_pattern
}

// Problems are all that is wrong with a data set: here one class has two names.
func ExampleProblem() {
	folder := folderOf(map[string]string{"1.jpg": "", "2.jpg": "", "3.jpg": "",
		"images.csv": "image,label\n1.jpg,T-Shirt\n2.jpg,t-shirt\n3.jpg,hat\n"})
	defer os.RemoveAll(folder)
	d, err := dataset.Read(context.Background(), folder, dataset.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range d.Problems {
		fmt.Println(p.Kind, "refused:", p.Refused)
	}
	// Output: alike refused: false
}

// Pictures of one photographer are alike. A table's column that seems to name photographers is
// reported, so that it can be chosen as Options.GroupBy.
func ExampleContributor() {
	files, table := map[string]string{}, "image,label,photographer\n"
	for i := range 60 {
		name := fmt.Sprintf("%02d.jpg", i)
		files[name] = ""
		table += fmt.Sprintf("%s,%s,person %d\n", name, []string{"hat", "shoes"}[i%2], i/5)
	}
	files["images.csv"] = table
	folder := folderOf(files)
	defer os.RemoveAll(folder)
	d, err := dataset.Read(context.Background(), folder, dataset.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range d.Contributors {
		fmt.Println(c.Column, c.Groups, "groups of", c.Mean)
	}
	// Output: photographer 12 groups of 5
}

// Check reads every picture and finds what spoils a training: here a test picture that the
// network was trained on, and a file that is no picture.
func ExampleCheck() {
	dress, err := os.ReadFile("../examples/dress.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	skirt, err := os.ReadFile("../examples/skirt.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	folder := folderOf(map[string]string{
		"train/dress/1.jpg": string(dress), "train/skirt/1.jpg": string(skirt), "train/skirt/2.jpg": "cut off",
		"test/dress/copy.jpg": string(dress),
	})
	defer os.RemoveAll(folder)
	ctx := context.Background()
	d, err := dataset.Read(ctx, folder, dataset.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	health, err := dataset.Check(ctx, d, dataset.DefaultSplitRule(), picture.DefaultLimits(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(health.Used, "pictures,", len(health.Corrupt), "that cannot be read,", health.Leaks(), "leak")
	for _, p := range health.Exact[0].Pictures {
		fmt.Println(p.Split, p.Class, filepath.Base(p.Path))
	}
	// Output:
	// 3 pictures, 1 that cannot be read, 1 leak
	// train dress 1.jpg
	// test dress copy.jpg
}

// A tally says what became of everything that was found.
func ExampleTally() {
	var tally dataset.Tally
	tally.Add(dataset.ReasonMissing, "a.jpg", "there is no such file")
	tally.Add(dataset.ReasonHidden, ".DS_Store", "hidden")
	fmt.Println(tally.Summary(41))
	fmt.Println("a loss:", tally.Skipped())
	// Output:
	// 41 pictures used, 1 skipped (1 missing), 1 ignored (1 hidden file)
	// a loss: 1
}

// Strict makes an error of every picture that would be skipped.
func ExampleStrictError() {
	var tally dataset.Tally
	tally.Add(dataset.ReasonMissing, "a.jpg", "there is no such file")
	var strict *dataset.StrictError
	if errors.As(tally.Strict(), &strict) {
		fmt.Println(strict.Skipped, strict.Words)
	}
	// Output: 1 (1 missing)
}

// Data sets that are used together must name their classes alike.
func ExampleUnite() {
	first := &dataset.Data{Path: "shop", Classes: []string{"hat", "t-shirt"}}
	second := &dataset.Data{Path: "street", Classes: []string{"dress", "hat"}}
	classes, err := dataset.Unite(first, second)
	fmt.Println(classes, err)

	third := &dataset.Data{Path: "archive", Classes: []string{"T-Shirt"}}
	_, err = dataset.Unite(first, third)
	var unlike *dataset.UnlikeClassesError
	if errors.As(err, &unlike) {
		fmt.Println(unlike.Classes)
	}
	// Output:
	// [dress hat t-shirt] <nil>
	// [t-shirt T-Shirt]
}

// Pictures without labels, such as cats that a model has to refuse, are divided too.
func ExampleReadUnlabelled() {
	folder := manyOf(50, 50)
	defer os.RemoveAll(folder)
	var tally dataset.Tally
	u, err := dataset.ReadUnlabelled(context.Background(), folder,
		dataset.SplitRule{Validation: 0.2, Test: 0.2}, true, dataset.Options{}, &tally)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(u.Train), len(u.Validation), len(u.Test))
	// Output: 60 20 20
}

// Public data sets are known by name; Pull downloads one and checks its digest.
func ExampleSource() {
	s, err := dataset.LookupSource("clothing-small")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Name, s.Licence)
	// Output: clothing-small can be freely used for any purpose
}

// Each works on all cores.
func ExampleSet_Each() {
	folder := folderOf(map[string]string{"hat/1.jpg": "12345", "shoes/1.jpg": "123"})
	defer os.RemoveAll(folder)
	set, err := dataset.Open(folder)
	if err != nil {
		fmt.Println(err)
		return
	}
	sizes := make([]int, len(set.Samples))
	err = set.Each(context.Background(), func(i int) {
		data, readError := set.Samples[i].Read(picture.DefaultLimits())
		if readError != nil {
			fmt.Println(readError)
		}
		sizes[i] = len(data)
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sizes)
	// Output: [5 3]
}
