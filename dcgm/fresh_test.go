package dcgm_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wattmark/dcgm"
	"wattmark/sampler"
)

// clocks are GPUs whose power says when it was read: in ms since the beginning of the bubble, plus 1.
func clocks(n int, call time.Duration) func(sampler.Clock) []*device {
	return func(clock sampler.Clock) []*device {
		begin := time.Now()
		var all []*device
		for i := range n {
			d := &device{info: h200(i)}
			d.read = func() (sampler.Reading, error) {
				time.Sleep(call / 2)
				r := onlyPower(clock, 1+float64(time.Since(begin))/1e6)
				time.Sleep(call - call/2)
				return r, nil
			}
			all = append(all, d)
		}
		return all
	}
}

// power is what an answer shows for a GPU.
func power(t *testing.T, text string, gpu int) (watts float64, ok bool) {
	t.Helper()
	found := regexp.MustCompile(fmt.Sprintf(`(?m)^DCGM_FI_DEV_POWER_USAGE\{gpu="%d",.*\} (\S+)$`, gpu)).FindStringSubmatch(text)
	if found == nil {
		return 0, false
	}
	watts, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return watts, true
}

// However often somebody scrapes, what is shown is at most 100 ms old and the driver is asked at most 10 times a second
// more than the schedule does.
func TestReadingsAreFresh(t *testing.T) {
	for _, every := range []time.Duration{time.Millisecond, 33 * time.Millisecond, 99 * time.Millisecond, 333 * time.Millisecond, time.Second} {
		t.Run(every.String(), func(t *testing.T) {
			const call, lasting = 4 * time.Millisecond, 10 * time.Second
			inBubble(t, dcgm.Legacy, clocks(2, call), func(t *testing.T, b *bench, gpus []*device) {
				begin := time.Now()
				for next := begin; next.Sub(begin) < lasting; next = next.Add(every) {
					time.Sleep(time.Until(next))
					text := b.scrape(t)
					for i := range gpus {
						watts, ok := power(t, text, i)
						age := time.Since(begin) - time.Duration((watts-1)*1e6)
						if !ok || age > 100*time.Millisecond {
							t.Fatalf("%v: GPU %d is %v old, shown %v", time.Since(begin), i, age, ok)
						}
					}
				}
				for i, gpu := range gpus {
					if n := gpu.reads.Load(); n > 11+101 {
						t.Errorf("GPU %d: %d reads in 10 s, want at most 10 a second and the schedule's 11", i, n)
					}
				}
				for series := range b.sampler.Since(func(string) sampler.Moment { return sampler.Moment{} }, time.Hour) {
					if n := len(series.Readings); n > 11 {
						t.Errorf("%d readings kept, want those of the schedule only: marks' readings must not be pushed out", n)
					}
				}
			})
		})
	}
}

// Those who ask at once share one read.
func TestReadsAreShared(t *testing.T) {
	inBubble(t, dcgm.Legacy, clocks(2, 50*time.Millisecond), func(t *testing.T, b *bench, gpus []*device) {
		time.Sleep(1080 * time.Millisecond) // 30 ms after a tick was read
		before := gpus[0].reads.Load()
		b.scrape(t)
		if n := gpus[0].reads.Load() - before; n != 0 {
			t.Errorf("right after a tick: %d reads, want none", n)
		}
		time.Sleep(500 * time.Millisecond) // between two ticks
		var group sync.WaitGroup
		var busy atomic.Int64
		for range 100 {
			group.Go(func() {
				answer := httptest.NewRecorder()
				b.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
				if answer.Code == http.StatusServiceUnavailable {
					busy.Add(1)
				}
			})
		}
		group.Wait()
		if n := gpus[0].reads.Load() - before; n != 1 {
			t.Errorf("100 scrapes at once: %d reads, want 1", n)
		}
		if n := busy.Load(); n != 84 {
			t.Errorf("%d of 100 scrapes were turned away, want 84", n)
		}
	})
}

