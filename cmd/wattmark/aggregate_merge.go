package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"wattmark/agg"
	"wattmark/internal/atomicfile"
	"wattmark/sampler"
	"wattmark/window"
)

// windowSource is one --window: a file, and the role of its GPUs where its marks gave none.
type windowSource struct{ path, role string }

// windowSources returns the files that --window names. A pattern that matches nothing stands for itself: a file that
// is missing.
func (c aggregateCmd) windowSources() (all []windowSource, err error) {
	for _, text := range c.Window {
		source := windowSource{path: text}
		for _, role := range []string{window.Prefill, window.Decode} {
			if path, ok := strings.CutPrefix(text, role+"="); ok {
				source = windowSource{path, role}
			}
		}
		paths := []string{source.path}
		if _, err := os.Lstat(source.path); err != nil {
			found, err := filepath.Glob(source.path)
			if err != nil {
				return nil, fmt.Errorf("--window %s: %w", text, err)
			}
			if len(found) > 0 {
				paths = found
			}
		}
		for _, path := range paths {
			all = append(all, windowSource{path, source.role})
		}
	}
	return all, nil
}

// fromWindows measures each node's window again, with the benchmark's edges where it has them, and merges. A node whose
// file is missing or broken is a reason; if there is none at all, nothing can be measured and that is an error.
func (c aggregateCmd) fromWindows(std streams, benchmark agg.Benchmark) (window.Result, error) {
	sources, err := c.windowSources()
	if err != nil {
		return window.Result{}, err
	}
	var results []window.Result
	var lost []window.Node
	var errs []error
	for _, source := range sources {
		file, err := readWindowFile(source.path)
		if err != nil {
			errs = append(errs, err)
			lost = append(lost, window.Node{Name: source.path, Role: source.role, Error: err.Error()})
			continue
		}
		results = append(results, c.again(file, source, benchmark))
	}
	if len(results) == 0 {
		return window.Result{}, errors.Join(errs...)
	}
	for _, err := range errs {
		_, _ = fmt.Fprintln(std.err, "wattmark: warning:", err)
	}
	for n := len(results) + len(lost); n < c.ExpectedNodes; n++ {
		lost = append(lost, window.Node{Error: fmt.Sprintf("%d window files, not the %d that should be there", len(sources), c.ExpectedNodes)})
	}
	if c.given() {
		window.AssignRoles(results, c.Prefill.n, c.Decode.n)
	}
	result := results[0]
	result.Nodes = nil
	if len(results)+len(lost) > 1 {
		result = window.Merge(results...).Lacking(lost...)
		result.Reasons = unite(benchmark.Reasons, result.Reasons)
	}
	return c.hold(result, c.ExpectedNumGPUs), nil
}

// again measures one node's window from its readings.
func (c aggregateCmd) again(file agg.WindowFile, source windowSource, benchmark agg.Benchmark) window.Result {
	w := file.Window()
	if c.ExpectedNumGPUs.given || c.given() {
		w.Expected = nil // of the merged whole
	}
	limits := file.Limits
	limits.AllowSimulated = limits.AllowSimulated || c.AllowSimulated
	result := agg.Conclude(window.Recorded(file.Series), w, limits, &benchmark)
	if !benchmark.HasWindow && slices.Contains(file.Result.Reasons, window.Interrupted) {
		result.Reasons = append(result.Reasons, window.Interrupted) // the marks end where the daemon did
	}
	result.Backend, result.Cost, result.Versions = file.Result.Backend, file.Result.Cost, file.Result.Versions
	for i := range result.GPUs {
		if result.GPUs[i].Role == "" {
			result.GPUs[i].Role = source.role
		}
	}
	return result.As(source.path)
}

func readWindowFile(path string) (agg.WindowFile, error) {
	var file agg.WindowFile
	f, err := os.Open(path)
	if err != nil {
		return file, err
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > agg.MaxWindowFile { // before it is in memory
		return file, fmt.Errorf("%s: %w: %d bytes, at most %d", path, atomicfile.ErrTooLarge, info.Size(), agg.MaxWindowFile)
	}
	file, err = agg.ReadWindow(io.LimitReader(f, agg.MaxWindowFile), func(all sampler.Series) sampler.Series { return all })
	if pathErr := new(fs.PathError); errors.As(err, &pathErr) {
		return file, fmt.Errorf("read %s: %w", path, err)
	} else if err != nil {
		return file, fmt.Errorf("%s is not a window file: %w", path, err)
	}
	if len(file.Series) == 0 && len(file.Result.GPUs) > 0 || file.Result.Run == "" {
		return file, fmt.Errorf("%s: %w", path, errors.New("not a window file: it has no readings"))
	}
	return file, nil
}
