package dcgm_test

import (
	"errors"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"wattmark/dcgm"
	"wattmark/sampler"
)

// mixed are GPUs of which some lack something.
func mixed(clock sampler.Clock) []*device {
	odd := h200(2)
	odd.Model, odd.Driver, odd.PowerLimitWatts = "H\\200\xff \"x\"\n", "", sampler.Value{}
	return []*device{
		{info: h200(0), read: func() (sampler.Reading, error) { return full(clock), nil }},
		{info: h200(1), read: func() (sampler.Reading, error) { return sampler.Reading{}, errors.New("lost") }},
		{info: odd, read: func() (sampler.Reading, error) { return onlyPower(clock, 0), nil }},
	}
}

func amds(clock sampler.Clock) []*device {
	info := sampler.Info{
		Host: "node-7", BusID: "0000:0c:00.0", Vendor: "amd", Model: "AMD Instinct MI300X", Driver: "6.16.6",
		PowerLimitWatts: sampler.Some(750), HasCounter: true,
	}
	unnamed := info // has neither a unique id nor a serial number
	unnamed.BusID, unnamed.Index = "0000:22:00.0", 1
	info.UUID = "GPU-ffff4e4f5a5b5c5d"
	read := func() (sampler.Reading, error) {
		r := full(clock)
		r.InstantWatts = sampler.Value{}
		return r, nil
	}
	return []*device{{info: info, read: read}, {info: unnamed, read: read}}
}

