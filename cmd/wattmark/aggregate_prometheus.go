package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/config"

	"wattmark/agg"
	"wattmark/promsource"
	"wattmark/sampler"
	"wattmark/window"
)

// prometheusFlags say where in a Prometheus the readings are.
type prometheusFlags struct {
	Prometheus string        `required:"" xor:"source" placeholder:"URL" help:"A Prometheus, or Thanos, Mimir, VictoriaMetrics, that scraped wattmark or DCGM's exporter: measures all GPUs that --selector matches."`
	Selector   string        `sep:"none" placeholder:"MATCHERS" help:"With --prometheus: label matchers, as in 'job=\"wattmark\",cluster=\"a\"'. Default: all."`
	StartUnix  string        `placeholder:"SECONDS" help:"With --prometheus: start of the window. Default: the benchmark result's."`
	EndUnix    string        `placeholder:"SECONDS" help:"With --prometheus: end of the window. Default: the benchmark result's."`
	Metrics    string        `default:"wattmark" enum:"wattmark,dcgm" help:"With --prometheus: whose metrics, wattmark or dcgm."`
	ReadingAge time.Duration `default:"1s" help:"With --metrics dcgm: the exporter's collection interval; it stamps no readings."`
	HostLabel  string        `placeholder:"LABEL" help:"With --prometheus: the label that names the host. Default: node, else instance; of DCGM's Hostname."`
	HTTPConfig string        `name:"prometheus-http-config" type:"path" placeholder:"FILE" help:"Authorization, TLS and proxy for --prometheus, as promtool's --http.config.file."`
}

// checkPrometheus checks what goes with --prometheus and only with it.
func (c aggregateCmd) checkPrometheus() error {
	if c.Prometheus == "" {
		return nil
	}
	start, end := c.StartUnix != "", c.EndUnix != ""
	switch {
	case start != end:
		return errors.New("--start-unix and --end-unix go together")
	case !start && c.BenchResult == "":
		return errors.New("--prometheus needs --bench-result, or --start-unix and --end-unix")
	case c.AggResult != "" && c.BenchResult == "":
		return errors.New("--agg-result needs --bench-result")
	case c.ReadingAge < 0:
		return errors.New("--reading-age must not be negative")
	}
	_, err := c.marks()
	return err
}

// marks is the window that the flags name; zero if they name none.
func (c aggregateCmd) marks() (window.Window, error) {
	var w window.Window
	if c.StartUnix == "" {
		return w, nil
	}
	for _, edge := range []struct {
		text string
		to   *sampler.Moment
	}{{c.StartUnix, &w.Start}, {c.EndUnix, &w.End}} {
		seconds, err := strconv.ParseFloat(edge.text, 64)
		if err != nil || !(seconds > 0 && seconds < 9e9) {
			return w, fmt.Errorf("%q is not a time in Unix seconds", edge.text)
		}
		*edge.to = sampler.UnixMoment(seconds)
	}
	if w.End.Sub(w.Start) <= 0 {
		return w, errors.New("--end-unix is not after --start-unix")
	}
	return w, nil
}

// fromPrometheus measures a window of every GPU that the selector matches, from the samples as they were scraped.
func (c aggregateCmd) fromPrometheus(ctx context.Context, std streams) error {
	w, err := c.marks()
	if err != nil {
		return err
	}
	var benchmark agg.Benchmark
	if c.BenchResult != "" {
		if benchmark = readBenchmark(c.BenchResult); c.StartUnix == "" {
			benchmark = benchmark.RequireWindow()
		}
	}
	w.Run = strings.TrimSuffix(filepath.Base(c.BenchResult), ".json")
	if c.BenchResult == "" {
		w.Run = "prometheus"
	}
	var result window.Result
	if benchmark.HasWindow || c.StartUnix != "" {
		if result, err = c.measurePrometheus(ctx, std, w, &benchmark); err != nil {
			return err
		}
	} else { // InferenceX's reason for it
		work := benchmark.Work
		result = window.Result{Run: w.Run, Reasons: benchmark.Reasons, Work: &work}
	}
	result.Backend, result.Versions.Wattmark = "prometheus", version()
	if c.given() {
		all := []window.Result{result}
		window.AssignRoles(all, c.Prefill.n, c.Decode.n) // in the order of the label instance
		result = all[0]
	}
	result = c.hold(result, c.ExpectedNumGPUs)
	telemetry := strings.TrimSpace(redacted(c.Prometheus) + " " + c.Selector)
	return c.finish(std, result, agg.Sources{Telemetry: telemetry, Benchmark: c.BenchResult, ReportedDuration: benchmark.Duration})
}