// A GPU that hangs costs a scrape 250 ms, once, and is not shown as it was; the others are as fresh as ever.
func TestHungGPU(t *testing.T) {
	var hangs atomic.Bool
	released := make(chan struct{})
	gpus := func(clock sampler.Clock) []*device {
		all := clocks(3, time.Millisecond)(clock)
		read := all[1].read
		released = make(chan struct{})
		all[1].read = func() (sampler.Reading, error) {
			if hangs.Load() {
				<-released
			}
			return read()
		}
		return all
	}
	inBubble(t, dcgm.Legacy, gpus, func(t *testing.T, b *bench, gpus []*device) {
		begin := time.Now()
		b.scrape(t)
		time.Sleep(1500 * time.Millisecond)
		hangs.Store(true)
		for i := range 100 {
			before := time.Now()
			text := b.scrape(t)
			most := time.Duration(0)
			if i == 0 {
				most = 250 * time.Millisecond
			}
			if took := time.Since(before); took > most+3*time.Millisecond {
				t.Errorf("scrape %d took %v", i, took)
			}
			for _, gpu := range []int{0, 2} {
				watts, ok := power(t, text, gpu)
				if age := time.Since(begin) - time.Duration((watts-1)*1e6); !ok || i > 0 && age > 100*time.Millisecond {
					t.Errorf("scrape %d: GPU %d is %v old, shown %v", i, gpu, age, ok)
				}
			}
			if watts, ok := power(t, text, 1); ok && time.Since(begin)-time.Duration((watts-1)*1e6) > 1001*time.Millisecond {
				t.Errorf("scrape %d: the GPU that hangs is shown with %v W", i, watts)
			}
			time.Sleep(100*time.Millisecond - time.Since(before))
		}
		if n := gpus[0].reads.Load(); n < 100 {
			t.Errorf("%d reads of a GPU that is well, want one per scrape", n)
		}
		hangs.Store(false)
		close(released)
		time.Sleep(150 * time.Millisecond)
		if _, ok := power(t, b.scrape(t), 1); !ok {
			t.Error("the GPU came back and is not shown")
		}
	})
}

func TestAnswers(t *testing.T) {
	inBubble(t, dcgm.Legacy, clocks(1, 0), func(t *testing.T, b *bench, _ []*device) {
		for _, tt := range []struct {
			method, path, accept string
			status               int
			body                 string
		}{
			{"GET", "/metrics", "", 200, "\nDCGM_FI_DEV_POWER_USAGE{"},
			{"GET", "/metrics", "application/openmetrics-text; version=1.0.0", 200, "\nDCGM_FI_DEV_POWER_USAGE{"},
			{"GET", "/metrics", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", 200, "\nDCGM_FI_DEV_POWER_USAGE{"},
			{"GET", "/metrics", "application/json", 200, "\nDCGM_FI_DEV_POWER_USAGE{"},
			{"GET", "/metrics?format=json", "", 200, "\nDCGM_FI_DEV_POWER_USAGE{"},
			{"HEAD", "/metrics", "", 200, ""},
			{"GET", "/", "", 200, "/metrics"},
			{"GET", "/v1/gpus", "application/json", 404, "/metrics"},
			{"POST", "/metrics", "", 405, "GET"},
		} {
			request := httptest.NewRequest(tt.method, tt.path, nil)
			request.Header.Set("Accept", tt.accept)
			answer := httptest.NewRecorder()
			b.ServeHTTP(answer, request)
			if answer.Code != tt.status || !strings.Contains(answer.Body.String(), tt.body) {
				t.Errorf("%s %s %s: %d, %s; want %d, %q", tt.method, tt.path, tt.accept, answer.Code, answer.Body, tt.status, tt.body)
			}
			if kind := answer.Header().Get("Content-Type"); kind != "text/plain; version=0.0.4; charset=utf-8" {
				t.Errorf("%s %s %s: Content-Type %q", tt.method, tt.path, tt.accept, kind)
			}
			if text := answer.Body.String(); strings.Contains(text, "wattmark_") || strings.HasPrefix(text, "{") {
				t.Errorf("%s %s %s: %s", tt.method, tt.path, tt.accept, text)
			}
		}
	})
}

// Before there is a reading there is no set of metrics to settle.
func TestNothingRead(t *testing.T) {
	var fails atomic.Bool
	fails.Store(true)
	gpus := func(clock sampler.Clock) []*device {
		return []*device{{info: h200(0), read: func() (sampler.Reading, error) {
			if fails.Load() {
				return sampler.Reading{}, fmt.Errorf("not yet")
			}
			return full(clock), nil
		}}}
	}
	inBubble(t, dcgm.Legacy, gpus, func(t *testing.T, b *bench, _ []*device) {
		answer := httptest.NewRecorder()
		b.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if answer.Code != http.StatusServiceUnavailable {
			t.Errorf("status %d, want 503", answer.Code)
		}
		fails.Store(false)
		time.Sleep(100 * time.Millisecond)
		if n := len(names(b.scrape(t))); n != 9 {
			t.Errorf("%d metrics, want 9", n)
		}
	})
}