func TestExposition(t *testing.T) {
	for name, gpus := range map[string]func(sampler.Clock) []*device{
		"legacy": mixed, "current": mixed, "both": mixed, "legacy-amd": amds,
	} {
		t.Run(name, func(t *testing.T) {
			names, _, _ := strings.Cut(name, "-")
			inBubble(t, dcgm.Names(names), gpus, func(t *testing.T, b *bench, _ []*device) {
				got := b.scrape(t)
				file := "testdata/" + name + ".txt"
				if flag.Lookup("update").Value.String() == "true" {
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if got != string(want) {
					t.Errorf("exposition differs from %s (go test -update writes it anew):\n%s", file, got)
				}
				checkLint(t, got, names)
			})
		})
	}
}

// checkLint allows what DCGM's names are by nature.
func checkLint(t *testing.T, text, names string) {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	if _, err := parser.TextToMetricFamilies(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{"label names should be written in 'snake_case' not 'camelCase'", "metric names should be written in 'snake_case' not 'camelCase'"}
	for _, problem := range problems {
		energy := strings.Contains(problem.Metric, "_ENERGY_") && problem.Text == `counter metrics should have "_total" suffix`
		if !slices.Contains(allowed, problem.Text) && !energy { // _TOTAL is not _total to it
			t.Errorf("%s: %s", problem.Metric, problem.Text)
		}
	}
	if (names == "current") == strings.Contains(text, "DCGM_FI_DEV_POWER_USAGE") {
		t.Errorf("names are not %s", names)
	}
}

// The two generations show the same quantities, each in its unit.
func TestUnits(t *testing.T) {
	gpus := func(clock sampler.Clock) []*device { return mixed(clock)[:1] }
	inBubble(t, dcgm.Both, gpus, func(t *testing.T, b *bench, _ []*device) {
		text := b.scrape(t)
		for name, want := range map[string]string{ // ids and units: facts/ecosystem.md, section 3.2
			"DCGM_FI_DEV_POWER_USAGE": "412.300000", "DCGM_FI_DEV_BOARD_POWER_WATTS": "412.300000",
			"DCGM_FI_DEV_POWER_USAGE_INSTANT": "0.000000", "DCGM_FI_DEV_BOARD_POWER_RAW_WATTS": "0.000000",
			"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": "1234567012", "DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL": "1234567",
			"DCGM_FI_DEV_ENFORCED_POWER_LIMIT": "700.000000", "DCGM_FI_DEV_BOARD_POWER_LIMIT_ENFORCED_WATTS": "700.000000",
			"DCGM_FI_DEV_GPU_TEMP": "61", "DCGM_FI_DEV_GPU_TEMP_CELSIUS": "61",
			"DCGM_FI_DEV_GPU_UTIL": "97", "DCGM_FI_DEV_GPU_UTIL_RATIO": "0.9700",
			"DCGM_FI_DEV_MEM_COPY_UTIL": "7", "DCGM_FI_DEV_MEMORY_UTIL_RATIO": "0.0700",
			"DCGM_FI_DEV_SM_CLOCK": "1980", "DCGM_FI_DEV_SM_CLOCK_HERTZ": "1980000000",
			"DCGM_FI_DEV_MEM_CLOCK": "3201", "DCGM_FI_DEV_MEMORY_CLOCK_HERTZ": "3201000000",
		} {
			found := regexp.MustCompile(`(?m)^` + name + `\{.*\} (\S+)$`).FindStringSubmatch(text)
			if found == nil || found[1] != want {
				t.Errorf("%s = %v, want %s", name, found, want)
			}
		}
		if lines := strings.Count(text, "\nDCGM_FI_"); lines != 18 {
			t.Errorf("%d lines, want 18", lines)
		}
	})
}

// names are the metrics of an answer, by their TYPE lines.
func names(text string) []string {
	var all []string
	for _, found := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(text, -1) {
		all = append(all, found[1])
	}
	return all
}

// AIPerf 0.8 fails on a metric that appears after its first scrape; one that is missing for a while it bears.
func TestSetIsConstant(t *testing.T) {
	type sensor func(sampler.Clock) sampler.Reading
	var reading atomic.Pointer[sensor]
	says := func(f sensor) { reading.Store(&f) }
	gpus := func(clock sampler.Clock) []*device {
		return []*device{{info: h200(0), read: func() (sampler.Reading, error) { return (*reading.Load())(clock), nil }}}
	}
	without := func(change func(*sampler.Reading)) sensor {
		return func(clock sampler.Clock) sampler.Reading {
			r := full(clock)
			change(&r)
			return r
		}
	}
	says(without(func(r *sampler.Reading) { r.TemperatureC = sampler.Gauge{} }))
	inBubble(t, dcgm.Legacy, gpus, func(t *testing.T, b *bench, _ []*device) {
		first := names(b.scrape(t))
		if slices.Contains(first, "DCGM_FI_DEV_GPU_TEMP") || len(first) != 8 {
			t.Errorf("metrics %v", first)
		}
		for what, change := range map[string]sensor{
			"one more":  full,
			"one fewer": without(func(r *sampler.Reading) { r.TemperatureC, r.ClockMHz = sampler.Gauge{}, sampler.Gauge{} }),
		} {
			says(change)
			time.Sleep(time.Second)
			text := b.scrape(t)
			if got := names(text); !slices.Equal(got, first) {
				t.Errorf("%s: metrics %v, want those of the first scrape, %v", what, got, first)
			}
			if strings.Contains(text, "\nDCGM_FI_DEV_GPU_TEMP{") || strings.Contains(text, "\nDCGM_FI_DEV_SM_CLOCK{") != (what == "one more") {
				t.Errorf("%s: lines\n%s", what, text)
			}
		}
	})
}

// The counter of a GPU that restarts, as after a reload of the driver, goes on from where it was.
func TestEnergyOnlyGrows(t *testing.T) {
	var joules atomic.Value
	joules.Store(5e6)
	gpus := func(clock sampler.Clock) []*device {
		return []*device{{info: h200(0), read: func() (sampler.Reading, error) {
			r := full(clock)
			r.EnergyJoules = sampler.Some(joules.Load().(float64))
			return r, nil
		}}}
	}
	inBubble(t, dcgm.Legacy, gpus, func(t *testing.T, b *bench, _ []*device) {
		for i, step := range []struct {
			counter float64
			want    string
		}{{5e6, "5000000000"}, {5.001e6, "5001000000"}, {12.5, "5001000000"}, {13.5, "5001001000"}, {13.5, "5001001000"}} {
			joules.Store(step.counter)
			time.Sleep(time.Second)
			if text := b.scrape(t); !regexp.MustCompile(`(?m)^DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION\{.*\} ` + step.want + "$").MatchString(text) {
				t.Errorf("step %d: want %s in\n%s", i, step.want, text)
			}
		}
	})
}
