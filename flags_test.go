package garb_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// flagOrCommand matches what only the command's users know: a flag or a subcommand.
var flagOrCommand = regexp.MustCompile(`(^|[\s(])--[a-z]|\bgarb (average|classify|compare|convert|crops|data|embed|` +
	`evaluate|explain|health|lr-find|map|models|serve|sweep|train|version)\b`)

// TestLibraryErrorsNameNoFlags reads the texts in calls of errors.New and fmt.Errorf and in
// methods Error of the library's packages: they make sense to programs that have no flags.
// Hints for the person at the terminal are the command's, in cmd/garb/hint.go.
func TestLibraryErrorsNameNoFlags(t *testing.T) {
	read := 0
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			outside := []string{"cmd", "docs", "bench", "examples", "testdata", "bin", "runs", "mutate"}
			if slices.Contains(outside, entry.Name()) || path != "." && strings.HasPrefix(entry.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		for _, text := range errorTexts(file) {
			read++
			value, unquoteErr := strconv.Unquote(text.Value)
			if unquoteErr != nil {
				return unquoteErr
			}
			if found := flagOrCommand.FindString(value); found != "" {
				t.Errorf("%s: an error names %q: %s", files.Position(text.Pos()), strings.TrimSpace(found), text.Value)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if read < 500 {
		t.Errorf("only %d texts of errors were found", read)
	}
}

// errorTexts returns the string literals that errors of a file are made of.
func errorTexts(file *ast.File) (texts []*ast.BasicLit) {
	collect := func(n ast.Node) {
		ast.Inspect(n, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				texts = append(texts, literal)
			}
			return true
		})
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv != nil && n.Name.Name == "Error" {
				collect(n)
				return false
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.SelectorExpr); ok {
				made := []string{"errors.New", "fmt.Errorf"}
				if p, ok := f.X.(*ast.Ident); ok && slices.Contains(made, p.Name+"."+f.Sel.Name) {
					collect(n)
					return false
				}
			}
		}
		return true
	})
	return texts
}
