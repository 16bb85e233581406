package probe

import "wattmark/sampler"

// Report is what was found out about one GPU's sensors. What could not be found out is missing: null in JSON.
type Report struct {
	Seconds  float64 `json:"duration_s"` // from the first reading to the last
	Complete bool    `json:"complete"`   // false: it was ended early, or the driver stopped answering

	Reads   Reads   `json:"reads"`
	Counter Counter `json:"counter"`
	Power   Field   `json:"power"`         // Reading.PowerWatts, which Info.PowerSource names
	Instant Field   `json:"instant_power"` // Reading.InstantWatts
	Rates   []Rate  `json:"rates"`         // by pace, the slowest first
	Buffer  Buffer  `json:"sample_buffer"`
	Verdict Verdict `json:"verdict"`
}

// Reads is about the driver calls.
type Reads struct {
	Good    int           `json:"good"`
	Failed  int           `json:"failed"`
	Error   string        `json:"error,omitempty"` // of the last that failed
	CallP50 sampler.Value `json:"call_p50_s"`
	CallP99 sampler.Value `json:"call_p99_s"`
	CallMax sampler.Value `json:"call_max_s"`
}

// Steps is how a value that the driver renews now and then was seen to change.
type Steps struct {
	Period sampler.Value `json:"period_s"`
	Bound  sampler.Value `json:"period_bound_s"` // the period is that well known
	// Jitter is the largest deviation from an even pace, beyond what the spacing of the reads explains.
	Jitter sampler.Value `json:"jitter_s"`
	Seen   sampler.Value `json:"seen_to_s"` // how finely the reads show when a step was
	Count  int           `json:"steps"`
	Note   string        `json:"note,omitempty"` // why the period is missing
}

// Counter is about the energy counter.
type Counter struct {
	Steps    Steps         `json:"steps"`
	Quantum  sampler.Value `json:"resolution_j"` // all counts are multiples of this
	Power    Agreement     `json:"against_power"`
	Polling  Polling       `json:"polling"`
	Integral Integral      `json:"integral"`
	// Calibration is what the daemon finds by its own test at start, from the same readings.
	Calibration sampler.Calibration `json:"calibration"`
	Note        string              `json:"note,omitempty"` // it stands still, it falls, there is none
}

// Agreement is the counter's rate over the power sensor's, over the same time and smoothed alike, at the two slower
// paces; at the slowest alone if the counter depends on the pace.
type Agreement struct {
	Ratio sampler.Value `json:"ratio"`
	Bound sampler.Value `json:"ratio_bound"` // two standard deviations
	Note  string        `json:"note,omitempty"`
}

// Polling is whether the counter's rate depends on how often it is read.
type Polling struct {
	FastRatio sampler.Value `json:"fast_to_slow_ratio"` // 200 Hz over 1 Hz, each over the power sensor where there is one
	Bound     sampler.Value `json:"ratio_bound"`        // two standard deviations
	Depends   *bool         `json:"depends"`
	Note      string        `json:"note,omitempty"`
}

// Integral is whether the counter adds up all of the time or the instantaneous power field's glimpses of it: how well
// that field explains the power of each step of the counter.
type Integral struct {
	R2       sampler.Value `json:"instant_r2"`
	FullTime *bool         `json:"full_time"`
	Note     string        `json:"note,omitempty"`
}

// Field is about one power sensor.
type Field struct {
	Refresh Steps         `json:"refresh"`
	Quantum sampler.Value `json:"resolution_w"`
	Mean    sampler.Value `json:"mean_w"`
	Least   sampler.Value `json:"least_w"`
	Most    sampler.Value `json:"most_w"`
	Shape   Shape         `json:"averaging"`
}

// Shape is over how long a power field is the mean, and how late it is, by comparison with the counter's differences.
type Shape struct {
	Window sampler.Value `json:"window_s"` // missing where several explain it alike
	Least  sampler.Value `json:"window_least_s"`
	Most   sampler.Value `json:"window_most_s"`
	// Lag is from the end of the window to the refresh that shows it, against the counter's own lag. The value that is
	// read is on average half a refresh older.
	Lag  sampler.Value `json:"lag_s"`
	R2   sampler.Value `json:"r2"` // share of the field's movement that the counter explains
	Note string        `json:"note,omitempty"`
}

// Rate is the counter against power at one pace of reading.
type Rate struct {
	Every   float64       `json:"every_s"`
	Reads   int           `json:"reads"`
	Counter sampler.Value `json:"counter_w"` // its mean rate
	Power   sampler.Value `json:"power_w"`   // the sensor's mean
	Ratio   sampler.Value `json:"ratio"`     // of the two, over the same time and smoothed alike
	Bound   sampler.Value `json:"ratio_bound"`
}

// Buffer is about the driver's own buffer of power samples.
type Buffer struct {
	Supported bool               `json:"supported"`
	Clock     sampler.StampClock `json:"clock,omitempty"` // of the stamps
	Depth     int                `json:"depth"`           // samples that it held when it was first read
	Span      sampler.Value      `json:"span_s"`          // that these cover
	Period    sampler.Value      `json:"period_s"`        // between two samples: the median
	Longest   sampler.Value      `json:"longest_s"`       // between two samples, when drained once a second
	Delay     sampler.Value      `json:"delay_s"`         // age of the newest when it is read: the median
	Mean      sampler.Value      `json:"mean_w"`
	Empty     int                `json:"empty"` // without a stamp
	Mixed     int                `json:"mixed"` // out of order
	Note      string             `json:"note,omitempty"`
}
