package state

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"wattmark/internal/atomicfile"
	"wattmark/sampler"
)

// longestLine is longer than any that is written. What is longer is skipped without being held.
const longestLine = 64 << 10

// entry is what one line of a recording says: a session that starts, a GPU, or a reading.
type entry struct {
	session *session // the one that wrote the line
	starts  bool
	gpu     *gpuLine
	kept    sampler.Kept
}

// Summary is what was found in a recording.
type Summary struct {
	Readings int      // of this boot
	Skipped  int      // lines that are no rows: torn by a crash or a full disk, or garbage
	Foreign  int      // rows of another boot, of this host or another: their monotonic times mean nothing here
	Problems []string // files that were not read, and why
	Took     time.Duration
}

// Restart is a time in which no daemon ran: from the last reading before it to the start of the next daemon.
type Restart struct{ From, To sampler.Moment }

// Earlier yields the readings that daemons of this boot left, from a moment on, oldest first. When it has ended,
// Summary and Restarts are those of what it read.
func (s *Store) Earlier(since sampler.Moment) iter.Seq[sampler.Kept] {
	return func(yield func(sampler.Kept) bool) {
		began := time.Now()
		var found Summary
		var restarts []Restart
		var last sampler.Moment
		s.walk(since, &found, func(e entry) bool {
			ours := e.session.Boot == s.config.Boot
			switch {
			case e.starts:
				if e.session.At == s.self.At && ours {
					return false // from here on it is this process
				}
				if ours && last != (sampler.Moment{}) && !e.session.Continued {
					restarts = append(restarts, Restart{last, e.session.At})
				}
			case e.gpu != nil:
			case !ours:
				found.Foreign++
				last = sampler.Moment{}
			case e.kept.Reading.At.Sub(since) >= 0:
				found.Readings++
				last = e.kept.Reading.At
				e.kept.GPU = s.here(e.kept.GPU, e.session.Host)
				return yield(e.kept)
			}
			return true
		})
		if last != (sampler.Moment{}) {
			restarts = append(restarts, Restart{last, s.self.At})
		}
		found.Took = time.Since(began)
		s.mu.Lock()
		s.summary, s.restarts = found, restarts
		s.mu.Unlock()
	}
}

// here is a GPU's ID as this process knows it.
func (s *Store) here(id, host string) string { return renamed(id, host, s.config.Host) }

// renamed is a GPU's ID where its host has another name. Within one boot the host is the same, whatever it is called: a
// container that is made anew has another name.
func renamed(id, host, now string) string {
	if host == now {
		return id
	}
	if _, gpu, ok := strings.Cut(id, "/"); ok {
		return now + "/" + gpu
	}
	return id
}

// walk visits the lines of all files, oldest first; files that were last written long before since are left out.
func (s *Store) walk(since sampler.Moment, found *Summary, visit func(entry) bool) {
	const slack = 2 * time.Hour // wall clocks are set
	for _, f := range append(s.segments(), file{name: s.readings()}) {
		if since != (sampler.Moment{}) && f.size > 0 && since.Wall().Sub(f.changed) > slack {
			continue
		}
		if f.size > 2*s.config.MaxBytes {
			found.Problems = append(found.Problems, fmt.Sprintf("%s is larger than this daemon's bound: not read", f.name))
			continue
		}
		more, err := s.walkFile(f.name, found, visit)
		if err != nil {
			found.Problems = append(found.Problems, err.Error())
		}
		if !more {
			return
		}
	}
}

var errSchema = errors.New("of another version, or not a recording")

func (s *Store) walkFile(name string, found *Summary, visit func(entry) bool) (more bool, err error) {
	opened, _, err := atomicfile.Open(s.root, name)
	if err != nil {
		return true, err
	}
	defer func() { _ = opened.Close() }() // only read from
	lines := bufio.NewReaderSize(opened, longestLine)
	first := true
	var now *session
	gpus := map[int]string{}
	for {
		line, err := nextLine(lines, found)
		switch {
		case errors.Is(err, io.EOF) && first:
			return true, nil // created and never written
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return true, fmt.Errorf("read %s: %w", name, err)
		case first && string(line) != columns:
			return true, fmt.Errorf("read %s: %w", name, errSchema)
		case first:
			first = false
			continue
		}
		e, ok := entryOf(line, now, gpus)
		if !ok {
			found.Skipped++
			continue
		}
		if e.starts {
			now = e.session
			clear(gpus)
		}
		if e.gpu != nil {
			gpus[e.gpu.Info.Index] = e.gpu.ID
		}
		if !visit(e) {
			return false, nil
		}
	}
}

// nextLine returns the next whole line without its newline. A line that is too long is skipped and counted, the last one
// is skipped where it has no end.
func nextLine(r *bufio.Reader, found *Summary) ([]byte, error) {
	for {
		line, err := r.ReadSlice('\n')
		if err == nil {
			return line[:len(line)-1], nil
		}
		if errors.Is(err, io.EOF) && len(line) > 0 {
			found.Skipped++
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		found.Skipped++
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.ReadSlice('\n')
		}
		if err != nil {
			return nil, err
		}
	}
}

// entryOf reads a line of the session now.
func entryOf(line []byte, now *session, gpus map[int]string) (entry, bool) {
	switch {
	case bytes.HasPrefix(line, []byte(startMark)):
		var starts session
		ok := readLine(line, startMark, &starts)
		return entry{session: &starts, starts: true}, ok
	case now == nil:
		return entry{}, false
	case bytes.HasPrefix(line, []byte(gpuMark)):
		var gpu gpuLine
		ok := readLine(line, gpuMark, &gpu)
		return entry{session: now, gpu: &gpu}, ok && gpu.ID != ""
	}
	index, extra, reading, err := readRow(line)
	id, known := gpus[index]
	return entry{session: now, kept: sampler.Kept{GPU: id, Extra: extra, Reading: reading}}, err == nil && known
}