func (c aggregateCmd) measurePrometheus(ctx context.Context, std streams, w window.Window, benchmark *agg.Benchmark) (window.Result, error) {
	client, err := prometheusClient(c.HTTPConfig)
	if err != nil {
		return window.Result{}, err
	}
	exporter := promsource.Wattmark()
	if c.Metrics == "dcgm" {
		exporter = promsource.DCGM(c.ReadingAge)
	}
	from, to := w.Start, w.End
	if benchmark.HasWindow {
		from, to = benchmark.Window()
	}
	began := time.Now()
	src, err := promsource.Open(ctx, promsource.Config{
		URL: c.Prometheus, Client: client, Selector: c.Selector, Exporter: exporter, HostLabel: c.HostLabel,
		Warn: func(text string) { fmt.Fprintln(std.err, "wattmark: warning: the server says:", text) },
	}, from.Wall(), to.Wall())
	if err != nil {
		return window.Result{}, err
	}
	if c.BenchResult == "" {
		benchmark = nil
	}
	if err := awaitScrape(ctx, std, to.Wall(), src.Interval()); err != nil {
		return window.Result{}, err
	}
	result := agg.Conclude(src, w, window.Limits{MaxGap: c.MaxGap, AllowSimulated: c.AllowSimulated}, benchmark)
	if err := src.Err(); err != nil { // some readings are missing: a smaller energy must not pass for a result
		return window.Result{}, err
	}
	for i := range result.GPUs {
		result.GPUs[i].DriverCallMax = sampler.Value{} // nobody exports that of each reading
	}
	result.Cost = window.Cost{}
	if !c.JSON {
		fmt.Fprintf(std.err, "%d GPUs, scraped every %v; read in %v\n", src.GPUs(), src.Interval().Round(100*time.Millisecond), time.Since(began).Round(10*time.Millisecond))
	}
	if src.Interval() > c.MaxGap {
		fmt.Fprintf(std.err, "wattmark: warning: scrapes are %v apart, more than --max-gap %v: a longer --max-gap bears it, and the bound says what it costs\n",
			src.Interval().Round(100*time.Millisecond), c.MaxGap)
	}
	return result, nil
}

// awaitScrape waits for the scrape that shows the reading after the window's end, where the window has only just ended.
func awaitScrape(ctx context.Context, std streams, end time.Time, interval time.Duration) error {
	const longest, reading = time.Minute, 2 * time.Second // between two readings of a GPU, and for the scrape to be stored
	wait := time.Until(end.Add(interval + reading))
	if wait <= 0 || wait > longest {
		return nil
	}
	fmt.Fprintf(std.err, "wattmark: waiting %v for the scrape after the window's end\n", wait.Round(100*time.Millisecond))
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}

// prometheusClient is a client as the file configures it; the usual one without a file.
func prometheusClient(file string) (*http.Client, error) {
	if file == "" {
		return http.DefaultClient, nil
	}
	found, _, err := config.LoadHTTPConfigFile(file)
	if err != nil {
		return nil, fmt.Errorf("--prometheus-http-config %s: %w", file, err)
	}
	client, err := config.NewClientFromConfig(*found, "wattmark")
	if err != nil {
		return nil, fmt.Errorf("--prometheus-http-config %s: %w", file, err)
	}
	return client, nil
}
