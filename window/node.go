package window

import (
	"cmp"
	"slices"

	"wattmark/sampler"
)

// Node is what one node has contributed to a merged result.
type Node struct {
	Name string `json:"node"` // as the caller calls it: an address, a file's name
	Host string `json:"host"` // "": not known
	Role string `json:"role"`
	GPUs int    `json:"gpus"`
	// The window's edges in Unix seconds, of the clock that they were told in.
	StartUnix sampler.Value `json:"start_unix"`
	EndUnix   sampler.Value `json:"end_unix"`
	// The node's clock against that one: Skew.
	ClockOffset      sampler.Value `json:"clock_offset_s"`
	ClockOffsetBound sampler.Value `json:"clock_offset_bound_s"`
	Energy           sampler.Value `json:"energy_j"`
	Reasons          []Reason      `json:"reasons"`
	Error            string        `json:"error"` // why it gave no result; "": it did
}

// As returns the result as that of a node which the caller calls so.
func (r Result) As(name string) Result {
	node := Node{
		Name: name, GPUs: len(r.GPUs), StartUnix: sampler.Some(r.StartUnix()), EndUnix: sampler.Some(r.EndUnix()),
		ClockOffset: r.Skew.Offset, ClockOffsetBound: r.Skew.Bound, Energy: r.Energy(), Reasons: r.AllReasons(),
	}
	for _, gpu := range r.GPUs {
		node.Host, node.Role = gpu.Host, gpu.Role
	}
	r.Nodes = []Node{node}
	return r
}

// alone is a result that Merge can add to: in the common clock, with slices of its own.
func (r Result) alone() Result {
	if r.Nodes == nil {
		r = r.As("")
	}
	r.Start, r.End, r.Skew = r.Skew.There(r.Start), r.Skew.There(r.End), Skew{}
	r.GPUs, r.Nodes = slices.Clone(r.GPUs), slices.Clone(r.Nodes)
	r.Reasons, r.Notes = slices.Clone(r.Reasons), slices.Clone(r.Notes)
	return r
}

// Lacking returns the result of several nodes without those that should be there and gave none.
func (r Result) Lacking(missing ...Node) Result {
	if len(missing) == 0 {
		return r
	}
	for i := range missing {
		missing[i].Reasons = []Reason{NodeMissing}
	}
	r.Nodes = slices.Concat(r.Nodes, missing)
	sortNodes(r.Nodes)
	r.Reasons = add(slices.Clone(r.Reasons), NodeMissing)
	return r
}

func sortNodes(nodes []Node) {
	slices.SortStableFunc(nodes, func(a, b Node) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Role, b.Role),
			cmp.Compare(a.Energy.Or(0), b.Energy.Or(0)))
	})
}

// clocksUnknown reports that of nodes on several hosts not every clock was compared with the others.
func clocksUnknown(nodes []Node) bool {
	unknown := slices.ContainsFunc(nodes, func(n Node) bool { return n.Error == "" && !n.ClockOffset.OK() })
	return unknown && slices.ContainsFunc(nodes, func(n Node) bool { return n.Host != nodes[0].Host })
}
