package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
)

// source is a file of Go.
type source struct {
	path string
	text []byte
}

// edit puts text in place of the bytes from start to end.
type edit struct {
	start, end int
	text       string
}

// mutant is a source with one change, of one edit or several in order.
type mutant struct {
	*source
	edits []edit
}

// apply returns the changed text.
func (m mutant) apply() []byte {
	return m.splice(0, len(m.text))
}

// splice returns the changed text of the bytes from start to end, which hold all edits.
func (m mutant) splice(start, end int) []byte {
	var out []byte
	for _, e := range m.edits {
		out = append(out, m.text[start:e.start]...)
		out = append(out, e.text...)
		start = e.end
	}
	return append(out, m.text[start:end]...)
}

// place returns the line and the column of the first change, both from 1, in bytes.
func (m mutant) place() (line, column int) {
	before := m.text[:m.edits[0].start]
	return 1 + bytes.Count(before, []byte("\n")), len(before) - bytes.LastIndexByte(before, '\n')
}

// String returns the changed lines as they were and as they are.
func (m mutant) String() string {
	start := bytes.LastIndexByte(m.text[:m.edits[0].start], '\n') + 1
	end := m.edits[len(m.edits)-1].end
	if rest := bytes.IndexByte(m.text[end:], '\n'); rest >= 0 {
		end += rest
	} else {
		end = len(m.text)
	}
	return fmt.Sprintf("%s  ->  %s", oneLine(m.text[start:end]), oneLine(m.splice(start, end)))
}

// oneLine writes lines of code as one that is short enough to read.
func oneLine(code []byte) string {
	const longest = 160
	line := []rune(strings.Join(strings.Fields(string(code)), " "))
	if len(line) > longest {
		return string(line[:longest/2]) + " … " + string(line[len(line)-longest/2:])
	}
	return string(line)
}

// operators has, for each operator, those that a mutant puts in its place.
var operators = map[token.Token][]token.Token{
	token.LSS: {token.LEQ, token.GEQ},
	token.LEQ: {token.LSS, token.GTR},
	token.GTR: {token.GEQ, token.LEQ},
	token.GEQ: {token.GTR, token.LSS},
	token.EQL: {token.NEQ},
	token.NEQ: {token.EQL},

	token.LAND: {token.LOR},
	token.LOR:  {token.LAND},

	token.ADD: {token.SUB},
	token.SUB: {token.ADD},
	token.MUL: {token.QUO},
	token.QUO: {token.MUL},
	token.REM: {token.MUL},
	token.AND: {token.OR},
	token.OR:  {token.AND},
	token.XOR: {token.AND},
	token.SHL: {token.SHR},
	token.SHR: {token.SHL},

	token.ADD_ASSIGN: {token.SUB_ASSIGN},
	token.SUB_ASSIGN: {token.ADD_ASSIGN},
	token.MUL_ASSIGN: {token.QUO_ASSIGN},
	token.QUO_ASSIGN: {token.MUL_ASSIGN},
	token.AND_ASSIGN: {token.OR_ASSIGN},
	token.OR_ASSIGN:  {token.AND_ASSIGN},
	token.XOR_ASSIGN: {token.AND_ASSIGN},
	token.SHL_ASSIGN: {token.SHR_ASSIGN},
	token.SHR_ASSIGN: {token.SHL_ASSIGN},

	token.INC: {token.DEC},
	token.DEC: {token.INC},
}

