package window_test

import (
	"encoding/json"
	"slices"
	"testing"

	"wattmark/window"
)

func TestLacking(t *testing.T) {
	a := node(t, "n1", 0, 300, 400).As("n1:9844")
	b := node(t, "n2", 0, 500).As("n2:9844")
	whole := window.Merge(a, b).Lacking()
	if !whole.Valid() || len(whole.Nodes) != 2 {
		t.Fatalf("nothing missing: reasons %v, nodes %v", whole.AllReasons(), whole.Nodes)
	}
	r := window.Merge(a, b).Lacking(window.Node{Name: "n3:9844", Error: "no answer"})
	if got := r.AllReasons(); !slices.Equal(got, []window.Reason{window.NodeMissing}) || r.Energy() != whole.Energy() {
		t.Errorf("reasons = %v, energy %v; want node_missing and the energy of the others %v", got, r.Energy(), whole.Energy())
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Nodes []struct {
			Node    string
			Host    string
			Energy  *float64 `json:"energy_j"`
			Error   string
			Reasons []string
		}
	}
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if n := back.Nodes; len(n) != 3 || n[0].Node != "n3:9844" || n[0].Energy != nil || n[0].Error != "no answer" ||
		!slices.Equal(n[0].Reasons, []string{"node_missing"}) || n[1].Host != "n1" || n[1].Energy == nil {
		t.Errorf("nodes = %+v", n)
	}
	if none := window.Merge().Lacking(window.Node{Name: "n3"}); none.Valid() || none.Energy().OK() {
		t.Errorf("no node at all: %v, %v J", none.AllReasons(), none.Energy())
	}
}

func TestRoles(t *testing.T) {
	roles := func(nodes []window.Result) (all []string) {
		for _, n := range nodes {
			for _, g := range n.GPUs {
				all = append(all, g.Role)
			}
		}
		return all
	}
	nodes := func() []window.Result {
		return []window.Result{node(t, "z", 0, 300, 400), node(t, "a", 0, 500, 500)} // listed against the alphabet
	}
	n := nodes()
	window.AssignRoles(n, 3, 1)
	if got := roles(n); !slices.Equal(got, []string{"prefill", "prefill", "prefill", "decode"}) {
		t.Errorf("roles by order = %v", got)
	}
	marked := nodes()
	for i := range marked[1].GPUs {
		marked[1].GPUs[i].Role = window.Prefill
	}
	window.AssignRoles(marked, 2, 2)
	if got := roles(marked); !slices.Equal(got, []string{"", "", "prefill", "prefill"}) {
		t.Errorf("roles that a mark gave = %v: they stay as they are", got)
	}
	for _, test := range []struct {
		prefill, decode int
		want            []window.Reason
	}{
		{3, 1, []window.Reason{}},
		{1, 3, []window.Reason{window.ExpectedGPUCountMismatch}},
		{3, 2, []window.Reason{window.ExpectedGPUCountMismatch}},
		{0, 0, []window.Reason{window.InvalidExpectedGPUCount}},
		{-1, 4, []window.Reason{window.InvalidExpectedGPUCount}},
	} {
		if got := window.Merge(n...).ExpectingRoles(test.prefill, test.decode).AllReasons(); !slices.Equal(got, test.want) {
			t.Errorf("%d and %d: reasons %v, want %v", test.prefill, test.decode, got, test.want)
		}
	}
}
