package promsource_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"wattmark/internal/promdouble"
	"wattmark/promsource"
	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// The window that these tests measure, in seconds since the GPUs' origin.
const begins, ends = 100.25, 160.5

// fleet is so many nodes of one GPU each, scraped once a second.
func fleet(nodes int) (*promdouble.Server, []*sim.GPU) {
	server, gpus := &promdouble.Server{}, make([]*sim.GPU, nodes)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range gpus {
		gpus[i] = sim.New(sim.Config{
			Host: fmt.Sprintf("n%d", i), Load: sim.Constant(300 + 10*float64(i)), Origin: time.Unix(1_790_000_000, 0),
		})
		target := map[string]string{"instance": fmt.Sprintf("n%d.x:9844", i), "job": "wattmark"}
		server.Add(node{gpus[i], target}.stored(random, 70, 190, time.Second)...)
	}
	return server, gpus
}

func at(gpu *sim.GPU, seconds float64) sampler.Moment {
	return sampler.WallMoment(gpu.Moment(seconds).Wall())
}

// open opens a source of the window and says what it was warned of.
func open(t *testing.T, server http.Handler, gpu *sim.GPU, change func(*promsource.Config)) (*promsource.Source, *[]string, error) {
	t.Helper()
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	var warnings []string
	config := promsource.Config{URL: web.URL, Exporter: promsource.Wattmark(), Warn: func(text string) { warnings = append(warnings, text) }}
	if change != nil {
		change(&config)
	}
	src, err := promsource.Open(t.Context(), config, at(gpu, begins).Wall(), at(gpu, ends).Wall())
	return src, &warnings, err
}

func measured(t *testing.T, src *promsource.Source, gpu *sim.GPU) window.Result {
	t.Helper()
	r := window.Measure(src, window.Window{Start: at(gpu, begins), End: at(gpu, ends)}, window.Limits{AllowSimulated: true})
	if err := src.Err(); err != nil {
		t.Fatal(err)
	}
	return r
}

func checkFleet(t *testing.T, r window.Result, gpus []*sim.GPU) {
	t.Helper()
	if len(r.GPUs) != len(gpus) || !r.Valid() {
		t.Fatalf("%d GPUs, reasons %v; want %d, none", len(r.GPUs), r.AllReasons(), len(gpus))
	}
	for _, gpu := range r.GPUs {
		var i int
		if _, err := fmt.Sscanf(gpu.Host, "n%d.x", &i); err != nil || gpu.UUID != gpus[i].Info().UUID || gpu.Method != window.Counter || gpu.Model != "NVIDIA H200" {
			t.Errorf("got %s %s %s by %s", gpu.Host, gpu.UUID, gpu.Model, gpu.Method)
		}
		truth := gpus[i].TrueJoules(at(gpus[i], begins).Wall(), at(gpus[i], ends).Wall())
		if off := gpu.Energy.Or(0) - truth; off > gpu.Bound.Or(0)+0.1 || -off > gpu.Bound.Or(0)+0.1 {
			t.Errorf("%s: off by %.2f J, bound %.2f J", gpu.Host, off, gpu.Bound.Or(0))
		}
	}
}

func TestFleet(t *testing.T) {
	server, gpus := fleet(12)
	server.Warnings = []string{"a store did not answer"}
	src, warnings, err := open(t, server, gpus[0], func(c *promsource.Config) { c.Selector = `{job=~"watt.*"}` })
	if err != nil {
		t.Fatal(err)
	}
	checkFleet(t, measured(t, src, gpus[0]), gpus)
	if src.GPUs() != 12 || src.Interval() < 900*time.Millisecond || src.Interval() > 1100*time.Millisecond {
		t.Errorf("%d GPUs, scraped every %v; want 12, every second", src.GPUs(), src.Interval())
	}
	if fmt.Sprint(*warnings) != "[a store did not answer]" {
		t.Errorf("warnings %v, want the server's, once", *warnings)
	}
	for _, query := range server.Queries() {
		if !strings.Contains(query, `job=~"watt.*"`) {
			t.Errorf("query without the selector: %s", query)
		}
	}
}

