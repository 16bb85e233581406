package metrics

import (
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Our process metrics have the names, types and values of client_golang's.
func TestProcessMetricsAreTheUsualOnes(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere there are fewer")
	}
	type measured struct {
		kind  string
		value float64
	}
	gather := func(from prometheus.Gatherer) map[string]measured {
		families, err := from.Gather()
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]measured{}
		for _, f := range families {
			m := f.GetMetric()[0]
			all[f.GetName()] = measured{f.GetType().String(), m.GetGauge().GetValue() + m.GetCounter().GetValue()}
		}
		return all
	}
	runtime.GC() // closes what other tests left open
	time.Sleep(10 * time.Millisecond)
	c, registry := catalogue{counted: prometheus.NewRegistry()}, prometheus.NewPedanticRegistry()
	c.tellers(newProcess(&c))
	registry.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	ours, usual := gather(checked(&c)), gather(registry)
	near := map[string]float64{
		"process_cpu_seconds_total": 0.5, "process_open_fds": 2, "process_max_fds": 0, "process_start_time_seconds": 600,
		"process_resident_memory_bytes": 32 << 20, "process_virtual_memory_bytes": 256 << 20,
	}
	if len(ours) != len(near) {
		t.Errorf("%d metrics, want %d", len(ours), len(near))
	}
	for name, most := range near {
		is, want := ours[name], usual[name]
		if is.kind != want.kind || math.Abs(is.value-want.value) > most || is.value <= 0 {
			t.Errorf("%s: %s %v, usually %s %v", name, is.kind, is.value, want.kind, want.value)
		}
	}
}
