package sampler

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrUnknownGPU means that a name matches no GPU, or more than one.
var ErrUnknownGPU = errors.New("unknown GPU")

// Choose returns the GPUs that names mean, in the order of infos: each name an index, a UUID or an unambiguous
// beginning of one, a PCI bus id in any of the usual spellings, or a serial number. The UUID of a MIG instance means the
// GPU that it is a part of. No names mean all GPUs.
func Choose(infos []Info, names []string) ([]Info, error) {
	if len(names) == 0 {
		return infos, nil
	}
	chosen := make([]bool, len(infos))
	for _, name := range names {
		i, err := find(infos, strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		chosen[i] = true
	}
	var out []Info
	for i, info := range infos {
		if chosen[i] {
			out = append(out, info)
		}
	}
	return out, nil
}

func find(infos []Info, name string) (int, error) {
	if name == "" {
		return 0, fmt.Errorf("%w: empty name", ErrUnknownGPU)
	}
	matches := func(same func(Info) bool) []int {
		var found []int
		for i, info := range infos {
			if same(info) {
				found = append(found, i)
			}
		}
		return found
	}
	lower := strings.ToLower(name)
	for _, same := range []func(Info) bool{
		func(info Info) bool { return name == strconv.Itoa(info.Index) },
		func(info Info) bool { return lower == strings.ToLower(info.UUID) || name == info.ID() },
		func(info Info) bool { return BusID(name) != "" && BusID(name) == BusID(info.BusID) },
		func(info Info) bool { return name == info.Serial },
		func(info Info) bool { return isPart(info, lower) },
		func(info Info) bool {
			return len(name) >= len("GPU-1") && strings.HasPrefix(strings.ToLower(info.UUID), lower)
		},
	} {
		switch found := matches(same); len(found) {
		case 0:
		case 1:
			return found[0], nil
		default:
			return 0, fmt.Errorf("%w %q: it means %d GPUs", ErrUnknownGPU, name, len(found))
		}
	}
	return 0, fmt.Errorf("%w %q: there is %s", ErrUnknownGPU, name, inWords(infos))
}

// isPart reports whether a name in lower case is that of a MIG instance of the GPU, or the beginning of one; drivers before
// 470 called them MIG-GPU-<UUID of the GPU>/<GPU instance>/<compute instance>.
func isPart(info Info, lower string) bool {
	rest, mig := strings.CutPrefix(lower, "mig-")
	if !mig || rest == "" {
		return false
	}
	uuid, _, old := strings.Cut(rest, "/")
	return old && uuid == strings.ToLower(info.UUID) || slices.ContainsFunc(info.Parts, func(part string) bool {
		return strings.HasPrefix(strings.ToLower(part), lower)
	})
}

func inWords(infos []Info) string {
	if len(infos) == 0 {
		return "none"
	}
	indices := make([]string, len(infos))
	for i, info := range infos {
		indices[i] = strconv.Itoa(info.Index)
	}
	return "index " + strings.Join(indices, ", ") + "; UUIDs and PCI bus ids work too"
}

// BusID writes a PCI bus id as 0000:1b:00.0; vendors differ in the width of the domain, in case, and in whether they
// write the domain at all. It returns "" for what is none.
func BusID(text string) string {
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == ':' || r == '.' })
	if len(parts) == 3 {
		parts = slices.Insert(parts, 0, "0")
	}
	if len(parts) != 4 || !strings.ContainsRune(text, '.') || !strings.ContainsRune(text, ':') {
		return ""
	}
	var numbers [4]uint64
	for i, bits := range []int{32, 8, 5, 3} {
		n, err := strconv.ParseUint(parts[i], 16, bits)
		if err != nil {
			return ""
		}
		numbers[i] = n
	}
	return fmt.Sprintf("%04x:%02x:%02x.%x", numbers[0], numbers[1], numbers[2], numbers[3])
}
