package window_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"wattmark/window"
)

// Every reason and note of reason.go has words, and they are those of docs/api.md: in the row of its code.
func TestWordsAreThoseOfTheDocument(t *testing.T) {
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(string(text), "\n")
	cell := func(row string) string { // the last one, without its marks
		cells := strings.Split(row, "|")
		return strings.ReplaceAll(strings.TrimSpace(cells[max(0, len(cells)-2)]), "`", "")
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	ast.Inspect(parsed, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || spec.Type == nil {
			return true
		}
		code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		words := window.Reason(code).Words()
		if spec.Type.(*ast.Ident).Name == "Note" {
			words = window.Note(code).Words()
		}
		seen++
		if words == code || words == "" {
			t.Errorf("%s has no words: add what docs/api.md says to words.go", code)
		}
		for _, row := range rows {
			if strings.HasPrefix(row, "| `") && strings.Contains(row, "`"+code+"`") && cell(row) == words {
				return true
			}
		}
		t.Errorf("docs/api.md has no row of %s that says %q", code, words)
		return true
	})
	if seen < 20 {
		t.Errorf("found %d codes: is reason.go where they are?", seen)
	}
}
