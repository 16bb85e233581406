package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// document is openapi.json, or a part of it.
type document map[string]any

func readDocument(t *testing.T) document {
	t.Helper()
	var d document
	if err := json.Unmarshal(openapiDocument, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// part follows keys into the document, and references on the way. It is nil where there is no such part.
func (d document) part(from any, keys ...string) document {
	object, ok := from.(map[string]any)
	if !ok {
		if object, ok = from.(document); !ok {
			return nil
		}
	}
	if ref, ok := object["$ref"].(string); ok {
		return d.part(d, slices.Concat(strings.Split(strings.TrimPrefix(ref, "#/"), "/"), keys)...)
	}
	if len(keys) == 0 {
		return object
	}
	return d.part(object[keys[0]], keys[1:]...)
}

// documented returns what is wrong with the answer of a route, according to openapi.json.
func (d document) documented(pattern string, r reply) []string {
	method, path, _ := strings.Cut(pattern, " ")
	answer := d.part(d, "components", "responses", "Problem")
	if pattern != "" {
		responses := d.part(d, "paths", path, strings.ToLower(method), "responses")
		if responses == nil {
			return []string{"no such route"}
		}
		if answer = d.part(responses, strconv.Itoa(r.status)); answer == nil {
			answer = d.part(responses, "default")
		}
	}
	kind, _, _ := mime.ParseMediaType(r.header.Get("Content-Type"))
	schema := d.part(answer, "content", kind, "schema")
	if schema == nil {
		return []string{fmt.Sprintf("status %d with content type %q", r.status, kind)}
	}
	if !strings.HasSuffix(kind, "json") {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(r.text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return []string{err.Error()}
	}
	return d.check(schema, value, "answer")
}

// check returns what is wrong with a value, by the part of JSON Schema that openapi.json uses: $ref, anyOf, type, enum,
// required, properties, items. It is stricter than JSON Schema: a key that is not among the properties is wrong.
func (d document) check(schema document, value any, at string) []string {
	if schema = d.part(schema); schema == nil {
		return []string{at + ": no schema"}
	}
	if choices, ok := schema["anyOf"].([]any); ok {
		var all []string
		for _, choice := range choices {
			wrong := d.check(d.part(choice), value, at)
			if len(wrong) == 0 {
				return nil
			}
			all = append(all, wrong...)
		}
		return all
	}
	kinds := list(schema["type"])
	if !slices.ContainsFunc(kinds, func(kind string) bool { return isA(value, kind) }) {
		return []string{fmt.Sprintf("%s: %v is not %v", at, value, kinds)}
	}
	if options, ok := schema["enum"].([]any); ok && value != nil {
		if !slices.ContainsFunc(options, func(o any) bool { return fmt.Sprint(o) == fmt.Sprint(value) }) {
			return []string{fmt.Sprintf("%s: %v is none of %v", at, value, options)}
		}
	}
	var wrong []string
	switch value := value.(type) {
	case []any:
		for i, item := range value {
			wrong = append(wrong, d.check(d.part(schema, "items"), item, fmt.Sprintf("%s[%d]", at, i))...)
		}
	case map[string]any:
		for _, key := range list(schema["required"]) {
			if _, ok := value[key]; !ok {
				wrong = append(wrong, at+": no "+key)
			}
		}
		for key, member := range value {
			if property := d.part(schema, "properties", key); property != nil {
				wrong = append(wrong, d.check(property, member, at+"."+key)...)
			} else if schema["properties"] != nil {
				wrong = append(wrong, at+": undocumented "+key)
			}
		}
	}
	return wrong
}

// list makes a list of texts of a text or a list.
func list(value any) []string {
	switch value := value.(type) {
	case string:
		return []string{value}
	case []any:
		var out []string
		for _, entry := range value {
			out = append(out, fmt.Sprint(entry))
		}
		return out
	}
	return nil
}

func isA(value any, kind string) bool {
	switch value := value.(type) {
	case nil:
		return kind == "null"
	case bool:
		return kind == "boolean"
	case string:
		return kind == "string"
	case json.Number:
		return kind == "number" || kind == "integer" && !strings.ContainsAny(value.String(), ".eE")
	case []any:
		return kind == "array"
	case map[string]any:
		return kind == "object"
	}
	return false
}

// The checker itself: what it must not let pass.
func TestDocumentChecker(t *testing.T) {
	d := readDocument(t)
	problem := func(change func(map[string]any)) map[string]any {
		p := map[string]any{"type": "x", "title": "x", "status": json.Number("400"), "detail": "x", "code": "malformed"}
		change(p)
		return p
	}
	for name, change := range map[string]func(map[string]any){
		"missing key":     func(p map[string]any) { delete(p, "code") },
		"further key":     func(p map[string]any) { p["instance"] = "x" },
		"wrong type":      func(p map[string]any) { p["title"] = nil },
		"not an integer":  func(p map[string]any) { p["status"] = json.Number("400.5") },
		"not of the enum": func(p map[string]any) { p["code"] = "oops" },
	} {
		if len(d.check(d.part(d, "components", "schemas", "Problem"), problem(change), "p")) != 1 {
			t.Errorf("%s: passes", name)
		}
	}
	if wrong := d.check(d.part(d, "components", "schemas", "Problem"), problem(func(map[string]any) {}), "p"); wrong != nil {
		t.Errorf("a good one: %v", wrong)
	}
}