// mutants returns every mutant of a source, in the order of the source. Some of them do not
// compile. A generated source has none.
func mutants(path string, text []byte) ([]mutant, error) {
	files := token.NewFileSet()
	syntax, err := parser.ParseFile(files, path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	if ast.IsGenerated(syntax) {
		return nil, nil
	}
	f := finder{source: &source{path, text}, file: files.File(syntax.FileStart)}
	ast.Inspect(syntax, f.visit)
	return f.found, nil
}

// finder collects the mutants of a source.
type finder struct {
	*source
	file  *token.File
	found []mutant
}

// add adds the mutant that puts replacement in place of what is from start to end.
func (f *finder) add(start, end token.Pos, replacement string) {
	f.found = append(f.found, mutant{f.source, []edit{{f.file.Offset(start), f.file.Offset(end), replacement}}})
}

// wrap adds the mutant with text before and after a node.
func (f *finder) wrap(n ast.Node, before, after string) {
	start, end := f.file.Offset(n.Pos()), f.file.Offset(n.End())
	f.found = append(f.found, mutant{f.source, []edit{{start, start, before}, {end, end, after}}})
}

// visit adds the mutants that change a node itself; the nodes below it are visited in turn.
func (f *finder) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ImportSpec:
		return false
	case *ast.BinaryExpr:
		f.swap(n.OpPos, n.Op)
	case *ast.UnaryExpr:
		if n.Op == token.NOT || n.Op == token.SUB {
			f.add(n.OpPos, n.X.Pos(), "")
		}
	case *ast.BasicLit:
		f.shift(n)
	case *ast.IncDecStmt:
		f.swap(n.TokPos, n.Tok)
	case *ast.AssignStmt:
		f.swap(n.TokPos, n.Tok)
		if n.Tok != token.DEFINE {
			f.skip(n)
		}
	case *ast.ExprStmt:
		f.skip(n)
	case *ast.BranchStmt:
		if n.Tok == token.BREAK || n.Tok == token.CONTINUE {
			f.skip(n)
		}
	case *ast.IfStmt:
		f.force(n.Cond)
	case *ast.ForStmt:
		if n.Cond != nil {
			f.wrap(n.Cond, "(", ") && false")
		}
	case *ast.SwitchStmt:
		if n.Tag == nil {
			for _, clause := range n.Body.List {
				for _, condition := range clause.(*ast.CaseClause).List {
					f.force(condition)
				}
			}
		}
	case *ast.FuncDecl:
		f.dropErrors(n.Type, n.Body)
	case *ast.FuncLit:
		f.dropErrors(n.Type, n.Body)
	}
	return true
}

// swap adds the mutants with other operators.
func (f *finder) swap(at token.Pos, operator token.Token) {
	for _, other := range operators[operator] {
		f.add(at, at+token.Pos(len(operator.String())), other.String())
	}
}

// shift adds the mutants with the next integer on each side.
func (f *finder) shift(n *ast.BasicLit) {
	if n.Kind != token.INT {
		return
	}
	if value, err := strconv.ParseInt(n.Value, 0, 64); err == nil {
		f.add(n.Pos(), n.End(), fmt.Sprint(value+1))
		f.add(n.Pos(), n.End(), fmt.Sprint(value-1))
	}
}

// skip adds the mutant that leaves a statement out. The statement stays where it is, so that
// what it uses remains used.
func (f *finder) skip(n ast.Stmt) {
	f.wrap(n, "if false { ", " }")
}

// force adds the mutants in which a condition is always true or always false. It is still
// computed, so that what it uses remains used.
func (f *finder) force(condition ast.Expr) {
	f.wrap(condition, "(", ") || true")
	f.wrap(condition, "(", ") && false")
}

// dropErrors adds the mutants of a function that return nil in place of an error.
func (f *finder) dropErrors(signature *ast.FuncType, body *ast.BlockStmt) {
	if signature.Results == nil || body == nil {
		return
	}
	results := signature.Results.List
	if name, ok := results[len(results)-1].Type.(*ast.Ident); !ok || name.Name != "error" {
		return
	}
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt:
			if len(n.Results) != signature.Results.NumFields() {
				break
			}
			last := n.Results[len(n.Results)-1]
			if name, ok := last.(*ast.Ident); !ok || name.Name != "nil" {
				f.add(last.Pos(), last.End(), "nil")
			}
		}
		return true
	})
}
