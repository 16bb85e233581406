package sampler_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"wattmark/sampler"
)

// Whatever callers write, Choose returns a part of the GPUs in their order, or says in few words that it knows no such GPU.
func FuzzChoose(f *testing.F) {
	for _, seed := range []string{
		"", "0", "0,1", "GPU-5156d3a7", "GPU-0c1d", "0000:1b:00.0", "1B:00.0", "00000000:1B:00.0", "1321021036987", "-1", "1e400", "0x1", "all", ",", "٠", "1b:00.0\x00",
	} {
		f.Add(seed)
	}
	infos := []sampler.Info{
		{Index: 0, UUID: "GPU-5156d3a7-0c1d-0000-0000-000000000000", BusID: "0000:1b:00.0", Serial: "1321021036987"},
		{Index: 1, UUID: "GPU-5156d3a7-0c1d-0000-0000-000000000001", BusID: "0000:43:00.0", Serial: "1321021036988"},
		{Index: 7, UUID: "GPU-6156d3a7-0c1d-0000-0000-000000000002", BusID: "00010000:0a:1f.7", Serial: "0"},
	}
	f.Fuzz(func(t *testing.T, text string) {
		var names []string
		if text != "" {
			names = strings.Split(text, ",")
		}
		got, err := sampler.Choose(infos, names)
		if err != nil {
			if !errors.Is(err, sampler.ErrUnknownGPU) || got != nil {
				t.Errorf("%q: %v, %v", text, got, err)
			}
			return
		}
		if len(names) == 0 && len(got) != len(infos) || len(names) > 0 && (len(got) == 0 || len(got) > len(names)) {
			t.Errorf("%q: %d GPUs", text, len(got))
		}
		last := -1
		for _, info := range got {
			i := slices.IndexFunc(infos, func(other sampler.Info) bool { return other.UUID == info.UUID })
			if i <= last {
				t.Errorf("%q: GPU %d after %d", text, i, last)
			}
			last = i
		}
		if again, err := sampler.Choose(got, nil); err != nil || len(again) != len(got) {
			t.Errorf("%q: again %v, %v", text, again, err)
		}
	})
}

// A PCI bus id in any spelling comes out in one, which stands for itself.
func FuzzBusID(f *testing.F) {
	for _, seed := range []string{"1b:00.0", "0000:1B:00.0", "00000000:1B:00.0", "ffffffff:ff:1f.7", "1:2:3:4", "::.", "1b.00.0", "1b:00:0", "-1:00.0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id := sampler.BusID(text)
		if id == "" {
			return
		}
		if again := sampler.BusID(id); again != id || sampler.BusID(strings.ToUpper(id)) != id || len(id) > len("ffffffff:ff:1f.7") {
			t.Errorf("%q is %q, and that %q", text, id, again)
		}
	})
}
