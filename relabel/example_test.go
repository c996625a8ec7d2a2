package relabel_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"garb/dataset"
	"garb/relabel"
)

// folderOf makes a temporary folder with files.
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

// A corrected label moves a picture to another class folder; Undo moves it back.
func ExamplePlan() {
	folder := folderOf(map[string]string{"pants/1.jpg": "", "pants/2.jpg": "", "shorts/3.jpg": ""})
	defer os.RemoveAll(folder)
	ctx := context.Background()
	d, err := dataset.Read(ctx, folder, dataset.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	corrections := []relabel.Correction{{Picture: "pants/2.jpg", Label: "pants", New: "shorts"}}
	plan, err := relabel.Prepare(ctx, d, corrections, relabel.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err = plan.Apply(ctx, time.Now()); err != nil {
		fmt.Println(err)
		return
	}
	_, err = os.Stat(filepath.Join(folder, "shorts", "2.jpg"))
	fmt.Println("moved:", err == nil)

	undone, err := relabel.Undo(ctx, folder)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("moved back:", undone.Moved)
	// Output:
	// moved: true
	// moved back: 1
}

// In a table only the label changes: every other byte stays as it was.
func ExamplePlan_Apply() {
	folder := folderOf(map[string]string{
		"labels.csv": "image;label;remark\na.jpg;hat;\"red; felt\"\nb.jpg;shoes;\n", "a.jpg": "", "b.jpg": "",
	})
	defer os.RemoveAll(folder)
	ctx := context.Background()
	d, err := dataset.Read(ctx, folder, dataset.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	corrections := []relabel.Correction{{Picture: "b.jpg", Label: "shoes", New: "hat"}}
	plan, err := relabel.Prepare(ctx, d, corrections, relabel.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err = plan.Apply(ctx, time.Now()); err != nil {
		fmt.Println(err)
		return
	}
	table, err := os.ReadFile(filepath.Join(folder, "labels.csv"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s", table)
	// Output:
	// image;label;remark
	// a.jpg;hat;"red; felt"
	// b.jpg;hat;
}

// Corrections come from a table, such as one of doubtful labels in which a person has accepted
// some of the proposals.
func ExampleReadCorrections() {
	folder := folderOf(map[string]string{
		"labels.csv": "picture,label,proposed,accepted\npants/2.jpg,pants,shorts,yes\nhat/7.jpg,hat,shoes,\n",
	})
	defer os.RemoveAll(folder)
	accepted, rows, err := relabel.ReadCorrections(filepath.Join(folder, "labels.csv"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(accepted), "of", rows)
	for _, c := range accepted {
		fmt.Println(c.Picture, "from", c.Label, "to", c.New)
	}
	// Output:
	// 1 of 2
	// pants/2.jpg from pants to shorts
}

// Corrections are applied all or not at all: everything that is wrong with any is listed first.
func ExampleProblemsError() {
	folder := folderOf(map[string]string{"pants/1.jpg": "", "shorts/3.jpg": ""})
	defer os.RemoveAll(folder)
	ctx := context.Background()
	d, err := dataset.Read(ctx, folder, dataset.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = relabel.Prepare(ctx, d, []relabel.Correction{
		{Line: 2, Picture: "pants/9.jpg", Label: "pants", New: "shorts"}, // there is no such picture
		{Line: 3, Picture: "shorts/3.jpg", Label: "shorts", New: "kilt"}, // there is no such class
	}, relabel.Options{})
	var problems *relabel.ProblemsError
	if errors.As(err, &problems) {
		for _, p := range problems.Problems {
			fmt.Println("line", p.Line, p.Picture, "new class:", p.NewClass)
		}
	}
	// Output:
	// line 3 shorts/3.jpg new class: true
	// line 2 pants/9.jpg new class: false
}
