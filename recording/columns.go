package recording

import (
	"slices"
	"strings"
)

// columns are the indices of the columns that matter; -1: there is none.
type columns struct{ stamp, power, gpu int }

// complete reports that all columns are there.
func (c columns) complete() bool { return c.stamp >= 0 && c.power >= 0 && c.gpu >= 0 }

// width is how many fields of a row need to be looked at.
func (c columns) width() int { return max(c.stamp, c.power, c.gpu) + 1 }

// findColumns guesses the columns by their names: the first that contains "time"; the first that contains "power" and
// no word for a limit; the first that is one of the names of a GPU's index. Names that contain these by chance
// ("uptime", "power_management") are taken as well, if they come first; not if lenient, where known names win.
func findColumns(header [][]byte, lenient bool) columns {
	names := make([]string, len(header))
	for i, cell := range header {
		names[i] = strings.ToLower(string(strip(cell)))
	}
	index := func(is func(string) bool) int { return slices.IndexFunc(names, is) }
	known := func(list ...string) int {
		for _, name := range list {
			if i := slices.Index(names, name); i >= 0 && lenient {
				return i
			}
		}
		return -1
	}
	c := columns{
		stamp: known("timestamp", "time"),
		power: known("socket_power", "power.draw.average [w]", "power.draw [w]", "power_w"),
		gpu:   index(func(name string) bool { return slices.Contains(gpuNames(), name) }),
	}
	if c.stamp < 0 {
		c.stamp = index(func(name string) bool { return timeName(name, lenient) })
	}
	if c.power < 0 {
		c.power = index(func(name string) bool { return powerName(name, lenient) })
	}
	if c.gpu < 0 {
		c.gpu = known("uuid", "gpu_uuid", "bdf", "gpu_bdf", "pci.bus_id")
	}
	return c
}

func gpuNames() []string { return []string{"index", "gpu", "gpu_id", "gpu_index", "card", "device"} }

func timeName(name string, lenient bool) bool {
	contains := func(word string) bool { return strings.Contains(name, word) }
	if lenient && (contains("uptime") || contains("runtime")) { // lengths of time
		return false
	}
	return contains("time")
}

func powerName(name string, lenient bool) bool {
	contains := func(word string) bool { return strings.Contains(name, word) }
	others := []string{"limit", "cap", "max", "min"}
	if lenient { // settings, states and counters
		others = append(others, "management", "state", "violation", "throttle", "mode", "profile", "ubb")
	}
	return contains("power") && !slices.ContainsFunc(others, contains)
}
