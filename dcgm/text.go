package dcgm

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"wattmark/sampler"
)

// text is the answer to a scrape; nil as long as no GPU has been read.
func (h *Handler) text() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.sampler.Now()
	var gpus []gpu
	for _, status := range h.sampler.Latest() {
		g := gpu{info: status.Info, reading: status.Latest, joules: h.joules(status)}
		if at := status.Latest.At; at != (sampler.Moment{}) && now.Sub(at) <= shownFor {
			gpus = append(gpus, g)
		}
	}
	if h.shown == nil {
		h.shown = slices.DeleteFunc(fields(), func(f field) bool {
			return !slices.ContainsFunc(gpus, func(g gpu) bool { return f.value(g).OK() })
		})
		if len(h.shown) == 0 {
			h.shown = nil
			return nil
		}
	}
	return h.render(gpus)
}

// render writes the metrics that were settled, in dcgm-exporter's form.
func (h *Handler) render(gpus []gpu) []byte {
	out := make([]byte, 0, 16<<10)
	out = append(out, "# wattmark, under the names of dcgm-exporter"...)
	if slices.ContainsFunc(gpus, func(g gpu) bool { return g.info.Vendor == "amd" }) {
		out = append(out, "; the GPUs are AMD's, read through AMD SMI"...)
	}
	if slices.ContainsFunc(gpus, func(g gpu) bool { return g.info.Simulated }) {
		out = append(out, "; the GPUs are simulated"...)
	}
	out = append(out, '\n')
	labels := make([]string, len(gpus))
	for i, g := range gpus {
		labels[i] = h.labels(g.info)
	}
	for _, f := range h.shown {
		if h.names != Current {
			out = f.append(out, f.legacy, gpus, labels)
		}
		if h.names != Legacy {
			out = f.append(out, f.current, gpus, labels)
		}
	}
	return out
}

// append writes one metric of all GPUs. A GPU that does not have it now has no line.
func (f field) append(out []byte, n name, gpus []gpu, labels []string) []byte {
	kind := "gauge"
	if f.counter {
		kind = "counter"
	}
	out = fmt.Appendf(out, "# HELP %s %s\n# TYPE %s %s\n", n.text, n.help, n.text, kind)
	for i, g := range gpus {
		x, ok := f.value(g).Known()
		if !ok {
			continue
		}
		x *= n.scale
		if f.counter { // whole units that have been used up
			x = math.Floor(x + 1e-6)
		}
		out = append(append(out, n.text...), labels[i]...)
		out = append(strconv.AppendFloat(out, x, 'f', n.decimals, 64), '\n')
	}
	return out
}

// labels are a GPU's, in dcgm-exporter's order. Host is there in both spellings: it was renamed in 2026, and boards read
// either. MIG instances have no lines: power and energy are those of the whole GPU.
func (h *Handler) labels(info sampler.Info) string {
	b := &strings.Builder{}
	separator := byte('{')
	label := func(name, value string) {
		if value == "" {
			return
		}
		b.WriteByte(separator)
		separator = ','
		b.WriteString(name)
		b.WriteString(`="`)
		_, _ = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).WriteString(b, strings.ToValidUTF8(value, "�"))
		b.WriteByte('"')
	}
	index := strconv.Itoa(info.Index)
	label("gpu", index)
	label("UUID", cmp.Or(info.UUID, info.Serial, info.BusID, index)) // AIPerf fails without one
	label("pci_bus_id", busID(info.BusID))
	label("device", cmp.Or(info.Vendor, "gpu")+index)
	label("modelName", cmp.Or(info.Model, "unknown"))
	if info.Vendor == "amd" {
		label("vendor", "AMD")
	}
	label("Hostname", info.Host)
	label("hostname", info.Host)
	if h.names != Current {
		label("DCGM_FI_DRIVER_VERSION", info.Driver)
	}
	if h.names != Legacy {
		label("DCGM_FI_SYSTEM_DRIVER_VERSION", info.Driver)
	}
	b.WriteString("} ")
	return b.String()
}

// busID is a PCI bus id as dcgm-exporter writes it, 00000000:1B:00.0.
func busID(ours string) string {
	domain, rest, ok := strings.Cut(ours, ":")
	if !ok || len(domain) > 8 {
		return ours
	}
	return strings.ToUpper(strings.Repeat("0", 8-len(domain)) + domain + ":" + rest)
}
