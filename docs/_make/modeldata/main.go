// Command modeldata lays out the pictures for training, choosing and measuring the built-in
// models.
//
//	go run ./docs/_make/modeldata DATA OUT
//
// DATA has the folders clothing-dataset-small, clothing-dataset-full (images.csv and
// extra), clothing-worn and other-pictures. Held-out pictures go to OUT/aside. No contributor
// and no photo of theirs is in another folder: see layout. The same data give the same files.
// OUT must be new, empty, or made by this program.
package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
)

// list is the table of all files in OUT: a run replaces only what it lists.
const list = "files.csv"

var listColumns = []string{"file", "source"}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: go run ./docs/_make/modeldata DATA OUT")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2], os.Stdout); err != nil {
		stop()
		log.Fatal("modeldata: ", err)
	}
}

// run makes the folder out and prints its counts. The folder appears only when it is complete.
func run(ctx context.Context, data, out string, print io.Writer) (err error) {
	if err = replaceable(out); err != nil {
		return err
	}
	out = filepath.Clean(out)
	if err = os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	folder, err := os.MkdirTemp(filepath.Dir(out), "."+filepath.Base(out)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if err = os.Chmod(folder, 0o755); err != nil {
		return err
	}
	l := &layout{data: data, out: folder}
	if err = l.layOut(ctx); err != nil {
		return err
	}
	slices.SortFunc(l.files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	rows := [][]string{listColumns}
	for _, f := range l.files {
		rows = append(rows, []string{f.name, f.source})
	}
	if err = writeTable(filepath.Join(folder, list), rows); err != nil {
		return err
	}
	if err = os.RemoveAll(out); err != nil {
		return err
	}
	if err = os.Rename(folder, out); err != nil {
		return err
	}
	return printCounts(print, l.files)
}

// replaceable returns an error if out has a file that this program did not make.
func replaceable(out string) error {
	entries, err := os.ReadDir(out)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	rows, err := readTable(filepath.Join(out, list))
	if err != nil || !slices.Equal(rows[0], listColumns) {
		return fmt.Errorf("%s has files, and modeldata did not make them; name another folder", out)
	}
	own := map[string]bool{list: true}
	for _, row := range rows[1:] {
		own[row[0]] = true
	}
	return filepath.WalkDir(out, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(out, name)
		if err == nil && !own[filepath.ToSlash(relative)] {
			err = fmt.Errorf("%s has %s, which modeldata did not make; name another folder", out, relative)
		}
		return err
	})
}

// readTable reads a CSV file that has at least a header.
func readTable(name string) ([][]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err == nil && len(rows) == 0 {
		err = errors.New("the table is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rows, nil
}

func writeTable(name string, rows [][]string) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return csv.NewWriter(f).WriteAll(rows)
}

// printCounts prints the number of pictures of each set and kind: a row for each kind, and a
// block of columns for each source.
func printCounts(out io.Writer, files []file) error {
	counts, kinds := map[string]map[string]int{}, map[string]int{}
	var sets []string
	for _, f := range files {
		if path.Ext(f.name) == ".csv" {
			continue
		}
		set, kind := path.Dir(f.name), ""
		if f.kind {
			set, kind = path.Dir(set), path.Base(set)
		}
		if counts[set] == nil {
			counts[set] = map[string]int{}
			sets = append(sets, set)
		}
		counts[set][kind]++
		kinds[kind]++
	}
	slices.Sort(sets)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\tall\t")
	for _, kind := range allKinds {
		fmt.Fprintf(w, "%s\t", kind)
	}
	fmt.Fprintln(w)
	for _, set := range sets {
		all := 0
		for _, n := range counts[set] {
			all += n
		}
		fmt.Fprintf(w, "%s\t%d\t", set, all)
		for _, kind := range allKinds {
			if n := counts[set][kind]; n > 0 {
				fmt.Fprintf(w, "%d\t", n)
			} else {
				fmt.Fprint(w, "\t")
			}
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}