// A server that loads few samples at once is asked for fewer nodes, and then for less time, at once.
func TestWhatIsTooMuchIsSplit(t *testing.T) {
	for _, most := range []int{1200, 400, 100} { // a node has 4 series of some 90 samples
		server, gpus := fleet(5)
		server.Most = most
		src, _, err := open(t, server, gpus[0], nil)
		if err != nil {
			t.Fatal(err)
		}
		checkFleet(t, measured(t, src, gpus[0]), gpus)
	}
	server, gpus := fleet(2)
	src, _, err := open(t, server, gpus[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	server.Most = 10 // less than any question needs
	window.Measure(src, window.Window{Start: at(gpus[0], begins), End: at(gpus[0], ends)}, window.Limits{})
	if err := src.Err(); err == nil || !strings.Contains(err.Error(), "too many samples") {
		t.Errorf("got %v, want the server's words", err)
	}
}

func TestServerFaults(t *testing.T) {
	answer := func(status int, text string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(text))
			return true
		}
	}
	for _, test := range []struct {
		name   string
		fail   func(http.ResponseWriter, *http.Request) bool
		change func(*promsource.Config)
		want   string
	}{
		{"not a Prometheus", answer(200, "<html>"), nil, "not an answer of Prometheus' API"},
		{"no status", answer(200, "{}"), nil, "no status"},
		{"empty", answer(200, ""), nil, "it ends"},
		{"refused", answer(401, "no"), nil, "status 401: no"},
		{"refused with words", answer(400, `{"status":"error","errorType":"bad_data","error":"parse error"}`), nil, "status 400: bad_data: parse error"},
		{"error in a 200", answer(200, `{"status":"error","errorType":"internal","error":"lost"}`), nil, "internal: lost"},
		{"cut off", answer(200, `{"status":"success","data":[{"__name__":"wattmark_gpu_info","gp`), nil, "it ends"},
		{"nothing matches", answer(200, `{"status":"success","data":[]}`), nil, "no GPU"},
		{"no data", answer(200, `{"status":"success","data":null}`), nil, "no GPU"},
		{"no URL", nil, func(c *promsource.Config) { c.URL = "prom:9090" }, "not the URL"},
		{"password", answer(403, "no"), func(c *promsource.Config) { c.URL = strings.Replace(c.URL, "http://", "http://u:secret@", 1) }, "u:xxxxx@"},
	} {
		server, gpus := fleet(1)
		server.Fail = test.fail
		_, _, err := open(t, server, gpus[0], test.change)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want %q in it", test.name, err, test.want)
		}
		if test.want == "no GPU" && !errors.Is(err, promsource.ErrNoGPU) {
			t.Errorf("%s: got %v, want %v", test.name, err, promsource.ErrNoGPU)
		}
	}
}

// A server that is busy for a moment is asked again; an answer that breaks off is an error, never less energy.
func TestFaultsWhileReading(t *testing.T) {
	server, gpus := fleet(3)
	src, _, err := open(t, server, gpus[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	busy := 2
	server.Fail = func(w http.ResponseWriter, _ *http.Request) bool {
		if busy--; busy >= 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	}
	checkFleet(t, measured(t, src, gpus[0]), gpus)

	server.Fail = func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1.5,"2"],`))
		panic(http.ErrAbortHandler)
	}
	window.Measure(src, window.Window{Start: at(gpus[0], begins), End: at(gpus[0], ends)}, window.Limits{})
	if src.Err() == nil {
		t.Error("an answer that broke off passed for one")
	}
}

func TestReasons(t *testing.T) {
	for _, test := range []struct {
		name   string
		spoil  func(*promdouble.Series)
		reason window.Reason
		note   window.Note
	}{
		{"its target died", func(s *promdouble.Series) { s.Samples = s.Samples[:60] }, window.NotBracketed, ""},
		{"it was not scraped for 20 s, with an edge inside", func(s *promdouble.Series) { s.Samples = slices.Delete(s.Samples, 20, 40) }, window.GapExceeded, ""},
		{"it was not scraped for 20 s in between", func(s *promdouble.Series) { s.Samples = slices.Delete(s.Samples, 45, 65) }, "", window.GapBridged},
		{"its daemon was started anew", func(s *promdouble.Series) {
			if s.Labels["__name__"] == "wattmark_gpu_energy_joules_total" {
				for i := 60; i < len(s.Samples); i++ {
					s.Samples[i].Value -= s.Samples[60].Value
				}
				for i := len(s.Samples) - 1; i > 60; i-- {
					s.Samples[i].Value += 0
				}
			}
		}, "", window.CounterFell},
	} {
		gpu := sim.New(sim.Config{Load: sim.Constant(400), Origin: time.Unix(1_790_000_000, 0)})
		target := map[string]string{"instance": "n1", "job": "wattmark"}
		stored := node{gpu, target}.stored(rand.New(rand.NewPCG(1, 2)), 70, 190, time.Second)
		server := &promdouble.Server{}
		for _, series := range stored {
			test.spoil(&series)
			server.Add(series)
		}
		src, _, err := open(t, server, gpu, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := measured(t, src, gpu)
		if test.reason != "" && !slices.Contains(r.AllReasons(), test.reason) || test.reason == "" && !r.Valid() {
			t.Errorf("%s: reasons %v, want %v", test.name, r.AllReasons(), test.reason)
		}
		if test.note != "" && !slices.Contains(r.AllNotes(), test.note) {
			t.Errorf("%s: notes %v, want %v", test.name, r.AllNotes(), test.note)
		}
	}
}

// Two replicas of one Prometheus hold each GPU twice: that is refused, for its energy would be, too.
func TestTwiceTheSameGPU(t *testing.T) {
	server := &promdouble.Server{}
	gpu := sim.New(sim.Config{Origin: time.Unix(1_790_000_000, 0)})
	for _, replica := range []string{"a", "b"} {
		target := map[string]string{"instance": "n1:9844", "replica": replica}
		server.Add(node{gpu, target}.stored(rand.New(rand.NewPCG(1, 2)), 70, 190, time.Second)...)
	}
	if _, _, err := open(t, server, gpu, nil); err == nil || !strings.Contains(err.Error(), `replica="b"`) {
		t.Errorf("got %v, want what to narrow down", err)
	}
	src, _, err := open(t, server, gpu, func(c *promsource.Config) { c.Selector = `replica="a"` })
	if err != nil {
		t.Fatal(err)
	}
	if r := measured(t, src, gpu); len(r.GPUs) != 1 || !r.Valid() {
		t.Errorf("one replica: %d GPUs, reasons %v", len(r.GPUs), r.AllReasons())
	}
}
