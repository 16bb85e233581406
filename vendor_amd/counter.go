package amd

import (
	"fmt"
	"time"

	"wattmark/sampler"
)

// verdict is what is thought of a GPU's energy counter.
type verdict int

const (
	unknown verdict = iota // not judged yet: no energy is reported
	trusted
	refused // for good
)

// The energy that a counter gains must be within these factors of power times time, or it is not this GPU's energy.
// On MI100 some drivers' counters were off by orders of magnitude or stood still.
const minRatio, maxRatio = 0.1, 10

// Without a power reading to compare with, the counter alone must imply a power that a socket can have, in W.
const minImplied, maxImplied = 1, 5000

// counter judges a GPU's energy counter by its first two readings that are far enough apart.
type counter struct {
	probe time.Duration // how far apart that is

	verdict verdict
	why     string // for people, if refused

	has    bool // the rest is there: the first reading
	counts uint64
	stamp  uint64
	mono   int64
	watts  sampler.Value
}

// see takes one more sample into account: its count, when it was taken on CLOCK_MONOTONIC, and its power. The time
// between two counts is that between their own stamps, if the driver gives any: it is right even if the tables are old.
func (c *counter) see(s sample, mono int64, watts sampler.Value) {
	elapsed := time.Duration(mono - c.mono)
	if s.stamp != 0 && c.stamp != 0 && s.stamp != c.stamp {
		elapsed = time.Duration(s.stamp - c.stamp)
	}
	switch {
	case c.verdict != unknown:
	case !s.counted:
		c.verdict, c.why = refused, "the driver's table has no energy"
	case !c.has || s.counts < c.counts: // a reset: begin again
		c.has, c.counts, c.stamp, c.mono, c.watts = true, s.counts, s.stamp, mono, watts
	case s.stamp != 0 && s.stamp == c.stamp && s.counts == c.counts: // the same table
	case elapsed >= c.probe-c.probe/20: // sleeps and stamps are not that exact
		c.judge(float64(s.counts-c.counts)/countsPerJoule, elapsed.Seconds(), watts)
	}
}

func (c *counter) judge(joules, seconds float64, watts sampler.Value) {
	power := watts
	if before, ok := c.watts.Known(); ok {
		power = sampler.Some((before + watts.Or(before)) / 2)
	}
	implied := joules / seconds
	mean, ok := power.Known()
	c.verdict = trusted
	switch {
	case ok && mean == 0 && joules == 0:
		c.verdict = refused
		c.why = "neither power nor energy: on a card of two dies, the first reports for both"
	case ok && (implied <= minRatio*mean || implied >= maxRatio*mean):
		c.verdict = refused
		c.why = fmt.Sprintf("it implies %.4g W where the GPU reports %.4g W", implied, mean)
	case !ok && (implied < minImplied || implied > maxImplied):
		c.verdict = refused
		c.why = fmt.Sprintf("it implies %.4g W, and the GPU reports no power to compare with", implied)
	}
}
