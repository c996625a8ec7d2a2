package garb_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// apiFile lists every exported name of the packages that other programs can import.
const apiFile = "testdata/api.txt"

// TestAPI compares the packages' exported names with the committed list, so that a change that
// breaks other programs is noticed. To accept a change: go test -run TestAPI -update .
func TestAPI(t *testing.T) {
	got := strings.Join(exportedNames(t), "\n") + "\n"
	if *update {
		if err := os.WriteFile(apiFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want := strings.Split(string(read(t, apiFile)), "\n")
	have := strings.Split(got, "\n")
	for _, line := range want {
		if !slices.Contains(have, line) {
			t.Errorf("gone or changed: %s", line)
		}
	}
	for _, line := range have {
		if !slices.Contains(want, line) {
			t.Errorf("new: %s", line)
		}
	}
	if t.Failed() {
		t.Log("if that is meant: go test -run TestAPI -update .")
	}
}

// listedPackage is what go list says of a package.
type listedPackage struct{ ImportPath, Name, Export string }

// exportedNames returns a line for each exported name, field and method of the public packages.
func exportedNames(t *testing.T) []string {
	t.Helper()
	list := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Name,Export", "./...")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	export := map[string]string{}
	var public []string
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listedPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		export[p.ImportPath] = p.Export
		if isPublic(p) {
			public = append(public, p.ImportPath)
		}
	}
	imports := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(export[path])
	})
	var lines []string
	for _, path := range public {
		p, err := imports.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range p.Scope().Names() {
			if ast.IsExported(name) {
				lines = append(lines, describe(path, p.Scope().Lookup(name))...)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// isPublic reports whether other programs can import a package, and are meant to.
func isPublic(p listedPackage) bool {
	inside, ok := strings.CutPrefix(p.ImportPath+"/", module+"/")
	first, _, _ := strings.Cut(inside, "/")
	return ok && p.Name != "main" && !slices.Contains([]string{"internal", "cmd", "docs", "examples", "bench"}, first)
}

// describe returns a line for an exported object, and for each of its fields and methods.
func describe(path string, object types.Object) []string {
	qualify := func(p *types.Package) string {
		if p.Path() == path {
			return ""
		}
		return p.Name()
	}
	text := func(o types.Object) string { return types.ObjectString(o, qualify) }
	name, ok := object.(*types.TypeName)
	if !ok {
		line := path + ": " + text(object)
		if c, ok := object.(*types.Const); ok {
			line += " = " + c.Val().ExactString()
		}
		return []string{line}
	}
	kind := ""
	structure, isStruct := name.Type().Underlying().(*types.Struct)
	contract, isInterface := name.Type().Underlying().(*types.Interface)
	switch {
	case name.IsAlias():
		target := types.TypeString(types.Unalias(name.Type()), qualify)
		return []string{fmt.Sprintf("%s: type %s = %s", path, name.Name(), target)}
	case isStruct:
		kind = "struct"
	case isInterface:
		kind = "interface"
	default:
		kind = types.TypeString(name.Type().Underlying(), qualify)
	}
	lines := []string{fmt.Sprintf("%s: type %s %s", path, name.Name(), kind)}
	if isStruct {
		for field := range structure.Fields() {
			if field.Exported() {
				lines = append(lines, fmt.Sprintf("%s: type %s struct, %s", path, name.Name(),
					cmp.Or(strings.TrimPrefix(text(field), "field "), field.Name())))
			}
		}
	}
	if isInterface {
		for method := range contract.Methods() {
			lines = append(lines, fmt.Sprintf("%s: type %s interface, %s", path, name.Name(), text(method)))
		}
		return lines
	}
	if named, ok := name.Type().(*types.Named); ok {
		for method := range named.Methods() {
			if method.Exported() {
				lines = append(lines, path+": "+text(method))
			}
		}
	}
	return lines
}
