package api

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
)

// Every route is in openapi.json, and nothing else is.
func TestDocumentHasTheRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startDaemon(t, options{spec: "1xH200"})
		routes := []string{"GET /metrics"} // of package metrics
		for pattern := range d.server.routes() {
			routes = append(routes, pattern)
		}
		var documented []string
		doc := readDocument(t)
		for path, methods := range doc.part(doc, "paths") {
			for method := range doc.part(methods) {
				documented = append(documented, strings.ToUpper(method)+" "+path)
			}
		}
		slices.Sort(routes)
		slices.Sort(documented)
		if !slices.Equal(routes, documented) {
			t.Errorf("routes\n%s\ndocumented\n%s", strings.Join(routes, "\n"), strings.Join(documented, "\n"))
		}
		if got := d.get("/openapi.json").want(200); string(got.text) != string(openapiDocument) {
			t.Error("GET /openapi.json is not the document")
		}
	})
}

// Each reference leads somewhere, and each property has a description or is described where it leads.
func TestDocumentIsWhole(t *testing.T) {
	doc := readDocument(t)
	var walk func(at string, value any, property bool)
	walk = func(at string, value any, property bool) {
		switch value := value.(type) {
		case []any:
			for i, entry := range value {
				walk(fmt.Sprint(at, "/", i), entry, false)
			}
		case map[string]any:
			if ref, ok := value["$ref"].(string); ok && doc.part(value) == nil {
				t.Errorf("%s: %s leads nowhere", at, ref)
			}
			if text, _ := value["description"].(string); property && text == "" && value["$ref"] == nil {
				t.Errorf("%s: no description", at)
			}
			if in, _ := value["in"].(string); in != "" && value["description"] == nil {
				t.Errorf("%s: parameter without description", at)
			}
			for key, entry := range value {
				walk(at+"/"+key, entry, strings.HasSuffix(at, "/properties"))
			}
		}
	}
	walk("", map[string]any(doc), false)
}

// The type of a problem leads to a page.
func TestProblemPages(t *testing.T) {
	inBubble(t, options{spec: "1xH200"}, func(d *daemon) {
		p := d.post("/v1/mark-end", "run=nobody").problem(404, "unknown_run")
		page := d.get(p.Type).want(200)
		if text := string(page.text); !strings.HasPrefix(page.header.Get("Content-Type"), "text/plain") ||
			!strings.Contains(text, p.Title) || !strings.Contains(text, "lists them") {
			t.Errorf("%s: %v %s", p.Type, page.header, text)
		}
		for _, kind := range problemKinds() {
			d.get(problemPath + kind.code).want(200)
		}
		d.get(problemPath+"none").problem(404, "not_found")
		d.post(p.Type, "").problem(405, "method_not_allowed")
	})
}

// The fields that routes take are those of the document.
func TestDocumentHasTheFields(t *testing.T) {
	doc := readDocument(t)
	for schema, fields := range map[string][]string{"MarkStart": startFields(), "MarkEnd": endFields(), "Measure": measureFields()} {
		var documented []string
		for name := range doc.part(doc, "components", "schemas", schema, "properties") {
			documented = append(documented, name)
		}
		slices.Sort(documented)
		slices.Sort(fields)
		if !slices.Equal(fields, documented) {
			t.Errorf("%s: takes %v, documented are %v", schema, fields, documented)
		}
	}
}

// constants returns the values of a package's constants of one type, by name.
func constants(t *testing.T, file, kind string) (values []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == kind {
			if text, ok := spec.Values[0].(*ast.BasicLit); ok {
				value, err := strconv.Unquote(text.Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, value)
			}
		}
		return true
	})
	return values
}

// Reasons, notes, codes, and every key of a result: all of them in openapi.json and in docs/api.md.
func TestDocumentsAreComplete(t *testing.T) {
	doc := readDocument(t)
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	docs := string(text)
	enum := func(keys ...string) []string {
		return list(doc.part(doc, append([]string{"components", "schemas"}, keys...)...)["enum"])
	}
	var codes []string
	for _, kind := range problemKinds() {
		codes = append(codes, kind.code)
		row := fmt.Sprintf("| <a id=\"%s\"></a>`%s` | %d | %s |\n", kind.code, kind.code, kind.status, kind.advice)
		if !strings.Contains(docs, row) {
			t.Errorf("docs/api.md lacks the row\n%s", row)
		}
		if of := problemOf(fmt.Errorf("r1: %w", kind.err)); of.code != kind.code {
			t.Errorf("%v has the code %s, want %s", kind.err, of.code, kind.code)
		}
	}
	if kind := problemOf(errors.New("x")); kind.code != "internal" {
		t.Errorf("an unknown error has the code %s", kind.code)
	}
	for what, lists := range map[string][2][]string{
		"reasons": {constants(t, "../window/reason.go", "Reason"), enum("Reason")},
		"notes":   {constants(t, "../window/reason.go", "Note"), enum("Note")},
		"codes":   {codes, enum("Problem", "properties", "code")},
	} {
		slices.Sort(lists[0])
		slices.Sort(lists[1])
		if !slices.Equal(lists[0], lists[1]) || len(lists[0]) < 10 {
			t.Errorf("%s: the program has %v, the document %v", what, lists[0], lists[1])
		}
		for _, word := range lists[0] {
			if !strings.Contains(docs, "`"+word+"`") {
				t.Errorf("docs/api.md: no %s among the %s", word, what)
			}
		}
	}
	for name, schema := range doc.part(doc, "components", "schemas") {
		for key := range doc.part(schema, "properties") {
			if !strings.Contains(docs, "`"+key+"`") {
				t.Errorf("docs/api.md: no %s of %s", key, name)
			}
		}
	}
}
