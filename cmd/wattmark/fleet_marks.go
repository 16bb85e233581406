package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"wattmark/agg"
	"wattmark/sampler"
	"wattmark/window"
)

// fleetStart is what mark-start at several daemons prints.
type fleetStart struct {
	Run       string            `json:"run"`
	StartUnix float64           `json:"start_unix"` // of all nodes, by our clock
	GPUs      []json.RawMessage `json:"gpus"`
	Warnings  []string          `json:"warnings"`
	Nodes     []nodeStart       `json:"nodes"`
}

// nodeStart is one of them.
type nodeStart struct {
	Node   string        `json:"node"`
	ID     string        `json:"id"`
	Role   string        `json:"role"`
	GPUs   int           `json:"gpus"`
	Offset sampler.Value `json:"clock_offset_s"`
	Bound  sampler.Value `json:"clock_offset_bound_s"`
	Error  string        `json:"error"`
}

// startAll opens the window at all nodes: first connections and clocks, which takes its time; then one stamp for all.
func (c markStartCmd) startAll(ctx context.Context, std streams, nodes fleet) error {
	run := c.Name
	if run == "" {
		run = newRun()
	}
	nodes.compare(ctx, time.Time{})
	at := c.AtUnix
	if at == "" {
		at = unixText(time.Now())
	}
	fields := form("run", run, "at_unix", at, "gpus", strings.Join(c.GPUs, ","), "role", c.Role)
	nodes.post(ctx, "/v1/mark-start", fields, true)

	out := fleetStart{Run: run, GPUs: []json.RawMessage{}, Warnings: []string{}}
	for _, n := range nodes {
		var answer struct {
			ID        string            `json:"id"`
			StartUnix float64           `json:"start_unix"`
			GPUs      []json.RawMessage `json:"gpus"`
			Warnings  []string          `json:"warnings"`
		}
		if n.err == nil {
			n.err = json.Unmarshal(n.answer, &answer)
		}
		this := nodeStart{
			Node: n.addr, ID: answer.ID, Role: n.role, GPUs: len(answer.GPUs), Offset: n.skew.Offset, Bound: n.skew.Bound,
		}
		if this.Role == "" {
			this.Role = c.Role
		}
		if n.err != nil {
			this.Error = n.err.Error()
		} else {
			out.StartUnix = answer.StartUnix
		}
		out.GPUs = append(out.GPUs, answer.GPUs...)
		for _, warning := range answer.Warnings {
			out.Warnings = append(out.Warnings, n.addr+": "+warning)
		}
		out.Nodes = append(out.Nodes, this)
	}
	if c.Expected.given && c.Expected.n != len(out.GPUs) {
		out.Warnings = append(out.Warnings, fmt.Sprintf("%d GPUs, not the %d that should be there", len(out.GPUs), c.Expected.n))
	}
	for _, warning := range out.Warnings {
		_, _ = fmt.Fprintln(std.err, "wattmark: warning:", warning)
	}
	if err := json.NewEncoder(std.out).Encode(out); err != nil {
		return err
	}
	return c.soften(std, nodes.failed())
}

// conclusion is how several nodes' windows become one result, with files of ours.
type conclusion struct {
	addrFlags
	workFlags
	path   string   // of the route that measures
	fields []string // what all nodes are told
	roles  bool     // they are told their roles
	hurry  time.Time
}

