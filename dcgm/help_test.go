package dcgm_test

import (
	"context"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/dcgm"
	"wattmark/sampler"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the golden files anew")
	flag.Parse()
	os.Exit(m.Run())
}

// device is a GPU that says what read returns.
type device struct {
	info  sampler.Info
	read  func() (sampler.Reading, error)
	reads atomic.Int64
}

func (d *device) Info() sampler.Info { return d.info }

func (d *device) Read() (sampler.Reading, error) {
	d.reads.Add(1)
	return d.read()
}

// bench is a handler in a synctest bubble, on GPUs that are sampled once a second.
type bench struct {
	*dcgm.Handler
	sampler *sampler.Sampler
	clock   sampler.Clock
	stop    func()
}

// inBubble runs test with a handler on these GPUs.
func inBubble(t *testing.T, names dcgm.Names, gpus func(sampler.Clock) []*device, test func(*testing.T, *bench, []*device)) {
	synctest.Test(t, func(t *testing.T) {
		clock := sampler.NewClock()
		made := gpus(clock)
		var devices []sampler.Device
		for _, d := range made {
			devices = append(devices, d)
		}
		s, err := sampler.New(devices, sampler.Config{
			Interval: time.Second, Retention: time.Hour, Clock: clock, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = s.Run(ctx) }()
		test(t, &bench{dcgm.New(s, names), s, clock, cancel}, made)
		cancel()
		time.Sleep(48 * time.Hour) // a bubble ends when its goroutines have
	})
}

func (b *bench) scrape(t *testing.T) string {
	t.Helper()
	answer := httptest.NewRecorder()
	b.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("status %d: %s", answer.Code, answer.Body)
	}
	return answer.Body.String()
}

func h200(index int) sampler.Info {
	return sampler.Info{
		Host: "node-7", UUID: "GPU-5156d3a7-0000-0000-0000-00000000000" + string(rune('0'+index)), Index: index, Vendor: "nvidia",
		BusID: "0000:1" + string(rune('b'+index)) + ":00.0", Model: "NVIDIA H200", Driver: "580.95.05", HasCounter: true,
		PowerLimitWatts: sampler.Some(700),
	}
}

// full is a reading that has everything.
func full(clock sampler.Clock) sampler.Reading {
	return sampler.Reading{
		At: clock.Now(), PowerWatts: sampler.Some(412.3), InstantWatts: sampler.Some(0), EnergyJoules: sampler.Some(1234567.0129),
		TemperatureC: sampler.SomeGauge(61), ClockMHz: sampler.SomeGauge(1980), MemoryClockMHz: sampler.SomeGauge(3201),
		Utilization: sampler.SomeGauge(0.97), MemoryUtilization: sampler.SomeGauge(0.07),
	}
}

// onlyPower leaves out all else.
func onlyPower(clock sampler.Clock, watts float64) sampler.Reading {
	return sampler.Reading{At: clock.Now(), PowerWatts: sampler.Some(watts)}
}
