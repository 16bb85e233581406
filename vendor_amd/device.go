package amd

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"wattmark/sampler"
)

// device is one GPU: a socket, whatever partitions it is cut into.
type device struct {
	info    sampler.Info
	bdf     uint64                  // of the socket's first partition, as the library calls it
	session atomic.Pointer[session] // nil: there is no library
	card    *card                   // nil: not in sysfs, or not to be used
	clock   sampler.Clock
	log     *slog.Logger
	compute string // partition mode
	memory  string // memory partition mode
	hip     int    // its number in the KFD topology; -1: not there

	mu     sync.Mutex
	judge  judge
	from   string // where the last reading came from, for people
	failed error  // why the last read gave nothing; nil if it did
	tooOld bool   // the library is older than the driver: it is not asked again
	lags   int    // reads whose table was of before the call, however long it was waited for
}

// Where a reading can come from.
const (
	fromLibrary = "libamd_smi"
	fromSysfs   = "sysfs"
)

// Info says what the GPU is and what its sensors give.
func (d *device) Info() sampler.Info { return d.info }

// Read asks for the GPU's table: the library, and where that has no answer the kernel, in the same call. Power is in W,
// the mean over a window that AMD does not document; energy is the firmware's counter in units of 2^-16 J, and At is
// the time that the driver stamped both with. A quantity that the table marks as not available is missing.
//
// It fails if neither way answers within its limits, and with ErrEmptyTable or ErrStaleTable if what they answer is
// not a measurement.
func (d *device) Read() (sampler.Reading, error) {
	r, err := d.read()
	d.mu.Lock()
	d.failed = err
	d.mu.Unlock()
	return r, err
}

func (d *device) read() (sampler.Reading, error) {
	s, from, err := d.sample()
	if err != nil {
		return sampler.Reading{}, err
	}
	if s.stamp != 0 {
		s = d.fresh(s)
	}
	offset := bootOffset()
	now := d.clock.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.from != "" && d.from != from {
		d.log.Warn("GPU is read another way", "gpu", d.info.Index, "from", from)
	}
	d.from = from
	return d.judge.reading(s, now, offset)
}

// Waits before a table is asked for again that was filled before the call.
const firstWait, lastWait = 2 * time.Millisecond, 32 * time.Millisecond

// fresh returns a table that was filled after s was asked for. The library and the driver keep tables for a
// millisecond, so a mark right after a reading of the schedule would get that reading once more, from before the mark.
// A source that is always late is found out and not waited for.
func (d *device) fresh(s sample) sample {
	const tolerated = 3
	begin := s.begin
	for wait := firstWait; older(s, begin, bootOffset()); wait *= 2 {
		d.mu.Lock()
		late := d.lags >= tolerated
		if wait > lastWait {
			d.lags++
		}
		d.mu.Unlock()
		if late || wait > lastWait {
			return s
		}
		time.Sleep(wait)
		again, _, err := d.sample()
		if err != nil {
			return s
		}
		s = again
	}
	d.mu.Lock()
	d.lags = 0
	d.mu.Unlock()
	return s
}

// sample asks the library, then the kernel.
func (d *device) sample() (s sample, from string, err error) {
	d.mu.Lock()
	tooOld := d.tooOld
	d.mu.Unlock()
	library := d.session.Load()
	if library != nil && !tooOld {
		s, err = library.read(d.bdf)
		if err == nil {
			return s, fromLibrary, nil
		}
		if status, ok := errors.AsType[*StatusError](err); ok && status.Status == statusUnexpectedData && d.card != nil {
			d.mu.Lock()
			d.tooOld = true
			d.mu.Unlock()
			d.log.Warn("libamd_smi is older than the driver; the GPU is read from sysfs", "gpu", d.info.Index)
		}
	}
	if d.card == nil {
		return sample{}, "", err
	}
	s, fileErr := d.card.read()
	if fileErr != nil {
		return sample{}, "", errors.Join(err, fmt.Errorf("gpu %s: %w", d.info.BusID, fileErr))
	}
	return s, fromSysfs, nil
}