// conclude measures at all nodes, merges, patches and prints.
func (c conclusion) conclude(ctx context.Context, std streams, nodes fleet) error {
	benchmark, err := c.benchmark()
	if err != nil {
		return err
	}
	if c.hurry.IsZero() || len(nodes) <= few {
		nodes.compare(ctx, c.hurry)
	}
	fields := form(c.fields...)
	if benchmark != nil && benchmark.Err == nil {
		fields.Set("benchmark", benchmarkText(*benchmark))
	}
	nodes.post(ctx, c.path, fields, c.roles)
	late := nodes.uncompared()
	late.compare(ctx, time.Time{})
	for _, n := range late {
		n.err = nil // it has measured; what it said of its clock at the start must do
	}

	var results []window.Result
	for _, n := range nodes {
		if n.err != nil {
			continue
		}
		var result window.Result
		if n.err = json.Unmarshal(n.answer, &result); n.err != nil {
			n.err = fmt.Errorf("%s: not a result: %w", n.addr, n.err)
			continue
		}
		for i := range result.GPUs {
			if n.role != "" && result.GPUs[i].Role == "" {
				result.GPUs[i].Role = n.role
			}
		}
		if slices.Contains(late, n) {
			result = result.Compared(n.skew)
		}
		results = append(results, result.As(n.addr))
	}
	if len(results) == 0 { // nothing was measured and nothing is written, as with one daemon
		return c.soften(std, nodes.failed())
	}
	result := c.merge(results, nodes.lost())
	sources := agg.Sources{Telemetry: strings.Join(c.Addr, " "), Benchmark: c.BenchmarkResult}
	if benchmark != nil {
		work := benchmark.Work
		result.Work, sources.ReportedDuration = &work, benchmark.Duration
		result.Reasons = unite(benchmark.Reasons, result.Reasons)
	}
	result.Aggregate, err = c.write(result, sources)
	if err != nil {
		_, _ = fmt.Fprintln(std.err, "wattmark: warning:", err)
	}
	if c.JSON || !onTerminal(std.out) {
		if err := json.NewEncoder(std.out).Encode(result); err != nil {
			return err
		}
	}
	if !c.JSON {
		printVerdict(std.err, result)
	}
	return c.soften(std, nodes.failed())
}

// merge makes one result of those of the nodes, and holds it to what should be there.
func (c conclusion) merge(results []window.Result, lost []window.Node) window.Result {
	if c.given() {
		window.AssignRoles(results, c.Prefill.n, c.Decode.n)
	}
	result := window.Merge(results...).Lacking(lost...)
	return c.hold(result, c.Expected)
}

// write patches the aggregate and writes the validation file, here.
func (c conclusion) write(result window.Result, sources agg.Sources) (window.Aggregate, error) {
	if c.AggResult == "" && c.ValidationResult == "" && c.BenchmarkResult == "" {
		return window.Aggregate{Status: agg.StatusNone}, nil
	}
	files := agg.Files{Aggregate: c.AggResult, Validation: c.ValidationResult, Sources: sources}
	if files.Validation == "" {
		files.Validation = agg.ValidationName(c.BenchmarkResult, result.Run, "")
	}
	return agg.WritePaths(result, files)
}

// benchmark reads what the benchmark did; nil if nothing is said about it.
func (w workFlags) benchmark() (*agg.Benchmark, error) {
	var b agg.Benchmark
	switch {
	case w.BenchmarkResult != "":
		b = readBenchmark(w.BenchmarkResult)
	case w.Completed != "" || w.TotalInputTokens != "" || w.TotalOutputTokens != "":
		b = agg.CountedBenchmark(w.Completed, w.TotalInputTokens, w.TotalOutputTokens)
	case w.AggResult != "":
		return nil, errors.New("--agg-result needs --benchmark-result or the counts")
	default:
		return nil, nil
	}
	return &b, nil
}

// benchmarkText is what a daemon on another host needs of a benchmark's result: its own window and the counts.
func benchmarkText(b agg.Benchmark) string {
	known := map[string]any{}
	if b.HasWindow {
		known["benchmark_start_time_unix"], known["benchmark_end_time_unix"] = b.Start, b.End
	}
	if b.Duration.OK() {
		known["duration"] = b.Duration
	}
	for name, count := range map[string]*int64{
		"completed": b.Work.Completed, "total_input_tokens": b.Work.InputTokens, "total_output_tokens": b.Work.OutputTokens,
	} {
		if count != nil {
			known[name] = *count
		}
	}
	text, err := json.Marshal(known)
	if err != nil { // not for numbers
		return "{}"
	}
	return string(text)
}

// unite returns both lists, each reason once.
func unite(first, then []window.Reason) []window.Reason {
	all := slices.Clone(first)
	for _, reason := range then {
		if !slices.Contains(all, reason) {
			all = append(all, reason)
		}
	}
	return all
}

// newRun names a window that the caller did not name, the same on all nodes.
func newRun() string {
	var random [8]byte
	_, _ = io.ReadFull(rand.Reader, random[:]) // never fails: crypto/rand
	return "run-" + hex.EncodeToString(random[:])
}

func unixText(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMicro())/1e6, 'f', 6, 64)
}
