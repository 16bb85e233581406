package amd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// topology is what the kernel's KFD tells about the GPUs that this process may compute on. The order of the nodes is
// the order of ROCr and HIP.
type topology struct {
	nodes  []node
	denied bool // some nodes may not be read: their GPUs are not this container's
}

// node is one GPU, or one partition of a GPU, in the KFD topology.
type node struct {
	bus    string // PCI bus id of the socket
	uuid   string // "GPU-" and the unique id, as ROCR_VISIBLE_DEVICES spells it; empty if the GPU has none
	target string // "gfx942"
}

// readTopology reads the nodes below root (/sys). A node without a gpu_id is a CPU.
func readTopology(root string) topology {
	var t topology
	dir := filepath.Join(root, "class/kfd/kfd/topology/nodes")
	entries, _ := os.ReadDir(dir) // no KFD: no nodes
	var numbers []int
	for _, entry := range entries {
		if n, err := strconv.Atoi(entry.Name()); err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		at := filepath.Join(dir, strconv.Itoa(n))
		id, err := os.ReadFile(filepath.Join(at, "gpu_id"))
		if errors.Is(err, os.ErrPermission) {
			t.denied = true
			continue
		}
		if text := strings.TrimSpace(string(id)); err != nil || text == "" || text == "0" {
			continue
		}
		properties, err := os.ReadFile(filepath.Join(at, "properties"))
		if errors.Is(err, os.ErrPermission) {
			t.denied = true
		}
		if err == nil {
			t.nodes = append(t.nodes, parseNode(string(properties)))
		}
	}
	return t
}

func parseNode(properties string) node {
	values := map[string]uint64{}
	for line := range strings.Lines(properties) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			values[key], _ = strconv.ParseUint(strings.TrimSpace(value), 10, 64) // not a number: 0, as if it were not there
		}
	}
	n := node{bus: busID(values["domain"]<<32 | values["location_id"]&^partitionBits)}
	if id := values["unique_id"]; id != 0 {
		n.uuid = fmt.Sprintf("GPU-%016x", id)
	}
	if v := values["gfx_target_version"]; v != 0 { // 90402 is gfx942, 90010 is gfx90a
		n.target = fmt.Sprintf("gfx%d%x%x", v/10000, v/100%100, v%100)
	}
	return n
}

// find returns the first node of a GPU; nil if there is none.
func (t topology) find(bus string) *node {
	for i := range t.nodes {
		if t.nodes[i].bus == bus {
			return &t.nodes[i]
		}
	}
	return nil
}

// ordinal returns the number of a GPU's first node among all: its number in ROCr, and in HIP if nothing hides GPUs.
// It is -1 if there is none.
func (t topology) ordinal(bus string) int {
	return slices.IndexFunc(t.nodes, func(n node) bool { return n.bus == bus })
}
