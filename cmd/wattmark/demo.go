package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"wattmark/api"
	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// demoCmd tells the whole story on simulated GPUs, whose true energy is known.
type demoCmd struct {
	GPUs int           `name:"num-gpus" default:"4" help:"How many H200 to simulate."`
	Load time.Duration `default:"10s" help:"How long their load lasts."`
}

// demoIdle is how long the GPUs idle before the load; the daemon finds out meanwhile what their counters are like.
const demoIdle = 4 * time.Second

// Validate is called by kong.
func (c demoCmd) Validate() error {
	if c.GPUs < 1 || c.GPUs > 64 || c.Load < time.Second || c.Load > 20*time.Second {
		return fmt.Errorf("--num-gpus is 1 to 64, --load 1s to 20s")
	}
	return nil
}

// Run starts a daemon, marks a load with it, and shows what came out beside what went in.
func (c demoCmd) Run(ctx context.Context, std streams) error {
	folder, err := os.MkdirTemp("", "wattmark-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	d := demo{std: std, folder: folder, log: newLogger(std, "error", "text")}
	return d.tell(ctx, c)
}

// idle, load and shutdown of the daemon are the demo's; all else is what a user's benchmark does.
func (d *demo) tell(ctx context.Context, c demoCmd) error {
	clock := sampler.NewClock()
	begin := time.Now().Add(demoIdle)
	gpus := simulated(c, clock, begin)
	stop, err := d.start(ctx, gpus, clock)
	if err != nil {
		return err
	}
	defer stop()
	d.say("1. A daemon watches %d simulated H200 at 1 Hz. Their load, an inference server's, lasts %v.\n", c.GPUs, c.Load)
	d.show("wattmark serve --backend sim --allow-simulated --listen %s", d.client.addr)
	if _, err := d.client.ready(ctx, false); err != nil {
		return err
	}
	d.say("\n2. The benchmark marks its measured phase with two HTTP calls:\n")
	if err := sleepUntil(ctx, begin.Add(-20*time.Millisecond)); err != nil {
		return err
	}
	if _, err := d.curl(ctx, "/v1/mark-start", "run=demo"); err != nil {
		return err
	}
	if err := sleepUntil(ctx, begin.Add(c.Load)); err != nil {
		return err
	}
	const aggregate = `{
  "hw": "h200",
  "tput_per_gpu": 1800.5
}`
	tokens := int(c.Load.Seconds() * 1800 * float64(c.GPUs))
	result := fmt.Sprintf(`{"completed": 64, "total_input_tokens": %d, "total_output_tokens": %d}`, tokens*4, tokens)
	if err := d.write(map[string]string{"demo.json": result, "agg_demo.json": aggregate}); err != nil {
		return err
	}
	answer, err := d.curl(ctx, "/v1/mark-end", "run=demo&benchmark_result=demo.json&agg_result=agg_demo.json")
	if err != nil {
		return err
	}
	return d.conclude(answer, gpus, aggregate)
}

// demo is a daemon and its only client.
type demo struct {
	std    streams
	folder string
	log    *slog.Logger
	client client
}

// simulated returns GPUs that idle, work from begin on, and idle again.
func simulated(c demoCmd, clock sampler.Clock, begin time.Time) []*sim.GPU {
	gpus := make([]*sim.GPU, c.GPUs)
	for i := range gpus {
		serving := sim.NewDecode(sim.ServingH200(uint64(i) + 1))
		gpus[i] = sim.New(sim.Config{
			Index: i, Clock: clock, Origin: begin,
			Load: sim.Busy{Load: serving, IdleWatts: 80, Start: 0, End: c.Load.Seconds()},
		})
	}
	return gpus
}

// start runs a daemon on a port of its own.
func (d *demo) start(ctx context.Context, gpus []*sim.GPU, clock sampler.Clock) (stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d.client = newClient(listener.Addr().(*net.TCPAddr).String(), 5*time.Second, credentialFlags{})
	found := backend{Backend: api.Backend{Name: "sim", Problems: []string{}}, close: func() {}}
	for _, gpu := range gpus {
		found.devices = append(found.devices, gpu)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		serve := serveCmd{
			Interval: time.Second, Retention: time.Hour, ResultsDir: d.folder, MaxGap: window.DefaultMaxGap,
			AllowSimulated: true,
		}
		done <- serve.serve(ctx, daemon{backend: found, clock: clock, listener: listener, log: d.log})
	}()
	return func() {
		cancel()
		if err := <-done; err != nil {
			d.log.Error("daemon", "err", err)
		}
	}, nil
}

func (d *demo) conclude(answer []byte, gpus []*sim.GPU, before string) error {
	var r window.Result
	if err := json.Unmarshal(answer, &r); err != nil {
		return fmt.Errorf("the daemon's answer: %w", err)
	}
	d.say("\n3. What was measured, and what is true of the simulated GPUs:\n\n")
	rows := [][]string{{"GPU", "method", "measured J", "± J (2σ)", "true J", "off by"}}
	total := 0.0
	for i, gpu := range r.GPUs {
		truth := gpus[i].TrueJoules(r.Start.Wall(), r.End.Wall())
		total += truth
		rows = append(rows, []string{
			fmt.Sprint(gpu.Index), string(gpu.Method), number(gpu.Energy, "%.1f"), number(gpu.Bound, "%.1f"),
			fmt.Sprintf("%.1f", truth), percent(gpu.Energy.Or(0), truth),
		})
	}
	rows = append(rows, []string{
		"all", "", number(r.Energy(), "%.1f"), number(r.Bound(), "%.1f"), fmt.Sprintf("%.1f", total),
		percent(r.Energy().Or(0), total),
	})
	table(d.std.out, rows...)
	d.say("\n   %.3f s, %s W per GPU, %s J per output token, verdict: %s\n", r.Duration().Seconds(),
		number(r.AvgPower(), "%.1f"), number(r.PerOutputToken(), "%.6f"), verdict(r))
	after, err := os.ReadFile(filepath.Join(d.folder, "agg_demo.json"))
	if err != nil {
		return err
	}
	d.say("\n4. The benchmark's aggregate before:\n\n%s\n\n   and after mark-end:\n\n%s\n", indent(before), indent(string(after)))
	if !r.Valid() {
		return fmt.Errorf("the demo's result is not valid: %s", join(r.AllReasons()))
	}
	return nil
}

// curl makes the call that it shows.
func (d *demo) curl(ctx context.Context, path, form string) ([]byte, error) {
	d.show("curl -d '%s' %s%s", form, d.client.base, path)
	values, err := url.ParseQuery(form)
	if err != nil {
		return nil, err
	}
	return d.client.post(ctx, path, values)
}

func (d *demo) write(files map[string]string) error {
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(d.folder, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) say(format string, args ...any) { _, _ = fmt.Fprintf(d.std.out, format, args...) }

func (d *demo) show(format string, args ...any) { d.say("     $ "+format+"\n", args...) }

func sleepUntil(ctx context.Context, t time.Time) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(t)):
		return nil
	}
}

func percent(measured, truth float64) string {
	return fmt.Sprintf("%+.3f %%", 100*(measured-truth)/truth)
}

func indent(text string) string { return "     " + strings.ReplaceAll(text, "\n", "\n     ") }
