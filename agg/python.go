package agg

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"

	"wattmark/sampler"
	"wattmark/window"
)

// number is a value that is written as Python writes a float; null if it is missing.
type number sampler.Value

func known(x float64) number { return number(sampler.Some(x)) }

// MarshalJSON writes 5600.0, not 5600.
func (n number) MarshalJSON() ([]byte, error) {
	x, ok := sampler.Value(n).Known()
	if !ok {
		return []byte("null"), nil
	}
	return []byte(pythonFloat(x)), nil
}

// ordered is a JSON object whose keys keep their order.
type ordered []entry

type entry struct {
	key   string
	value any
}

func (o *ordered) add(key string, value any) { *o = append(*o, entry{key, value}) }

func (o *ordered) addKnown(key string, v sampler.Value) {
	if v.OK() {
		o.add(key, number(v))
	}
}

// MarshalJSON writes the entries in their order.
func (o ordered) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, e := range o {
		if i > 0 {
			out = append(out, ',')
		}
		key, err := json.Marshal(e.key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(e.value)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, key...), ':'), value...)
	}
	return append(out, '}'), nil
}

// indented writes v as json.dumps(v, indent=2) does, with a line end.
func indented(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(v)
	return out.Bytes(), err
}

// namedGPU is a GPU with its name in the validation file.
type namedGPU struct {
	window.GPU
	name string
}

// named gives each GPU a name of its own: its index where that tells them apart, else host and identity as in
// InferenceX's multi-node files. Indices come first, by number. GPUs without a host are those of a CSV file, which has a
// name and an order for each.
func named(gpus []window.GPU) []namedGPU {
	if len(gpus) > 0 && gpus[0].Host == "" {
		all := make([]namedGPU, len(gpus))
		for i, gpu := range gpus {
			all[i] = namedGPU{gpu, gpu.UUID}
		}
		return all
	}
	indices := map[int]int{}
	for _, gpu := range gpus {
		indices[gpu.Index]++
	}
	taken := map[string]int{}
	all := make([]namedGPU, 0, len(gpus))
	for _, gpu := range gpus {
		name := strconv.Itoa(gpu.Index)
		if len(indices) < len(gpus) {
			name = gpu.ID()
		}
		if taken[name]++; taken[name] > 1 { // measured twice, which is a reason
			name += "#" + strconv.Itoa(taken[name])
		}
		all = append(all, namedGPU{gpu, name})
	}
	slices.SortStableFunc(all, func(a, b namedGPU) int {
		if len(indices) == len(gpus) {
			return cmp.Compare(a.Index, b.Index)
		}
		return cmp.Compare(a.name, b.name)
	})
	return all
}
