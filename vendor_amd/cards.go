package amd

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// vendorAMD is AMD's PCI vendor id as sysfs writes it.
const vendorAMD = "0x1002"

// findCards returns the GPUs below root (/sys) that show a gpu_metrics table, ordered by PCI bus id as the library
// orders them, and what a person should know about those that are left out.
//
// In a container, /sys shows the GPUs of the whole host. Where the container may see some GPUs only, the kernel denies
// it the others' KFD nodes, and the cards follow that; a container that was given no GPU at all (a meter beside the
// benchmark) sees all of them.
func findCards(root string, limit time.Duration) (cards []*card, problems []string) {
	links, _ := filepath.Glob(filepath.Join(root, "class/drm/card*")) // the pattern is well-formed
	name := regexp.MustCompile(`^card\d+$`)                           // not card0-DP-1, a connector
	for _, link := range links {
		if !name.MatchString(filepath.Base(link)) {
			continue
		}
		dir, err := filepath.EvalSymlinks(filepath.Join(link, "device"))
		if err != nil {
			continue
		}
		c := newCard(dir, limit)
		if c.bus == "" || c.text("vendor") != vendorAMD {
			continue
		}
		c.findPower()
		if why := c.unusable(); why != "" {
			problems = append(problems, fmt.Sprintf("%s is left out: %s", c.bus, why))
			continue
		}
		cards = append(cards, c)
	}
	slices.SortFunc(cards, func(a, b *card) int { return strings.Compare(a.bus, b.bus) })
	kfd := readTopology(root)
	if len(kfd.nodes) > 0 && kfd.denied {
		all := len(cards)
		cards = slices.DeleteFunc(cards, func(c *card) bool { return kfd.find(c.bus) == nil })
		problems = append(problems, fmt.Sprintf(
			"the container may see %d of the host's %d AMD GPUs; the others are not measured", len(cards), all))
	}
	for i, c := range cards {
		c.index = i
	}
	return cards, problems
}

// findPower looks for the power that hwmon has: power1_input on MI300 and later, power1_average on MI200.
func (c *card) findPower() {
	for _, file := range []struct {
		name string
		as   sensor
	}{{"power1_input", sensorSocket}, {"power1_average", sensorAverage}} {
		paths, _ := filepath.Glob(filepath.Join(c.dir, "hwmon/hwmon*", file.name)) // the pattern is well-formed
		if len(paths) > 0 {
			c.power, c.as = paths[0], file.as
			return
		}
	}
}

// unusable says why the card cannot be measured at all; empty if it can, or could if the driver answered.
func (c *card) unusable() string {
	blob, err := bounded(c, func() ([]byte, error) { return c.file(filepath.Join(c.dir, "gpu_metrics"), maxTable) })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "it has no gpu_metrics table"
	case err != nil:
		return "" // it may answer later
	case len(blob) >= 4 && blob[2] == 2:
		return "it is a processor's own graphics"
	}
	if _, err := parseTable(blob); errors.Is(err, ErrTableUnknown) && c.power == "" {
		return err.Error()
	}
	return ""
}

// model returns the product's name, or what identifies it without one.
func (c *card) model() string {
	if name := c.text("product_name"); name != "" {
		return name
	}
	return strings.TrimSpace("AMD GPU " + c.text("device"))
}

// driver returns the version of amdgpu, which only drivers built apart from the kernel have; else the kernel's.
func driver(root string) string {
	for _, name := range []string{filepath.Join(root, "module/amdgpu/version"), "/proc/sys/kernel/osrelease"} {
		if text, err := readFile(name, maxTable); err == nil {
			return strings.TrimSpace(string(text))
		}
	}
	return ""
}

// Present returns how many AMD GPUs sysfs shows, without asking any of them.
func Present(sysfsRoot string) int {
	cards, _ := findCards(sysfsRoot, defaultLimits().file)
	return len(cards)
}
