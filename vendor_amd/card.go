package amd

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"wattmark/sampler"
)

// maxTable is the most a sysfs file holds: one page, which some machines have of 64 KiB.
const maxTable = 64 << 10

// errBusy means that an earlier read has not returned yet. No second one is begun.
var errBusy error = timeoutError("an earlier read has not returned")

// timeoutError is what went wrong where a read takes too long.
type timeoutError string

func (e timeoutError) Error() string { return string(e) }

// Timeout tells the sampler, which counts these.
func (e timeoutError) Timeout() bool { return true }

// card is one GPU in sysfs. Reading its files may block in the driver, during a reset of the GPU for one: then read
// returns at its limit, and later reads fail at once until the driver has answered.
type card struct {
	dir   string // of the PCI device
	bus   string // PCI bus id
	index int    // by PCI bus id among the GPUs in sysfs
	limit time.Duration
	power string // path of the hwmon file with the power in µW; empty: there is none
	as    sensor // what that power is
	file  func(path string, limit int) ([]byte, error)

	slot  chan struct{} // holds one token while a call is running
	stuck atomic.Bool   // that call is over its limit
}

func newCard(dir string, limit time.Duration) *card {
	return &card{
		dir: dir, bus: sampler.BusID(filepath.Base(dir)), limit: limit, file: readFile, slot: make(chan struct{}, 1),
	}
}

// read returns the card's table of this moment (gpu_metrics). Where its version is not known it returns the power
// that hwmon has, and nothing else.
func (c *card) read() (sample, error) { return bounded(c, c.table) }

func (c *card) table() (sample, error) {
	begin := monotonicNow()
	blob, err := c.file(filepath.Join(c.dir, "gpu_metrics"), maxTable)
	end := monotonicNow()
	if err != nil {
		return sample{}, err
	}
	s, err := parseTable(blob)
	s.begin, s.end = begin, end
	if errors.Is(err, ErrTableUnknown) && c.power != "" {
		return c.hwmon(blob)
	}
	return s, err
}

// hwmon returns what little there is beside gpu_metrics.
func (c *card) hwmon(blob []byte) (sample, error) {
	begin := monotonicNow()
	microwatts, err := c.number(c.power)
	end := monotonicNow()
	if err != nil {
		return sample{}, err
	}
	s := sample{begin: begin, end: end, table: tableName(blob[2], blob[3]), hwmon: true}
	s.setPower(float64(microwatts)/1e6, true, c.as)
	return s, nil
}

// powerCap returns the power limit in force.
func (c *card) powerCap() sampler.Value {
	caps, _ := filepath.Glob(filepath.Join(c.dir, "hwmon/hwmon*/power1_cap")) // the pattern is well-formed
	if len(caps) == 0 {
		return sampler.Value{}
	}
	microwatts, err := bounded(c, func() (uint64, error) { return c.number(caps[0]) })
	if err != nil || microwatts == 0 {
		return sampler.Value{}
	}
	return sampler.Some(float64(microwatts) / 1e6)
}

// text returns the content of one of the card's files; empty if it cannot be read.
func (c *card) text(name string) string {
	b, err := bounded(c, func() ([]byte, error) { return c.file(filepath.Join(c.dir, name), maxTable) })
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(strings.TrimSpace(string(b)), "?")
}

func (c *card) number(path string) (uint64, error) {
	b, err := c.file(path, maxTable)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
}

// bounded makes one call that may block in the driver, and waits for it no longer than the card's limit. A call that
// blocks keeps its goroutine, and thread, until the driver lets it go; it is the only one of its card, and whoever
// comes while it is over its limit fails at once.
func bounded[T any](c *card, call func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	timer := time.NewTimer(c.limit)
	defer timer.Stop()
	select {
	case c.slot <- struct{}{}:
	default:
		if c.stuck.Load() {
			return none, fmt.Errorf("sysfs: %w", errBusy)
		}
		select {
		case c.slot <- struct{}{}:
		case <-timer.C:
			return none, fmt.Errorf("sysfs: %w", errBusy)
		}
	}
	c.stuck.Store(false)
	done := make(chan result, 1)
	go func() {
		value, err := call()
		<-c.slot
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-timer.C:
		c.stuck.Store(true)
		return none, fmt.Errorf("sysfs: the driver did not answer within %v", c.limit)
	}
}
