package main

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"wattmark/recording"
	"wattmark/sampler"
)

// csvFlags say whether and how readings are written as the vendor's tool prints them.
type csvFlags struct {
	CSV     string `name:"csv" type:"path" placeholder:"FILE" help:"Also write the readings as nvidia-smi or amd-smi prints them, e.g. gpu_metrics.csv."`
	CSVTime string `name:"csv-time" default:"utc" enum:"epoch,utc,local" help:"Times in --csv: utc, local (both as nvidia-smi prints them) or epoch. AMD's are always epoch."`
}

// How long the CSV may take.
const (
	csvRetry = 5 * time.Second        // after a failure
	csvPoll  = 50 * time.Millisecond  // that a mark waits for one more reading of each GPU
	csvFlush = 100 * time.Millisecond // that it waits for its rows
)

// csvLog writes readings to a file on a goroutine of its own. What the disk does not take stays in memory and comes
// later; nobody waits for the disk but a mark, and that for 100 ms.
type csvLog struct {
	poll     func(context.Context) // reads the GPUs once more
	next     func() (rows []recording.Row, more bool, take func())
	append   func([]recording.Row) error
	log      *slog.Logger
	asked    chan chan struct{}
	begin    time.Time // of the sampler's schedule
	interval time.Duration

	failed time.Time // when the last try failed; zero: it did not
	reason string
}

// openCSV returns nil without --csv. The columns are those of the GPUs' vendor: as long as there is no GPU there is no
// header.
func (f csvFlags) openCSV(samples *sampler.Sampler, clock sampler.Clock, start time.Time, log *slog.Logger) *csvLog {
	if f.CSV == "" {
		return nil
	}
	times := map[string]recording.Times{"epoch": recording.Epoch, "utc": recording.UTC, "local": recording.Local}[f.CSVTime]
	var file *recording.File
	add := func(rows []recording.Row) error {
		if file == nil {
			infos := samples.Infos()
			if len(infos) == 0 {
				return nil
			}
			file = recording.NewFile(f.CSV, dialectOf(infos), times)
		}
		return file.Append(rows)
	}
	tail := recording.Tail{Since: samples.Since, From: clock.Moment(start), Step: 600 * samples.Interval()}
	return &csvLog{
		poll: func(ctx context.Context) { _ = samples.Poll(ctx) },
		next: tail.Next, append: add, log: log.With("csv", f.CSV),
		asked: make(chan chan struct{}), begin: start, interval: samples.Interval(),
	}
}

func dialectOf(infos []sampler.Info) recording.Dialect {
	if slices.ContainsFunc(infos, func(info sampler.Info) bool { return info.Vendor == "amd" }) {
		return recording.AMD
	}
	return recording.NVIDIA
}

// start has what is new written until stop is called, the last reading after the end of ctx too.
func (c *csvLog) start(ctx context.Context) (stop func()) {
	ctx, stop = context.WithCancel(context.WithoutCancel(ctx))
	go c.run(ctx)
	return stop
}

// run writes what is new a little after each tick, and when flush asks, until ctx ends. The file is not closed: a write
// may hang in it.
func (c *csvLog) run(ctx context.Context) {
	if c == nil {
		return
	}
	const rest = 100 * time.Millisecond // a driver call takes some of it
	timer := time.NewTimer(0)           // the header is there at once
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			if c.failed.IsZero() || time.Since(c.failed) >= csvRetry {
				c.write()
			}
			period := max(c.interval, rest)
			passed := time.Since(c.begin) - min(c.interval/2, rest)
			timer.Reset(period - (passed%period+period)%period)
		case done := <-c.asked:
			c.write()
			close(done)
		}
	}
}

// write appends what is new.
func (c *csvLog) write() {
	for {
		rows, more, take := c.next()
		if err := c.append(rows); err != nil {
			c.failed = time.Now()
			if c.reason != err.Error() {
				c.reason = err.Error()
				c.log.Warn("csv not written; readings stay in memory and it is tried again", "err", err)
			}
			return
		}
		take()
		if !c.failed.IsZero() {
			c.log.Info("csv written again", "rows", len(rows))
			c.failed, c.reason = time.Time{}, ""
		}
		if !more {
			return
		}
	}
}

// flush reads the GPUs once more and returns when all readings are written, or have failed to be; after 150 ms at most.
// The row that was read for a mark's end may look older than that end: times have milliseconds only.
func (c *csvLog) flush() {
	if c == nil {
		return
	}
	time.Sleep(time.Millisecond)
	polling, stop := context.WithTimeout(context.Background(), csvPoll)
	c.poll(polling)
	stop()
	ctx, cancel := context.WithTimeout(context.Background(), csvFlush)
	defer cancel()
	done := make(chan struct{})
	select {
	case c.asked <- done:
	case <-ctx.Done():
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}
