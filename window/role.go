package window

import "slices"

// The roles of GPUs in a disaggregated deployment.
const (
	Prefill = "prefill"
	Decode  = "decode"
)

// AssignRoles gives the GPUs of several nodes their roles where the marks gave none to any: the first so many are for
// prefill, the next for decode, in the order in which the caller lists the nodes and each node its GPUs.
func AssignRoles(nodes []Result, prefill, decode int) {
	for _, node := range nodes {
		if slices.ContainsFunc(node.GPUs, func(g GPU) bool { return g.Role != "" }) {
			return
		}
	}
	i := 0
	for n := range nodes {
		nodes[n].GPUs = slices.Clone(nodes[n].GPUs)
		for k := range nodes[n].GPUs {
			switch {
			case i < prefill:
				nodes[n].GPUs[k].Role = Prefill
			case i < prefill+decode:
				nodes[n].GPUs[k].Role = Decode
			}
			i++
		}
	}
}

// ExpectingRoles returns the result held to so many GPUs for prefill and so many for decode.
func (r Result) ExpectingRoles(prefill, decode int) Result {
	seen := map[string]int{}
	for _, gpu := range r.GPUs {
		if !slices.Contains(gpu.Reasons, NoUsableSamples) {
			seen[gpu.Role]++
		}
	}
	switch {
	case prefill < 0 || decode < 0 || prefill+decode == 0:
		r.Reasons = add(slices.Clone(r.Reasons), InvalidExpectedGPUCount)
	case seen[Prefill] != prefill || seen[Decode] != decode:
		r.Reasons = add(slices.Clone(r.Reasons), ExpectedGPUCountMismatch)
	}
	return r
}
