package recording

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Snapshot is what "amd-smi metric -E --csv" printed once: the energy counters in joules, by GPU. (They are 0.27 %
// high, for the tool takes a count to be 15.3 µJ; facts/amd-smi.md.)
type Snapshot map[string]float64

// What may be wrong with a snapshot.
var (
	ErrNoSnapshot  = errors.New("no such snapshot")
	ErrBadSnapshot = errors.New("no energy in it")
)

// Snapshots reads the counters at the start and at the end of a recording, from <stem>_energy_start.csv and
// <stem>_energy_end.csv beside it. Each has its own error: ErrNoSnapshot, ErrBadSnapshot.
func Snapshots(recording string) (start, end Snapshot, startErr, endErr error) {
	stem := strings.TrimSuffix(recording, filepath.Ext(recording))
	start, startErr = ReadSnapshot(stem + "_energy_start.csv")
	end, endErr = ReadSnapshot(stem + "_energy_end.csv")
	return start, end, startErr, endErr
}

// ReadSnapshot reads one snapshot. Cells without a number are skipped.
func ReadSnapshot(path string) (Snapshot, error) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", path, ErrNoSnapshot)
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, ErrNoSnapshot)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSnapshot, err)
	}
	defer func() { _ = file.Close() }() // only read from
	s, err := readSnapshot(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func readSnapshot(r io.Reader) (Snapshot, error) {
	rows, n := newRows(r), numbers{}
	header := rows.next(math.MaxInt)
	named := func(name string) int {
		return slices.IndexFunc(header, func(cell []byte) bool { return string(strip(cell)) == name })
	}
	gpu, energy := named("gpu"), named("total_energy_consumption")
	s := Snapshot{}
	for gpu >= 0 && energy >= 0 {
		row := rows.next(max(gpu, energy) + 1)
		if row == nil {
			break
		}
		id, text := strip(cell(row, gpu)), strip(cell(row, energy))
		joules, ok := n.whole(text)
		if ok && len(id) > 0 && !math.IsInf(joules, 0) {
			s[strings.ToValidUTF8(string(id), "\ufffd")] = joules
		}
	}
	if err := rows.failed(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSnapshot, err)
	}
	if len(s) == 0 {
		return nil, ErrBadSnapshot
	}
	return s, nil
}
