package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"wattmark/sampler"
	"wattmark/window"
)

// What the daemon takes on at once; more waits, and then is told to come again. It keeps the memory bounded and, as
// the daemon runs on one processor, the readings on time whatever is asked.
const (
	// atWork are requests that compute at the same time: the scheduler gives each 10 ms before a reading gets its turn.
	atWork = 2
	// inHand are readings of one GPU, at 250 bytes while they are being measured: those of a day at 1 Hz, once.
	inHand = 100_000
	// least is what the shortest window counts for: its answer, its files, its request.
	least = 500
	// inSending are answers of a window's file at the same time: a client may take its time, and each has up to one GPU's
	// readings in memory.
	inSending = 4
	// inFiles are requests that patch a benchmark's files at the same time: an aggregate may have 16 MB, and is held twice.
	inFiles = 2
)

// How long a request waits for others before it is told to come again. A mark cannot be repeated at the same moment, so
// it is patient.
const (
	markPatience = 10 * time.Second
	readPatience = 2 * time.Second
)

// load bounds what is done at once.
type load struct {
	work     *semaphore.Weighted
	readings *semaphore.Weighted
	files    *semaphore.Weighted
	sending  *semaphore.Weighted
}

func newLoad() load {
	return load{
		work: semaphore.NewWeighted(atWork), readings: semaphore.NewWeighted(inHand), files: semaphore.NewWeighted(inFiles),
		sending: semaphore.NewWeighted(inSending),
	}
}

// turn waits for one's turn to compute, for so long at most, and returns what ends it. Nobody who has it waits for a client or
// a disk.
func (l load) turn(ctx context.Context, patience time.Duration) (end func(), err error) {
	if l.work.TryAcquire(1) { // the usual case, for which no timer is needed
		return func() { l.work.Release(1) }, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return acquire(ctx, l.work, 1)
}

// inTurn computes what cannot be asked for again, in its turn.
func (s *Server) inTurn(compute func()) error { return s.inTurns(func(*turn) { compute() }) }

// inTurns computes what now and then waits for a disk, which may hang: it gives its turn back meanwhile.
func (s *Server) inTurns(compute func(*turn)) (err error) {
	t := &turn{load: s.load}
	if t.end, err = s.load.turn(context.Background(), markPatience); err != nil {
		return err
	}
	defer func() { t.end() }()
	compute(t)
	return nil
}

// turn is one's turn to compute; nil: it is not needed.
type turn struct {
	load load
	end  func()
}

// away gives the turn back while it does something, and waits for another one.
func (t *turn) away(do func()) {
	if t == nil {
		do()
		return
	}
	t.end()
	do()
	t.end, _ = acquire(context.Background(), t.load.work, 1) // nobody has a turn for long
}

// toDisk writes, and fromDisk reads, without the turn of who does.
type (
	toDisk struct {
		to   io.Writer
		turn *turn
	}
	fromDisk struct {
		from io.Reader
		turn *turn
	}
)

func (d toDisk) Write(text []byte) (n int, err error) {
	d.turn.away(func() { n, err = d.to.Write(text) })
	return n, err
}

func (d fromDisk) Read(into []byte) (n int, err error) {
	d.turn.away(func() { n, err = d.from.Read(into) })
	return n, err
}

// yielding lets others go first between two GPUs: the readings that are due above all. The scheduler itself would let one
// handler compute for 10 ms.
type yielding struct{ src window.Source }

func (y yielding) Series(from, to sampler.Moment) iter.Seq[sampler.Series] {
	return func(yield func(sampler.Series) bool) {
		for series := range y.src.Series(from, to) {
			runtime.Gosched()
			if !yield(series) {
				return
			}
		}
	}
}

// hold waits until so many more readings of a GPU may be in hand, and returns what gives them back.
func (l load) hold(ctx context.Context, readings int64) (release func(), err error) {
	return acquire(ctx, l.readings, max(least, min(readings, inHand)))
}

func acquire(ctx context.Context, from *semaphore.Weighted, n int64) (release func(), err error) {
	if err := from.Acquire(ctx, n); err != nil {
		return nil, fmt.Errorf("%w: it is at work on others; come again in a second", errBusy)
	}
	return func() { from.Release(n) }, nil
}

// holdFor is hold for the readings of a window.
func (s *Server) holdFor(ctx context.Context, span window.Window, patience time.Duration) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	readings := max(least, int64(span.End.Sub(span.Start)/s.config.Sampler.Interval()))
	if most := s.config.Sampler.Measurable(); 0 < most && most < inHand { // under a memory limit
		readings = readings * inHand / most
	}
	return s.load.hold(ctx, readings)
}

// InTurn is a handler that computes its whole answer in its turn, and sends it afterwards: a client that does not read
// holds up nobody.
func (s *Server) InTurn(handler http.Handler) http.Handler {
	var spare atomic.Pointer[bytes.Buffer] // that of the answer before
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		end, err := s.load.turn(r.Context(), readPatience)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		page := buffered{ResponseWriter: w, status: http.StatusOK, body: spare.Swap(nil)}
		if page.body == nil {
			page.body = new(bytes.Buffer)
		}
		func() {
			defer end()
			handler.ServeHTTP(&page, r)
		}()
		w.Header().Set("Content-Length", strconv.Itoa(page.body.Len()))
		w.WriteHeader(page.status)
		_, err = w.Write(page.body.Bytes())
		if err == nil && page.body.Cap() <= mostSpare { // HTTP/2 may still read what it could not send
			page.body.Reset()
			spare.Store(page.body)
		}
	})
}

// buffered keeps an answer until it is whole.
type buffered struct {
	http.ResponseWriter

	status int
	body   *bytes.Buffer
}

// mostSpare is how many bytes are kept for the next answer at most.
const mostSpare = 256 << 10

func (b *buffered) WriteHeader(status int)            { b.status = status }
func (b *buffered) Write(p []byte) (n int, err error) { return b.body.Write(p) }

// AvailableBuffer is that of bytes.Buffer: what is appended to it and then written is there already.
func (b *buffered) AvailableBuffer() []byte { return b.body.AvailableBuffer() }
