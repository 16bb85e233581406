package metrics

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// docs/metrics.md lists exactly what the registry has: names, types, labels, meaning. go test -update writes it anew.
func TestDocument(t *testing.T) {
	const file, begin, end = "../docs/metrics.md", "<!-- from the registry -->\n", "<!-- end -->\n"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, okBegin := strings.Cut(string(text), begin)
	_, tail, okEnd := strings.Cut(rest, end)
	if !okBegin || !okEnd {
		t.Fatalf("%s lacks %q or %q", file, begin, end)
	}
	want := head + begin + listed(t) + end + tail
	if updating() {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(text) != want {
		t.Errorf("%s is not what the registry has: run go test ./metrics -update", file)
	}
}

// listed is the table of wattmark's own metrics.
func listed(t *testing.T) string {
	t.Helper()
	m := New(options(fixed()...))
	ask(m)
	m.Ended("0a", ended("run"), false)
	m.Serving(served)
	families, err := checked(&m.catalogue).Gather()
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| name | type | labels | meaning |\n|---|---|---|---|\n")
	for _, family := range families {
		var labels []string
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if !slices.Contains(labels, label.GetName()) {
					labels = append(labels, label.GetName())
				}
			}
		}
		slices.Sort(labels)
		if name := family.GetName(); strings.HasPrefix(name, "wattmark_") {
			_, _ = fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(family.GetType().String()), strings.Join(labels, ", "), family.GetHelp())
		}
	}
	return table.String()
}
