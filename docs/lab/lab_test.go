package main

import (
	"bytes"
	"cmp"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pagesHere returns the pages of this folder by name.
func pagesHere(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("*.md")
	if err != nil || len(names) < 13 {
		t.Fatalf("%d pages, %v", len(names), err)
	}
	all := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(text)
	}
	return all
}

var (
	console    = regexp.MustCompile("(?s)```console\n(.*?)```")
	script     = regexp.MustCompile("(?s)```sh\n(.*?)```")
	codeSpan   = regexp.MustCompile("`(garb [^`]+)`")
	invocation = regexp.MustCompile(`(?:^|[;&|(]\s*)garb ([^|;&>()#]+)`)
	flag       = regexp.MustCompile(`(?:^|\s)--([a-z][a-z0-9-]*)`)
	flagHelp   = regexp.MustCompile(`(?m)^ {2,}(?:-\w, )?--([a-z][a-z0-9-]*)`)
	subcommand = regexp.MustCompile(`(?m)^  ([a-z][a-z-]*) {2,}\S`)
)

// invocations returns the words after garb for each use of it on a page.
func invocations(text string) [][]string {
	var found [][]string
	add := func(line string) {
		line = strings.TrimSpace(strings.ReplaceAll(line, "\\\n", " "))
		for _, m := range invocation.FindAllStringSubmatch(line, -1) {
			found = append(found, strings.Fields(m[1]))
		}
	}
	for _, m := range console.FindAllStringSubmatch(text, -1) {
		for _, command := range parseCommands(strings.SplitAfter(m[1], "\n")) {
			add(command)
		}
	}
	for _, m := range script.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(m[1]) {
			add(line)
		}
	}
	for _, m := range codeSpan.FindAllStringSubmatch(text, -1) {
		add(m[1])
	}
	return found
}

// program is a built garb, with the help texts that it has printed.
type program struct {
	path  string
	texts map[string]string // by command
}

// help returns the help text of a command.
func (p program) help(t *testing.T, command []string) string {
	t.Helper()
	name := strings.Join(command, " ")
	if _, ok := p.texts[name]; !ok {
		out, err := exec.Command(p.path, append(slices.Clone(command), "--help")...).CombinedOutput()
		if err != nil {
			t.Fatalf("garb %s --help: %v\n%s", name, err, out)
		}
		p.texts[name] = string(out)
	}
	return p.texts[name]
}

// subcommands returns the names of the commands below a command.
func (p program) subcommands(t *testing.T, command []string) (names []string) {
	t.Helper()
	_, list, _ := strings.Cut(p.help(t, command), "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	for _, m := range subcommand.FindAllStringSubmatch(list, -1) {
		names = append(names, m[1])
	}
	return names
}

// findCommand returns the command that the words after garb begin with, or nil if there is none.
func (p program) findCommand(t *testing.T, words []string) (command []string) {
	t.Helper()
	for known := p.subcommands(t, nil); len(known) > 0; known = p.subcommands(t, command) {
		if len(command) == len(words) {
			break
		}
		if !slices.Contains(known, words[len(command)]) {
			return nil
		}
		command = append(command, words[len(command)])
	}
	return command
}

// unknownFlags returns the flags among the words that the command does not have.
func (p program) unknownFlags(t *testing.T, command, words []string) (unknown []string) {
	t.Helper()
	var known []string
	for _, m := range flagHelp.FindAllStringSubmatch(p.help(t, command), -1) {
		known = append(known, m[1])
	}
	for _, m := range flag.FindAllStringSubmatch(strings.Join(words, " "), -1) {
		if !slices.Contains(known, m[1]) {
			unknown = append(unknown, m[1])
		}
	}
	return unknown
}

