package metrics

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"wattmark/window"
)

// windows counts windows that have ended, and shows the last one. Its numbers are of all runs together: a run's name is
// in the exemplars alone, which are no series.
type windows struct {
	ended    *prometheus.CounterVec
	duration prometheus.Histogram
	patches  *prometheus.CounterVec

	energy, power, length, end, valid *family

	mu   sync.Mutex
	last *window.Result // nil: none has ended
}

// The values of the label result.
const (
	resultOK      = "ok"      // nothing speaks against publishing it
	resultInvalid = "invalid" // it has reasons
	resultAborted = "aborted" // wattmark was stopped while it was open
)

// patchOutcomes are the values of the label outcome, as agg.Outcome has them.
func patchOutcomes() []string { return []string{"ok", "missing", "unsafe", "conflict", "io"} }

func newWindows(c *catalogue) *windows {
	w := &windows{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wattmark_windows_total",
			Help: "Windows that have ended, by result: ok, invalid (it has reasons), aborted (wattmark was stopped while it was open).",
		}, []string{"result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "wattmark_window_duration_seconds", Help: "How long the windows that have ended were.",
			Buckets: []float64{1, 10, 30, 60, 120, 300, 600, 1800, 3600},
		}),
		patches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wattmark_result_patches_total",
			Help: "Attempts to write into a benchmark's aggregate, by outcome: ok, missing (it does not exist yet), unsafe (not a file that wattmark writes to), conflict (changed by someone else meanwhile), io (all else).",
		}, []string{"outcome"}),
		energy: c.gauge("wattmark_last_window_energy_joules", "Energy of all GPUs in the window that ended last."),
		power:  c.gauge("wattmark_last_window_average_power_watts", "Average power in the window that ended last: of one GPU, and of all together.", "scope"),
		length: c.gauge("wattmark_last_window_duration_seconds", "Length of the window that ended last."),
		end:    c.gauge("wattmark_last_window_end_timestamp_seconds", "Unix time at which the window that ended last ended."),
		valid:  c.gauge("wattmark_last_window_valid", "Whether nothing speaks against publishing the window that ended last."),
	}
	c.count(w.ended, w.duration, w.patches)
	for _, result := range []string{resultOK, resultInvalid, resultAborted} { // so that increase sees the first one
		w.ended.WithLabelValues(result)
	}
	for _, outcome := range patchOutcomes() {
		w.patches.WithLabelValues(outcome)
	}
	return w
}

// Ended counts a window that has ended. The id goes into an exemplar. A window that is concluded again, with more about
// the benchmark, counts once, with its first result; each attempt to patch a file counts.
func (m *Metrics) Ended(id string, r window.Result, again bool) {
	defer m.more.Store(true)
	w := m.windows
	w.mu.Lock()
	w.last = &r
	w.mu.Unlock()
	if outcome := r.Aggregate.Outcome; slices.Contains(patchOutcomes(), outcome) {
		w.patches.WithLabelValues(outcome).Inc()
	}
	if again {
		return
	}
	result := resultOK
	switch {
	case slices.Contains(r.Reasons, window.Interrupted):
		result = resultAborted
	case !r.Valid():
		result = resultInvalid
	}
	exemplar := prometheus.Labels{"window_id": id}
	w.ended.WithLabelValues(result).(prometheus.ExemplarAdder).AddWithExemplar(1, exemplar)
	w.duration.(prometheus.ExemplarObserver).ObserveWithExemplar(r.Duration().Seconds(), exemplar)
}

// tell writes the last window. Until a window has ended there is none; an energy that is not known has no series.
func (w *windows) tell() {
	w.mu.Lock()
	last := w.last
	w.mu.Unlock()
	if last == nil {
		return
	}
	w.energy.known(last.Energy(), 1)
	w.power.known(last.AvgPower(), 1, "per_gpu")
	w.power.known(last.TotalPower(), 1, "total")
	w.length.set(last.Duration().Seconds())
	w.end.set(last.End.Unix())
	w.valid.set(float(last.Valid()))
}

func float(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
