package sampler_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"wattmark/sampler"
)

func TestBusID(t *testing.T) {
	for text, want := range map[string]string{
		"00000000:1B:00.0":    "0000:1b:00.0", // NVML
		"0000:1b:00.0":        "0000:1b:00.0", // sysfs, amd-smi
		"1b:00.0":             "0000:1b:00.0", // lspci
		"1B:0.0":              "0000:1b:00.0",
		"0001:01:00.1":        "0001:01:00.1",
		"10001:c1:1f.7":       "10001:c1:1f.7", // a domain beyond 16 bits (VMD, Hyper-V)
		"":                    "",
		"1b":                  "",
		"0":                   "",
		"1b:00":               "",
		"1b.0":                "",
		"1b:20.0":             "", // there are 32 devices
		"1b:00.8":             "", // and 8 functions
		"100:00.0":            "",
		"gg:00.0":             "",
		"0000:1b:00.0.0":      "",
		"-1:00.0":             "",
		"GPU-5156d3a7-0000":   "",
		"0000:1b:00.0 extra ": "",
	} {
		if got := sampler.BusID(text); got != want {
			t.Errorf("BusID(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestChoose(t *testing.T) {
	infos := []sampler.Info{
		{Host: "n1", Vendor: "nvidia", Index: 0, UUID: "GPU-aaaa1111-0000", BusID: "0000:1b:00.0", Serial: "16500", Parts: []string{"MIG-cccc1111-0000", "MIG-cccc2222-0000"}},
		{Host: "n1", Vendor: "nvidia", Index: 1, UUID: "GPU-aaaa2222-0000", BusID: "0000:43:00.0", Serial: "16501"},
		{Host: "n1", Vendor: "nvidia", Index: 2, UUID: "GPU-bbbb3333-0000", BusID: "0001:1b:00.0", Serial: "16502", Parts: []string{"MIG-cdcd1111-0000"}},
		{Host: "n1", Vendor: "amd", Index: 3, BusID: "0000:c1:00.0"},
	}
	const unknown = -1
	for _, test := range []struct {
		names string // separated by |
		want  []int
	}{
		{"0", []int{0}},
		{"2|0", []int{0, 2}}, // in the order of the GPUs
		{"1|1|1", []int{1}},
		{" 1 ", []int{1}},
		{"GPU-aaaa1111-0000", []int{0}},
		{"gpu-AAAA1111-0000", []int{0}},
		{"GPU-b", []int{2}},
		{"GPU-aaaa2", []int{1}},
		{"n1/GPU-bbbb3333-0000", []int{2}},
		{"n1/0000:c1:00.0", []int{3}},
		{"00000000:1B:00.0", []int{0}},
		{"1b:00.0", []int{0}}, // of domain 0
		{"0001:1b:00.0", []int{2}},
		{"c1:00.0", []int{3}},
		{"16501", []int{1}},
		{"0|43:00.0|GPU-b", []int{0, 1, 2}},
		{"GPU-a", []int{unknown}}, // two
		{"GPU-", []int{unknown}},
		{"GPU-c", []int{unknown}},
		{"", []int{unknown}}, // an AMD GPU has no UUID either
		{"0|", []int{unknown}},
		{"4", []int{unknown}},
		{"-1", []int{unknown}},
		{"01", []int{unknown}},
		{"n2/GPU-bbbb3333-0000", []int{unknown}},
		{"MIG-aaaa1111-0000", []int{unknown}},
		{"MIG-cccc2222-0000", []int{0}},
		{"mig-CCCC2222-0000|MIG-cccc1111-0000|0", []int{0}}, // the GPU counts once
		{"MIG-cccc", []int{0}},                              // two instances, but one GPU
		{"MIG-cd|MIG-cccc1", []int{0, 2}},
		{"MIG-c", []int{unknown}}, // two GPUs
		{"MIG-", []int{unknown}},
		{"MIG-GPU-aaaa2222-0000/7/0", []int{1}},
		{"MIG-GPU-aaaa2222-0000", []int{unknown}},
		{"MIG-cccc2222-0000/0", []int{unknown}},
	} {
		chosen, err := sampler.Choose(infos, strings.Split(test.names, "|"))
		var got []int
		for _, info := range chosen {
			got = append(got, info.Index)
		}
		switch {
		case test.want[0] == unknown:
			if !errors.Is(err, sampler.ErrUnknownGPU) {
				t.Errorf("Choose(%q) = %v, %v; want ErrUnknownGPU", test.names, got, err)
			}
		case err != nil || !slices.Equal(got, test.want):
			t.Errorf("Choose(%q) = %v, %v; want %v", test.names, got, err, test.want)
		}
	}
	if got, err := sampler.Choose(infos, nil); err != nil || len(got) != len(infos) {
		t.Errorf("Choose of no names = %v, %v; want all", got, err)
	}
}

func TestAPrefixSaysWhichGPU(t *testing.T) {
	one := []sampler.Info{{UUID: "GPU-aaaa1111-0000"}}
	for _, name := range []string{"G", "GPU", "GPU-"} {
		if got, err := sampler.Choose(one, []string{name}); !errors.Is(err, sampler.ErrUnknownGPU) {
			t.Errorf("Choose(%q) of one GPU = %v, %v; want ErrUnknownGPU: every GPU begins so", name, got, err)
		}
	}
}

func TestChooseSaysWhatThereIs(t *testing.T) {
	infos := []sampler.Info{{Index: 0, UUID: "GPU-aaaa1"}, {Index: 5, UUID: "GPU-aaaa2"}}
	for name, want := range map[string]string{"7": `"7": there is index 0, 5`, "GPU-aaaa": `"GPU-aaaa": it means 2 GPUs`} {
		if _, err := sampler.Choose(infos, []string{name}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Choose(%q): %v, want it to say %s", name, err, want)
		}
	}
	if _, err := sampler.Choose(nil, []string{"0"}); err == nil || !strings.Contains(err.Error(), "there is none") {
		t.Errorf("Choose of no GPUs: %v, want it to say that there is none", err)
	}
}

func TestIDIsStableAcrossRestarts(t *testing.T) {
	for _, test := range []struct {
		info sampler.Info
		want string
	}{
		{sampler.Info{Host: "n1", Vendor: "nvidia", UUID: "GPU-1", BusID: "0000:1b:00.0", Index: 3}, "n1/GPU-1"},
		{sampler.Info{Host: "n1", Vendor: "nvidia", BusID: "0000:1b:00.0"}, "n1/0000:1b:00.0"},
		// AMD's UUIDs are not unique on some boards and change with the partition mode.
		{sampler.Info{Host: "n1", Vendor: "amd", UUID: "a1ff74a1", BusID: "0000:c1:00.0"}, "n1/0000:c1:00.0"},
	} {
		if got := test.info.ID(); got != test.want {
			t.Errorf("ID of %+v = %q, want %q", test.info, got, test.want)
		}
	}
}
