package sampler

import (
	"math"
	"slices"
	"time"
)

// Calibration is what was found out about a GPU's energy counter by reading it once a second and then fast.
type Calibration struct {
	Done   bool          `json:"done"`
	Period time.Duration `json:"period_ns"` // between two steps of the counter; 0: not found
	Jitter time.Duration `json:"jitter_ns"` // largest deviation of a step from the period
	// RateRatio is the counter's rate while it is read fast over that while it is read slowly, each as a ratio to the
	// power sensor where there is one. On some GPUs the count depends on how often it is read.
	RateRatio Value `json:"rate_ratio"`
	// Steady: the counter steps, and does not mind being read fast. Only then are reads made to see it step.
	Steady bool `json:"steady"`
}

const (
	calibrateSlow  = time.Second
	calibrateEvery = 5 * time.Millisecond
	calibrateFast  = 1500 * time.Millisecond
	// calibrateFailures reads that fail end it: a GPU that does not answer must not be asked in a tight loop.
	calibrateFailures = 10
)

// calibrator collects the readings of a calibration: two that are a second apart, then fast ones.
type calibrator struct {
	readings []Reading
	reads    int
}

// wait returns when the next reading is due.
func (c *calibrator) wait() time.Duration {
	switch {
	case c.reads == 0:
		return 0
	case len(c.readings) == 1:
		return calibrateSlow
	default:
		return calibrateEvery
	}
}

func (c *calibrator) add(r Reading) { c.readings = append(c.readings, r) }

// over reports that there is enough, or that there never will be.
func (c *calibrator) over() bool {
	n := len(c.readings)
	enough := n > 2 && c.readings[n-1].At.Sub(c.readings[1].At) >= calibrateFast
	return enough || c.reads-n >= calibrateFailures || c.reads > 2*int(calibrateFast/calibrateEvery)
}

// result judges the readings.
func (c *calibrator) result() Calibration { return CalibrationOf(c.readings) }

// CalibrationOf judges readings made as Calibrate makes them: two that are a second apart, then fast ones from the
// second of these on, of which a second and a half count. It is pure.
func CalibrationOf(readings []Reading) Calibration {
	found := Calibration{Done: true}
	for n := len(readings) - 1; n > 1 && readings[n].At.Sub(readings[1].At) > calibrateFast+calibrateEvery; n-- {
		readings = readings[:n]
	}
	if len(readings) < 3 {
		return found
	}
	found.Period, found.Jitter = steps(readings[1:])
	slow := rate(readings[:2])
	quick := rate(readings[1:])
	if s, ok := slow.Known(); ok && s > 0 && quick.OK() {
		found.RateRatio = Some(quick.Or(0) / s)
	}
	// The slow second may hold a step more or less than its length: a tenth at 100 ms. Rate dependence on record is
	// a factor of 3 and more.
	const tolerance = 0.4
	ratio, ok := found.RateRatio.Known()
	natural := ok && math.Abs(ratio-1) <= tolerance
	if ok && !natural {
		found.Period, found.Jitter = 0, 0 // the reads made the steps
	}
	found.Steady = found.Period > 2*calibrateEvery && natural
	return found
}

// steps returns the time between two steps of the counter, and by how much one deviates from that; 0 if fewer than
// four were seen. A step during a read that came late is not seen well enough, and left out; the number of periods
// between two steps is counted, so that one that was not seen does not make the others longer.
func steps(fast []Reading) (period, jitter time.Duration) {
	var seen []time.Duration // since the first fast reading
	for i := 1; i < len(fast); i++ {
		between := fast[i].At.Sub(fast[i-1].At)
		if fast[i].EnergyJoules != fast[i-1].EnergyJoules && between <= 4*calibrateEvery {
			seen = append(seen, fast[i-1].At.Sub(fast[0].At)+between/2)
		}
	}
	n := len(seen)
	if n < 4 {
		return 0, 0
	}
	apart := make([]time.Duration, n-1)
	for i := range apart {
		apart[i] = seen[i+1] - seen[i]
	}
	typical := slices.Sorted(slices.Values(apart))[len(apart)/2]
	periods := make([]int, n) // since the first
	for i := range apart {
		periods[i+1] = periods[i] + max(1, int((apart[i]+typical/2)/typical))
	}
	period = (seen[n-1] - seen[0]) / time.Duration(periods[n-1])
	for i := range seen {
		jitter = max(jitter, (seen[i] - seen[0] - time.Duration(periods[i])*period).Abs())
	}
	return period, jitter
}

// rate is the counter's mean rate over the readings in watts, over the mean power where that is known.
func rate(readings []Reading) Value {
	first, last := readings[0], readings[len(readings)-1]
	from, okFrom := first.EnergyJoules.Known()
	to, okTo := last.EnergyJoules.Known()
	seconds := last.At.Sub(first.At).Seconds()
	if !okFrom || !okTo || seconds <= 0 {
		return Value{}
	}
	mean, ok := meanPower(readings).Known()
	if !ok {
		mean = 1
	}
	return Some((to - from) / seconds / mean)
}

// meanPower is the mean of the power sensor. Of two readings, a second apart, two glimpses say little when power moves;
// where power that is averaged (over a second) stands beside them, its later value is the mean of just that time.
func meanPower(readings []Reading) Value {
	last := readings[len(readings)-1]
	if len(readings) == 2 && last.InstantWatts.OK() && last.InstantWatts != last.PowerWatts && last.PowerWatts.Or(0) > 0 {
		return last.PowerWatts
	}
	sum, n := 0.0, 0.0
	for _, r := range readings {
		if w, ok := r.Power().Known(); ok && w > 0 {
			sum, n = sum+w, n+1
		}
	}
	return Some(sum / n) // missing if there is none
}

// Calibrate reads a device for two and a half seconds and says what its counter is like. Nobody else may read the
// device meanwhile; a sampler with Config.Calibrate does the same beside its schedule.
func Calibrate(device Device) Calibration {
	var c calibrator
	for !c.over() {
		time.Sleep(c.wait())
		c.reads++
		if r, err := device.Read(); err == nil {
			c.add(r)
		}
	}
	return c.result()
}

// longestStretch is as far as an interval is stretched: a longer one would be a gap of its own.
const longestStretch = 2 * time.Second

// pace stretches the interval of a GPU whose driver calls have become slow: half of them take longer than a tenth of
// it. It goes back when they no longer do.
type pace struct {
	calls [15]time.Duration // the newest, in a ring
	n     int               // calls so far
	times int               // the interval is stretched so many times; a power of two
}

func (p *pace) add(call, interval time.Duration) {
	p.calls[p.n%len(p.calls)] = call
	p.n++
	p.times = max(1, p.times)
	if p.n < 5 {
		return
	}
	sorted := p.calls // a copy
	known := sorted[:min(p.n, len(sorted))]
	slices.Sort(known)
	median := known[len(known)/2]
	for median > interval*time.Duration(p.times)/10 && 2*time.Duration(p.times)*interval <= longestStretch {
		p.times *= 2
	}
	for p.times > 1 && median <= interval*time.Duration(p.times)/30 {
		p.times /= 2
	}
}
