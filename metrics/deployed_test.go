package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What is shipped for Prometheus and Grafana asks for nothing that /metrics does not have. That each query also returns
// data is tested against a real Prometheus (make test-real).
func TestDeployedQueriesAreOfTheCatalogue(t *testing.T) {
	known := listed(t)
	for file, least := range map[string]int{
		"../deploy/prometheus/wattmark.rules.yml": 11, "../deploy/prometheus/wattmark.rules.test.yml": 11, "../deploy/grafana/wattmark.json": 25,
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, match := range regexp.MustCompile(`(^|[^:a-z_])(wattmark_[a-z_]+)`).FindAllStringSubmatch(string(text), -1) {
			names = append(names, match[2])
			base := match[2]
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				base = strings.TrimSuffix(base, suffix)
			}
			if !strings.Contains(known, "| `"+base+"` |") {
				t.Errorf("%s asks for %s, which /metrics does not have", file, match[2])
			}
		}
		if slices.Sort(names); len(slices.Compact(names)) < least {
			t.Errorf("%s asks for %v only: is the pattern right?", file, slices.Compact(names))
		}
	}
}

// The dashboard is one that Grafana lays out as meant: panels side by side, each id once, and no data source of ours.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../deploy/grafana/wattmark.json")
	if err != nil {
		t.Fatal(err)
	}
	type source struct{ UID string }
	var board struct {
		Panels []struct {
			ID         int
			Title      string
			Type       string
			GridPos    struct{ X, Y, W, H int }
			Datasource *source
			Targets    []struct {
				Datasource source
				Expr       string
			}
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range board.Panels {
		if ids[p.ID] {
			t.Errorf("%s: id %d is there twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		if g := p.GridPos; g.X < 0 || g.X+g.W > 24 || g.W <= 0 || g.H <= 0 {
			t.Errorf("%s: outside of the 24 columns", p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies on %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Datasource == nil || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("%s: data source %v, %d queries", p.Title, p.Datasource, len(p.Targets))
		}
		for _, target := range p.Targets {
			if target.Datasource.UID != "${datasource}" || !strings.Contains(target.Expr, `instance=~"$instance"`) {
				t.Errorf("%s: %s is not of the chosen data source and hosts", p.Title, target.Expr)
			}
		}
	}
	if len(board.Panels) < 25 {
		t.Errorf("%d panels", len(board.Panels))
	}
}