// TestCommandsAndFlagsExist checks the commands of the lab, and those that people who know other
// programs look up.
func TestCommandsAndFlagsExist(t *testing.T) {
	garb := program{filepath.Join(t.TempDir(), "garb"), map[string]string{}}
	if out, err := exec.Command("go", "build", "-o", garb.path, "../../cmd/garb").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	pages := pagesHere(t)
	const other = "../from-keras.md"
	text, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	pages[other] = string(text)
	used := map[string]bool{}
	for page, text := range pages {
		for _, words := range invocations(text) {
			command := garb.findCommand(t, words)
			if command == nil {
				t.Errorf("%s: there is no command garb %s", page, strings.Join(words, " "))
				continue
			}
			for _, flag := range garb.unknownFlags(t, command, words) {
				t.Errorf("%s: garb %s has no --%s", page, strings.Join(command, " "), flag)
			}
			used[strings.Join(command, " ")] = true
		}
	}
	for _, command := range []string{"explain", "map", "train", "sweep", "lr-find", "data preview",
		"evaluate", "models show", "classify", "serve", "convert"} {
		if !used[command] {
			t.Errorf("no page uses garb %s", command)
		}
	}
}

func TestPicturesOnPages(t *testing.T) {
	drawn := map[string]bool{}
	for page, text := range pagesHere(t) {
		for _, p := range findPictures(text) {
			if filepath.Dir(p.file) != "pictures" {
				continue
			}
			if p.from == "" {
				t.Errorf("%s: nothing says where %s is from", page, p.file)
			}
			if name, ok := strings.CutPrefix(p.from, "draw "); ok {
				drawn[name] = true
				if drawings[name] == nil {
					t.Errorf("%s: there is no drawing %q", page, name)
				}
			}
		}
	}
	for name := range drawings {
		if !drawn[name] {
			t.Errorf("no page shows the drawing %q", name)
		}
	}
}

func TestPictureFiles(t *testing.T) {
	const largest = 3_000_000 // bytes of all together
	used := map[string]bool{}
	for _, text := range pagesHere(t) {
		for _, p := range findPictures(text) {
			used[p.file] = true
		}
	}
	files, err := os.ReadDir("pictures")
	if err != nil {
		t.Fatal(err)
	}
	var total int64
	for _, f := range files {
		if !used["pictures/"+f.Name()] {
			t.Errorf("no page shows pictures/%s", f.Name())
		}
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > largest {
		t.Errorf("the pictures have %d bytes, more than %d", total, largest)
	}
}

var link = regexp.MustCompile(`\]\(([^)\s#:]+)(?:#[^)]*)?\)|<img src="([^"]+)"`)

func TestEveryPageIsListed(t *testing.T) {
	pages := pagesHere(t)
	for page := range pages {
		if page != "README.md" && !strings.Contains(pages["README.md"], "]("+page+")") {
			t.Errorf("README.md does not lead to %s", page)
		}
	}
}

// TestLinks checks the links between all pages of the project, and the pictures on them.
func TestLinks(t *testing.T) {
	const root = "../.."
	err := filepath.WalkDir(root, func(page string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{"bin", "runs", "testdata", ".git"}, entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(page) != ".md":
			return nil
		}
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), cmp.Or(m[1], m[2]))); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPagesAreFilled finds commands that make lab has not been run with since they were
// written: of a block that has any that prints, nothing is there.
func TestPagesAreFilled(t *testing.T) {
	for page, text := range pagesHere(t) {
		for i, m := range console.FindAllStringSubmatch(text, -1) {
			empty := true
			for line := range strings.Lines(m[1]) {
				empty = empty && (strings.HasPrefix(line, "$ ") || strings.HasPrefix(line, "> "))
			}
			if empty {
				t.Errorf("%s: block %d shows nothing; make lab fills it", page, i+1)
			}
		}
	}
}

