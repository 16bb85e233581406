package amd

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrNoneVisible means that the variables that select GPUs leave none.
var ErrNoneVisible = errors.New("no AMD GPU is visible")

// VisibleDevices returns the PCI bus ids of the GPUs that a ROCm program with this environment sees, in its order; nil
// if no variable selects any. ROCR_VISIBLE_DEVICES counts in the order of the KFD topology below sysfsRoot (/sys), and
// HIP_VISIBLE_DEVICES (else CUDA_VISIBLE_DEVICES, which HIP reads too) counts what is left. Both take numbers or
// "GPU-<unique id>", and end at the first entry that means no GPU. A partition stands for its GPU.
//
// It fails with ErrNoneVisible if nothing is left, and where the topology cannot be read.
func VisibleDevices(lookup func(string) (string, bool), sysfsRoot string) ([]string, error) {
	rocr, hasROCR := lookup("ROCR_VISIBLE_DEVICES")
	name := "HIP_VISIBLE_DEVICES"
	hip, _ := lookup(name)
	if hip == "" {
		name = "CUDA_VISIBLE_DEVICES"
		hip, _ = lookup(name)
	}
	if !hasROCR && hip == "" {
		return nil, nil
	}
	nodes := readTopology(sysfsRoot).nodes
	if len(nodes) == 0 {
		return nil, fmt.Errorf("%w: %s/class/kfd shows none to map the variables to", ErrNoneVisible, sysfsRoot)
	}
	if hasROCR {
		nodes = pick(nodes, rocr)
	}
	if hip != "" {
		nodes = pick(nodes, hip)
	}
	var buses []string
	for _, n := range nodes {
		if !slices.Contains(buses, n.bus) {
			buses = append(buses, n.bus)
		}
	}
	if len(buses) == 0 {
		return nil, fmt.Errorf("%w: ROCR_VISIBLE_DEVICES=%q, %s=%q", ErrNoneVisible, rocr, name, hip)
	}
	return buses, nil
}

// pick returns the nodes that a list names, up to the first entry that names none.
func pick(nodes []node, list string) []node {
	var picked []node
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		i := slices.IndexFunc(nodes, func(n node) bool {
			return n.uuid != "" && strings.EqualFold(n.uuid, entry)
		})
		if number, err := strconv.Atoi(entry); err == nil {
			i = number
		}
		if i < 0 || i >= len(nodes) {
			break
		}
		picked = append(picked, nodes[i])
	}
	return picked
}
