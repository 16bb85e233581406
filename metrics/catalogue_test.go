package metrics

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"wattmark/sampler"
)

// Scrapes at the same time share the series, and none sees those of another one, however many GPUs come and go.
func TestScrapesAtOnce(t *testing.T) {
	var scrapes atomic.Int64
	o := options()
	o.Latest = func(statuses []sampler.Status) []sampler.Status {
		n := int(scrapes.Add(1))
		for i := range 1 + n%8 {
			status := h200(i)
			status.Latest.PowerWatts = sampler.Some(float64(n))
			if n%3 == 0 {
				status.Info.UUID = "GPU-other-" + strconv.Itoa(n)
			}
			if n%5 == i {
				status.Latest.InstantWatts = sampler.Value{}
			}
			statuses = append(statuses, status)
		}
		return statuses
	}
	m := New(o)
	power := regexp.MustCompile(`(?m)^wattmark_gpu_power_watts{gpu="(\d)",uuid="([^"]+)"} (\d+)$`)
	var scrapers sync.WaitGroup
	for range 4 {
		scrapers.Go(func() {
			for range 100 {
				recorder := httptest.NewRecorder()
				m.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
				series := power.FindAllStringSubmatch(recorder.Body.String(), -1)
				if len(series) == 0 {
					t.Errorf("no power in\n%s", recorder.Body)
					return
				}
				n, _ := strconv.Atoi(series[0][3])
				for i, s := range series {
					want := "GPU-0" + strconv.Itoa(i)
					if n%3 == 0 {
						want = "GPU-other-" + strconv.Itoa(n)
					}
					if len(series) != 1+n%8 || s[1] != strconv.Itoa(i) || s[2] != want || s[3] != series[0][3] {
						t.Errorf("scrape %d has %v", n, series)
						return
					}
				}
			}
		})
	}
	scrapers.Wait()
	if _, err := checked(&m.catalogue).Gather(); err != nil {
		t.Error(err)
	}
}

// A scrape that panics harms itself alone.
func TestAScrapeThatPanics(t *testing.T) {
	o, broken := options(fixed()...), true
	latest := o.Latest
	o.Latest = func(to []sampler.Status) []sampler.Status {
		if broken {
			panic("a bug")
		}
		return latest(to)
	}
	m := New(o)
	func() {
		defer func() { _ = recover() }() // as net/http does
		m.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil))
		t.Error("no panic")
	}()
	broken = false
	if got, want := m.text(t), New(options(fixed()...)).text(t); got != want {
		t.Errorf("afterwards the scrape has\n%s\nwant\n%s", got, want)
	}
}

// text is what wattmark's own metrics look like.
func (m *Metrics) text(t *testing.T) string {
	t.Helper()
	_, body := scrape(t, m, "")
	return regexp.MustCompile(`(?m)^(#.*|(go|process|promhttp)_.*)\n`).ReplaceAllString(body, "")
}