func TestFill(t *testing.T) {
	const page = "# A page\n\n```console\n$ one \\\n> --more\nold\n> not a command\n$ two\n```\n\n" +
		"![x](pictures/x.png) <!-- runs/x.png -->\n<!-- course: a | b -->\nold\n<!-- course end -->\n\n" +
		"```sh\n$ untouched\n```\n"
	const want = "# A page\n\n```console\n$ one \\\n> --more\n1\n$ two\n```\n\n" +
		"![x](pictures/x.png) <!-- runs/x.png -->\n<!-- course: a | b -->\n\ntable of a | b\n<!-- course end -->\n\n" +
		"```sh\n$ untouched\n```\n"
	var commands []string
	run := func(c []string) ([]string, error) {
		commands = append(commands, c...)
		return []string{"1\n", ""}, nil
	}
	rows := func(words string) (string, error) { return "table of " + words, nil }
	got, err := fill(page, run, rows)
	if err != nil || got != want {
		t.Errorf("%v\n%s", err, got)
	}
	if !slices.Equal(commands, []string{"one \\\n--more", "two"}) {
		t.Errorf("commands %q", commands)
	}
	if again, err := fill(got, run, rows); err != nil || again != got {
		t.Errorf("filled again: %v\n%s", err, again)
	}
	if p := findPictures(got); len(p) != 1 || p[0] != (picture{"pictures/x.png", "runs/x.png"}) {
		t.Errorf("pictures %+v", p)
	}
	for _, broken := range []string{"```console\n$ one\n", "<!-- course: a -->\n"} {
		if _, err := fill(broken, run, rows); err == nil {
			t.Errorf("%q is filled", broken)
		}
	}
}

func TestShellRunsOnce(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("needs bash")
	}
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("bin", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("bin/garb", []byte("#!/bin/sh\necho \"garb $*\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := newShell("/some/data")
	if err != nil {
		t.Fatal(err)
	}
	commands := []string{"garb look \\\n$DATA", "true", "echo x >> count"}
	for range 2 {
		printed, err := s.run(context.Background(), commands)
		if err != nil || !slices.Equal(printed[:3], []string{"garb look $DATA\n", "", ""}) {
			t.Fatalf("%q, %v", printed, err)
		}
	}
	left := filepath.Join(kept, "run")
	if err := os.MkdirAll(left, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := s.run(context.Background(), []string{"garb train --data x \\\n--out " + left + " | cat"}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("what a run that was stopped has left is in the way of the next")
	}
	if text, _ := os.ReadFile("count"); string(text) != "x\n" {
		t.Errorf("a block that is done ran again: %q", text)
	}
	if _, err := s.run(context.Background(), []string{"false", "echo never"}); err == nil {
		t.Error("a command that fails is passed over")
	}
}

func TestCourseRows(t *testing.T) {
	t.Chdir("../..")
	table, err := selectCourseRows("--size 299")
	if err != nil || strings.Count(table, "\n") != 3 || !strings.Contains(table, "--backbone xception --size 299") {
		t.Errorf("%v\n%s", err, table)
	}
	if _, err := selectCourseRows("--size 1000000"); err == nil {
		t.Error("rows that there are not are no error")
	}
}

func TestDrawMap(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll(kept, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(data string) {
		page := `<p><script type="application/json" id="data">` + data + `</script>`
		if err := os.WriteFile(filepath.Join(kept, "map.html"), []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"labels":["a","b"],"points":[[0,1,0,"a",99.5,0,"a/1.jpg",64,48],[0.5,0.5,1,"b",50,0,"b/1.jpg",64,48]]}`)
	var b bytes.Buffer
	if err := drawMap(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"M24 696h0", "M360 360h0", ">a</text>", ">b</text>"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in\n%s", want, &b)
		}
	}
	for _, bad := range []string{`{"labels":["a"],"points":[[0,1,1]]}`, `{"points":[["x"]]}`, `{`} {
		write(bad)
		if err := drawMap(&b); err == nil {
			t.Errorf("%s is drawn", bad)
		}
	}
}

func TestAddSize(t *testing.T) {
	for _, c := range []struct{ svg, want string }{
		{`<svg xmlns="x" viewBox="0 0 52 30" role="img">`,
			`<svg xmlns="x" viewBox="0 0 52 30" width="52" height="30" role="img">`},
		{`<svg xmlns="x" width="5" viewBox="0 0 52 30">`, `<svg xmlns="x" width="5" viewBox="0 0 52 30">`},
		{`<p>`, `<p>`},
	} {
		if got := string(addSize([]byte(c.svg))); got != c.want {
			t.Errorf("%s became %s", c.svg, got)
		}
	}
}
