package sysfsdouble

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"wattmark/internal/amdsmidouble"
)

// GPU is one card of a tree. What it shares with the library's stand-in is taken from there.
type GPU struct {
	amdsmidouble.GPU
	Revision int    // of the gpu_metrics table: 3 to 9; 0: 7
	UniqueID uint64 // 0: made from the number
	Target   int    // gfx_target_version; 0: 90402 (MI300)
	NoTable  bool   // the card has no gpu_metrics
}

// Tree is a folder that looks like /sys on a host with AMD GPUs.
type Tree struct {
	Root   string // give it to --sysfs-root
	Origin int64  // CLOCK_BOOTTIME in ns at which every load begins
	GPUs   []GPU
	// KFDOrder is the order of the GPUs in the KFD topology, and so of HIP; nil: the order of GPUs.
	KFDOrder []int
	// Partitions of each GPU in the KFD topology; 0 means 1.
	Partitions int

	shown map[string]string // hwmon power by device, as it was written last
}

// New makes the tree of a script's GPUs below root, with tables of one revision, and fills it for this moment.
func New(root string, script amdsmidouble.Script, revision int) (*Tree, error) {
	tree := &Tree{Root: root, Origin: script.Origin, Partitions: script.Partitions}
	for _, gpu := range script.GPUs {
		tree.GPUs = append(tree.GPUs, GPU{GPU: gpu, Revision: revision})
	}
	return tree, tree.Make()
}

// Make writes every file; call it again after changing the tree's fields, and not while Run does.
func (t *Tree) Make() error {
	t.shown = nil
	for i := range t.GPUs {
		if err := t.card(i); err != nil {
			return err
		}
	}
	if err := t.topology(); err != nil {
		return err
	}
	if err := put(filepath.Join(t.Root, "module/amdgpu/version"), "6.14.14\n"); err != nil {
		return err
	}
	return t.Update()
}

// Device returns the folder of card number i.
func (t *Tree) Device(i int) string {
	return filepath.Join(t.Root, "devices/pci0000:00", t.GPUs[i].Bus)
}

// Table returns the path of card number i's gpu_metrics.
func (t *Tree) Table(i int) string { return filepath.Join(t.Device(i), "gpu_metrics") }

// Update writes the tables and the hwmon power of this moment.
func (t *Tree) Update() error {
	for i := range t.GPUs {
		now := amdsmidouble.Boottime()
		v := t.At(i, now)
		if !t.GPUs[i].NoTable {
			if err := put(t.Table(i), string(Table(cmp.Or(t.GPUs[i].Revision, 7), v))); err != nil {
				return err
			}
		}
		sensor := "power1_input"
		if t.GPUs[i].Average || t.GPUs[i].Revision == 3 {
			sensor = "power1_average"
		}
		microwatts := strconv.Itoa(int(v.Watts)*1e6) + "\n"
		if t.shown == nil {
			t.shown = map[string]string{}
		}
		if t.shown[t.Device(i)] == microwatts {
			continue
		}
		t.shown[t.Device(i)] = microwatts
		if err := put(filepath.Join(t.Device(i), "hwmon/hwmon3", sensor), microwatts); err != nil {
			return err
		}
	}
	return nil
}

// Run updates the tree until ctx ends.
func (t *Tree) Run(ctx context.Context, every time.Duration) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := t.Update(); err != nil {
				return err
			}
		}
	}
}

// At returns what card number i's table says when CLOCK_BOOTTIME shows now.
func (t *Tree) At(i int, now int64) Values {
	gpu := t.GPUs[i]
	x := time.Duration(now - t.Origin)
	v := Values{
		Watts: uint16(math.Round(gpu.Load.Power(x))), Counts: gpu.Base + uint64(gpu.Load.Joules(x)*65536),
		Stamp: uint64(now), Hotspot: 71, Memory: 58, Busy: 93, MemoryBusy: 41, Clock: 2100, Uclk: 1300,
	}
	if gpu.Constant {
		v.Counts = gpu.Base
	}
	if gpu.ZeroWatts {
		v.Watts = 0
	}
	if gpu.NoWatts {
		v.Watts = math.MaxUint16
	}
	if gpu.NoStamp {
		v.Stamp = math.MaxUint64
	}
	return v
}

func (t *Tree) card(i int) error {
	gpu, dir := t.GPUs[i], t.Device(i)
	for name, text := range map[string]string{
		"vendor":                    "0x1002",
		"device":                    "0x74a1",
		"unique_id":                 fmt.Sprintf("%016x", t.uniqueID(i)),
		"serial_number":             gpu.Serial,
		"product_name":              gpu.Name + " OAM",
		"current_compute_partition": map[bool]string{true: "CPX", false: "SPX"}[t.Partitions > 1],
		"current_memory_partition":  "NPS1",
		"hwmon/hwmon3/name":         "amdgpu",
		"hwmon/hwmon3/power1_label": "PPT",
		"hwmon/hwmon3/power1_cap":   strconv.Itoa(gpu.Cap * 1e6),
	} {
		if err := put(filepath.Join(dir, name), text+"\n"); err != nil {
			return err
		}
	}
	class := filepath.Join(t.Root, "class/drm")
	card := filepath.Join(dir, "drm", fmt.Sprintf("card%d", i+1))
	for _, folder := range []string{class, card} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	if err := link("../..", filepath.Join(card, "device")); err != nil {
		return err
	}
	target := filepath.Join("../../devices/pci0000:00", gpu.Bus, "drm", filepath.Base(card))
	return link(target, filepath.Join(class, filepath.Base(card)))
}

func (t *Tree) uniqueID(i int) uint64 {
	if id := t.GPUs[i].UniqueID; id != 0 {
		return id
	}
	return 0xAB00000000000000 + uint64(i)
}

// topology writes the KFD nodes: two CPUs, then the GPUs in their KFD order, each partition a node.
func (t *Tree) topology() error {
	order := t.KFDOrder
	if order == nil {
		for i := range t.GPUs {
			order = append(order, i)
		}
	}
	nodes := filepath.Join(t.Root, "class/kfd/kfd/topology/nodes")
	node := 0
	add := func(gpuID int, properties string) error {
		dir := filepath.Join(nodes, strconv.Itoa(node))
		node++
		if err := put(filepath.Join(dir, "gpu_id"), strconv.Itoa(gpuID)+"\n"); err != nil {
			return err
		}
		return put(filepath.Join(dir, "properties"), properties)
	}
	for range 2 {
		if err := add(0, "cpu_cores_count 96\nsimd_count 0\nunique_id 0\nlocation_id 0\ndomain 0\n"); err != nil {
			return err
		}
	}
	for _, i := range order {
		var domain, bus, device, function int
		if _, err := fmt.Sscanf(t.GPUs[i].Bus, "%x:%x:%x.%x", &domain, &bus, &device, &function); err != nil {
			return fmt.Errorf("bus id %q: %w", t.GPUs[i].Bus, err)
		}
		for partition := range max(1, t.Partitions) {
			properties := fmt.Sprintf(
				"cpu_cores_count 0\nsimd_count 1216\nlocation_id %d\ndomain %d\nunique_id %d\ngfx_target_version %d\n",
				partition<<28|bus<<8|device<<3|function, domain, t.uniqueID(i), cmp.Or(t.GPUs[i].Target, 90402))
			if err := add(1000+10*i+partition, properties); err != nil {
				return err
			}
		}
	}
	return nil
}

// put replaces a file in one step, so that no reader sees half of it.
func put(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.WriteFile(temporary, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func link(target, path string) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.Symlink(target, path)
}
