package agg

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"wattmark/sampler"
	"wattmark/window"
)

// PowerSchema is the version of InferenceX's power keys that are written.
const PowerSchema = 2

// ErrNoMetric says that a result is valid, but lacks a number that the aggregate must have: the benchmark's counts.
var ErrNoMetric = errors.New("no benchmark data for the per-token keys")

// Key is one key of the aggregate and its number, as Python's json.dumps writes it; "": the key must not be there.
type Key struct{ Name, Number string }

// Keys returns what a result sets in the aggregate, in the contract's order: the schema and the verdict, and if that
// is valid the metrics.
func Keys(r window.Result) ([]Key, error) {
	keys := []Key{{"power_metric_schema_version", strconv.Itoa(PowerSchema)}, {"power_valid", "0"}}
	if !r.Valid() {
		return keys, nil
	}
	keys[1].Number = "1"
	for _, m := range metrics(r) {
		x, ok := m.value.Known()
		if !ok {
			return nil, fmt.Errorf("%s: %w", m.name, ErrNoMetric)
		}
		keys = append(keys, Key{m.name, pythonFloat(round(x, decimals(m.name)))})
	}
	return keys, nil
}

// ExtraKeys are those of later InferenceX schemas that a result sets where they are asked for: percentiles of the
// synchronised power of all GPUs, and those per GPU. Stale ones go.
func ExtraKeys(r window.Result) []Key {
	var keys []Key
	for _, p := range []struct {
		name  string
		value sampler.Value
	}{{"p75", r.Stats.P75}, {"p90", r.Stats.P90}} {
		each, total := Key{Name: p.name + "_power_w"}, Key{Name: p.name + "_total_gpu_power_w"}
		if watts, ok := p.value.Known(); ok && r.Valid() && len(r.GPUs) > 0 {
			each.Number, total.Number = pythonFloat(round(watts/float64(len(r.GPUs)), 3)), pythonFloat(round(watts, 3))
		}
		keys = append(keys, each, total)
	}
	return keys
}

// metric is a measured key.
type metric struct {
	name  string
	value sampler.Value
}

// metrics returns the seven keys, and those of the roles that GPUs have.
func metrics(r window.Result) []metric {
	total := r.TotalPower()
	if joules, ok := r.Energy().Known(); ok && total.OK() {
		total = sampler.Some(joules / seconds(r))
	}
	all := []metric{
		{"avg_power_w", sampler.Some(total.Or(math.NaN()) / float64(len(r.GPUs)))},
		{"avg_total_gpu_power_w", total},
		{"total_gpu_energy_j", r.Energy()},
		{"joules_per_successful_query", r.PerQuery()},
		{"joules_per_input_token", r.PerInputToken()},
		{"joules_per_output_token", r.PerOutputToken()},
		{"joules_per_total_token", r.PerTotalToken()},
	}
	prefill, decode := only(r, "prefill"), only(r, "decode")
	for _, m := range []struct {
		name  string
		of    window.Result
		value func(window.Result) sampler.Value
	}{
		{"prefill_gpu_energy_j", prefill, window.Result.Energy},
		{"decode_gpu_energy_j", decode, window.Result.Energy},
		{"prefill_avg_power_w", prefill, window.Result.AvgPower},
		{"decode_avg_power_w", decode, window.Result.AvgPower},
		{"prefill_joules_per_input_token", prefill, window.Result.PerInputToken},
		{"decode_joules_per_output_token", decode, window.Result.PerOutputToken},
	} {
		if len(m.of.GPUs) > 0 {
			all = append(all, metric{m.name, m.value(m.of)})
		}
	}
	return all
}

// seconds returns the length of a window: on the monotonic clock, else as the benchmark's own script reckons.
func seconds(r window.Result) float64 {
	if r.Start.MonoNano != 0 && r.End.MonoNano != 0 {
		return r.Duration().Seconds()
	}
	return r.EndUnix() - r.StartUnix()
}

// only returns r as if the GPUs of one role were all there are.
func only(r window.Result, role string) window.Result {
	var gpus []window.GPU
	for _, gpu := range r.GPUs {
		if gpu.Role == role {
			gpus = append(gpus, gpu)
		}
	}
	r.GPUs = gpus
	return r
}

// measured reports whether key is one that only a valid result has: a metric, or what later schemas put there.
func measured(key string) bool {
	switch key {
	case "avg_power_w", "avg_total_gpu_power_w", "total_gpu_energy_j",
		"joules_per_successful_query", "joules_per_input_token", "joules_per_output_token", "joules_per_total_token",
		"prefill_gpu_energy_j", "decode_gpu_energy_j", "prefill_avg_power_w", "decode_avg_power_w",
		"prefill_joules_per_input_token", "decode_joules_per_output_token",
		"power_invalid_reasons":
		return true
	}
	return false
}

// decimals returns how many digits the contract wants after the point.
func decimals(key string) int {
	if strings.HasSuffix(key, "_w") || strings.HasSuffix(key, "_j") {
		return 3
	}
	return 6
}

// round returns x to so many decimals as Python's round does: the nearest, half to even, of the binary value.
func round(x float64, decimals int) float64 {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(x, 'f', decimals, 64), 64)
	if err != nil { // not for a finite x
		return x
	}
	return rounded
}

// pythonFloat returns a finite x as Python's repr and json.dumps write it: the shortest text that reads back as x,
// with a point or an exponent.
func pythonFloat(x float64) string {
	text := strconv.FormatFloat(x, 'e', -1, 64)
	exponent, err := strconv.Atoi(text[strings.IndexByte(text, 'e')+1:])
	if err != nil || exponent < -4 || exponent >= 16 {
		return text
	}
	text = strconv.FormatFloat(x, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
