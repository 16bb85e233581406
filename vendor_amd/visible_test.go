package amd

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wattmark/internal/amdsmidouble"
	"wattmark/internal/sysfsdouble"
)

// The KFD order is the reverse of the PCI order here, as on some MI350 hosts it is another one.
func TestVisibleDevices(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	tree := &sysfsdouble.Tree{Root: root, KFDOrder: []int{2, 1, 0}, Partitions: 2}
	for _, gpu := range amdsmidouble.New(3).GPUs {
		tree.GPUs = append(tree.GPUs, sysfsdouble.GPU{GPU: gpu})
	}
	if err := tree.Make(); err != nil {
		t.Fatal(err)
	}
	const a, b, c = "0000:05:00.0", "0000:15:00.0", "0000:25:00.0" // KFD: c c b b a a
	for _, test := range []struct {
		env  string
		want []string
		err  error
	}{
		{"", nil, nil},
		{"HIP_VISIBLE_DEVICES=", nil, nil},
		{"HIP_VISIBLE_DEVICES=0", []string{c}, nil},
		{"HIP_VISIBLE_DEVICES=4,2", []string{a, b}, nil},
		{"HIP_VISIBLE_DEVICES=0,1", []string{c}, nil}, // two partitions of one GPU
		{"CUDA_VISIBLE_DEVICES=5", []string{a}, nil},
		{"HIP_VISIBLE_DEVICES=2 CUDA_VISIBLE_DEVICES=5", []string{b}, nil},
		{"ROCR_VISIBLE_DEVICES=2,4", []string{b, a}, nil},
		{"ROCR_VISIBLE_DEVICES=2,4 HIP_VISIBLE_DEVICES=1", []string{a}, nil},
		{"ROCR_VISIBLE_DEVICES=4,99,0", []string{a}, nil}, // ends at the first that is not there
		{"ROCR_VISIBLE_DEVICES=GPU-AB00000000000001", []string{b}, nil},
		{"HIP_VISIBLE_DEVICES=GPU-ab00000000000002,GPU-ab00000000000000", []string{c, a}, nil},
		{"HIP_VISIBLE_DEVICES=-1", nil, ErrNoneVisible},
		{"ROCR_VISIBLE_DEVICES=", nil, ErrNoneVisible},
	} {
		lookup := func(name string) (string, bool) {
			for setting := range strings.FieldsSeq(test.env) {
				if key, value, _ := strings.Cut(setting, "="); key == name {
					return value, true
				}
			}
			return "", false
		}
		got, err := VisibleDevices(lookup, root)
		if !slices.Equal(got, test.want) || !errors.Is(err, test.err) || (got == nil) != (test.want == nil) {
			t.Errorf("%q: got %q (%v), want %q (%v)", test.env, got, err, test.want, test.err)
		}
	}
	if got, err := VisibleDevices(func(string) (string, bool) { return "0", true }, "/nonexistent"); !errors.Is(err, ErrNoneVisible) {
		t.Errorf("without a topology: got %q, %v", got, err)
	}
	if got := readTopology(root).ordinal(a); got != 4 {
		t.Errorf("HIP index of the last GPU: got %d, want 4", got)
	}
}

func TestBusID(t *testing.T) {
	for bdf, want := range map[uint64]string{
		0x0500:                 "0000:05:00.0",
		0x1<<32 | 0xC1A3:       "0001:c1:14.3",
		7<<28 | 0x0500:         "0000:05:00.0", // a partition of it
		0x10000<<32 | 0x0100:   "10000:01:00.0",
		0xFFFF<<32 | 0xF000FFF: "ffff:0f:1f.7",
	} {
		if got := busID(bdf); got != want {
			t.Errorf("%#x: got %s, want %s", bdf, got, want)
		}
	}
	if got := partitionOf(7<<28 | 0x0500); got != 7 {
		t.Errorf("partition: got %d, want 7", got)
	}
}

func TestCapWatts(t *testing.T) {
	for limit, want := range map[uint64]float64{750: 750, 750_000_000: 750, 1400: 1400, 1_400_000_000: 1400, 0: 0} {
		if got := capWatts(limit); got != want {
			t.Errorf("%d: got %v W, want %v W", limit, got, want)
		}
	}
}

func TestWhereTheLibraryIsLookedFor(t *testing.T) {
	dir := t.TempDir()
	add := func(names ...string) {
		for _, name := range names {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	add("opt/rocm-6.4.1/lib/libamd_smi.so.25", "opt/rocm-10.0.0/lib/libamd_smi.so.27", "opt/rocm-7.1/lib64/libamd_smi.so.26",
		"opt/rocm/lib/libamd_smi.so.26", "mine/libamd_smi.so.24", "mine/libamd_smi.so.25", "path/lib/libamd_smi.so.26",
		"path/lib/libamd_smi.so.99")
	environment := map[string]string{}
	find := func(given string) string {
		var found []string
		for _, path := range libraries(given, func(name string) string { return environment[name] }, filepath.Join(dir, "opt")) {
			found = append(found, strings.TrimPrefix(path, dir+"/"))
		}
		return strings.Join(found, " ")
	}
	bare := "libamd_smi.so.27 libamd_smi.so.26 libamd_smi.so.25 libamd_smi.so.24"
	opt := "opt/rocm/lib/libamd_smi.so.26 opt/rocm-10.0.0/lib/libamd_smi.so.27 opt/rocm-7.1/lib64/libamd_smi.so.26 " +
		"opt/rocm-6.4.1/lib/libamd_smi.so.25 " + bare
	if got := find(""); got != opt {
		t.Errorf("got  %s\nwant %s", got, opt)
	}
	environment["ROCM_PATH"], environment["AMDSMI_LIB_DIR"] = filepath.Join(dir, "path"), filepath.Join(dir, "mine")
	if got, want := find(""), "mine/libamd_smi.so.25 mine/libamd_smi.so.24 path/lib/libamd_smi.so.26 "+opt; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := find(filepath.Join(dir, "mine")), "mine/libamd_smi.so.25 mine/libamd_smi.so.24"; got != want {
		t.Errorf("a folder: got %s, want %s", got, want)
	}
	if got, want := find(filepath.Join(dir, "mine/my.so")), "mine/my.so"; got != want {
		t.Errorf("a file: got %s, want %s", got, want)
	}
}
