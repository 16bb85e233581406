package sim

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"wattmark/sampler"
)

// maxGPUs is how many GPUs a spec may ask for.
const maxGPUs = 64

// Parse returns the GPUs that a spec describes, all with their origin now. A spec is
//
//	COUNTxMODEL[,option=value]…        8xH200,load=decode,seed=7
//
// with a model out of H100, H200, B200, A100, L40S and MI300X, and the options
//
//	load=decode     a language model being served: prefill bursts, decode steps, slow drift (the default)
//	load=constant   watts all the time
//	load=step       idle, then watts from start (default 10s) on
//	load=ramp       from idle at start (default 0s) to watts, in a period (default 60s)
//	load=sine       between idle and watts and back in a period (default 10s)
//	load=square     half of a period (default 1s) at watts, half idle
//	watts=500       the load's highest power; default: 0.9 times the power limit, for decode the limit
//	period=2s       of the load; for decode, from one prefill burst to the next (default 3s)
//	start=10s       idle before; default: never idle
//	end=70s         idle from then on
//	seed=7          of the decode load's randomness; default 1
//	host=n1         the host that the GPUs say they are in; default: the real one. For several daemons on one machine
//	fault=…         may be repeated; times are since the start of the program
//
// and the faults, each for all GPUs or, with @INDEX at its end, for one:
//
//	drop:10s-15s          reads fail
//	hang:10s-15s          reads block until the end of the span
//	lost:10s              reads fail from then on
//	call:20ms             each read takes this long
//	nopower:10s-15s       readings have no power; nopower alone: never
//	spike:10s-15s:5000    the power sensors show so many watts
//	nocounter:10s-15s     readings have no energy count; nocounter alone: the GPU has no counter
//	reset:10s             the energy counter starts at 0
//	scale:0.5             the energy counter counts this multiple of the energy
//	frozen:10s-15s        the energy counter stands still
//
// All GPUs run the same load. Under decode they differ by up to 3 % and some milliseconds, as those of one
// tensor-parallel job do.
func Parse(text, host string, clock sampler.Clock) ([]*GPU, error) {
	s, err := parseSpec(text)
	if err != nil {
		return nil, fmt.Errorf("simulated GPUs %q: %w", text, err)
	}
	load := s.load()
	origin := time.Now()
	gpus := make([]*GPU, s.count)
	for i := range gpus {
		config := Config{
			Model: s.model, Host: cmp.Or(s.host, host), Index: i, Load: load, Clock: clock, Origin: origin,
			Sensors: s.kind.sensors.shifted(i),
		}
		if s.shape == "decode" {
			config.Load = Scale{Load: Shift{Load: load, By: 0.003 * float64(i%8)}, Factor: 1 - 0.01*float64(i*3%4)}
		}
		for _, f := range s.faults {
			switch {
			case f.index >= 0 && f.index != i:
			case f.noCounter:
				config.Sensors.CounterQuantum = 0
			default:
				config.Faults = append(config.Faults, f.Fault)
			}
		}
		gpus[i] = New(config)
	}
	return gpus, nil
}

// spec is a parsed spec.
type spec struct {
	count         int
	model         string
	kind          model
	shape         string
	host          string // empty: not given
	seed          uint64
	watts, period float64 // W, s; 0: not given
	start, end    float64 // s; may be notGiven
	faults        []faultSpec
}

const notGiven = -1

func parseSpec(text string) (spec, error) {
	parts := strings.Split(text, ",")
	count, name, ok := strings.Cut(strings.TrimSpace(parts[0]), "x")
	if !ok {
		return spec{}, errors.New("want COUNTxMODEL, such as 8xH200")
	}
	s := spec{model: name, shape: "decode", seed: 1, start: notGiven, end: notGiven}
	var err error
	if s.count, err = strconv.Atoi(count); err != nil || s.count < 1 || s.count > maxGPUs {
		return spec{}, fmt.Errorf("count %q: want 1 to %d", count, maxGPUs)
	}
	if s.kind, err = findModel(name); err != nil {
		return spec{}, err
	}
	for _, part := range parts[1:] {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if err := s.set(key, value); err != nil {
			return spec{}, fmt.Errorf("%s: %w", part, err)
		}
	}
	if s.shape == "step" && s.start == notGiven {
		s.start = 10
	}
	if s.end != notGiven && s.end <= max(0, s.start) {
		return spec{}, fmt.Errorf("end %gs is not after start %gs", s.end, max(0, s.start))
	}
	return s, nil
}

func (s *spec) set(key, value string) (err error) {
	switch key {
	case "load":
		switch value {
		case "decode", "constant", "step", "ramp", "sine", "square":
			s.shape = value
		default:
			err = errors.New("want decode, constant, step, ramp, sine or square")
		}
	case "seed":
		if s.seed, err = strconv.ParseUint(value, 10, 64); err != nil {
			err = errors.New("want a whole number of at least 0")
		}
	case "watts":
		s.watts, err = parseNumber(value, 1, 10000)
	case "period":
		s.period, err = parseSeconds(value, time.Millisecond, time.Hour)
	case "start":
		s.start, err = parseSeconds(value, 0, year)
	case "end":
		s.end, err = parseSeconds(value, time.Millisecond, year)
	case "host":
		if s.host = value; value == "" {
			err = errors.New("want a name")
		}
	case "fault":
		var f faultSpec
		if f, err = parseFault(value, s.count); err == nil {
			s.faults = append(s.faults, f)
		}
	default:
		err = errors.New("unknown option; known are load, watts, period, start, end, seed, host and fault")
	}
	return err
}

// load builds the load that all GPUs share.
func (s spec) load() Load {
	or := func(x, alt float64) float64 {
		if x == 0 {
			return alt
		}
		return x
	}
	idle, peak := s.kind.idle, or(s.watts, 0.9*s.kind.limit)
	var load Load
	switch s.shape {
	case "decode":
		serving := ServingH200(s.seed)
		serving.EverySeconds = or(s.period, serving.EverySeconds)
		serving.PrefillSeconds = min(serving.PrefillSeconds, serving.EverySeconds/4)
		load = Scale{Load: NewDecode(serving), Factor: or(s.watts, s.kind.limit) / serving.PrefillWatts}
	case "constant", "step":
		load = Constant(peak)
	case "ramp":
		start := max(0, s.start)
		load = Ramp{Before: idle, After: peak, Start: start, End: start + or(s.period, 60)}
	case "sine":
		load = Sine{Mean: (peak + idle) / 2, Amplitude: (peak - idle) / 2, Period: or(s.period, 10)}
	case "square":
		load = Square{Low: idle, High: peak, Period: or(s.period, 1), Duty: 0.5}
	}
	return s.within(load)
}

// within puts load between start and end, where they are given.
func (s spec) within(load Load) Load {
	if s.start == notGiven && s.end == notGiven {
		return load
	}
	busy := Busy{Load: load, IdleWatts: s.kind.idle, Start: max(0, s.start), End: s.end}
	if s.end == notGiven {
		busy.End = math.MaxInt64 / 1e9 // some 292 years
	}
	return busy
}

func parseNumber(text string, least, most float64) (float64, error) {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !(x >= least && x <= most) { // NaN too
		return 0, fmt.Errorf("%q: want a number from %g to %g", text, least, most)
	}
	return x, nil
}

const year = 8760 * time.Hour

func parseTime(text string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		return 0, fmt.Errorf("%q: want a time from %v to %v, such as 10s", text, least, most)
	}
	return d, nil
}

func parseSeconds(text string, least, most time.Duration) (float64, error) {
	d, err := parseTime(text, least, most)
	return d.Seconds(), err
}
