package state

import (
	"slices"

	"wattmark/sampler"
)

// Left is what a boot that is over left in the recording.
type Left struct {
	Series   []sampler.Series // of the GPUs that were asked for and of which it says anything
	Restarts []Restart
}

// OfOther returns what the recording holds of these GPUs for windows that began then and were open when the boot of the
// marks that were found ended. It reads it once, and keeps at most so many readings of each GPU, the older ones more
// sparsely; 0: all. GPUs have the IDs that the marks have for them.
func (s *Store) OfOther(began []sampler.Moment, ids []string, most int) Left {
	var found Summary
	var left Left
	var last sampler.Moment
	var kept []*sparse
	place, around := map[string]int{}, newStarts(began)
	s.walk(sampler.Moment{}, &found, func(e entry) bool {
		switch {
		case e.session.Boot != s.found.Boot:
			if !e.starts && e.gpu == nil {
				last = sampler.Moment{}
			}
		case e.starts:
			if last != (sampler.Moment{}) && !e.session.Continued {
				left.Restarts = append(left.Restarts, Restart{last, e.session.At})
			}
		case e.gpu != nil:
			id := renamed(e.gpu.ID, e.session.Host, s.found.Host)
			i, known := place[id]
			if !known && slices.Contains(ids, id) {
				i, known = len(kept), true
				place[id] = i
				kept = append(kept, &sparse{starts: around, most: most})
			}
			if known { // what the last daemon knew of it counts
				kept[i].series.Info = e.gpu.Info
				kept[i].series.Info.Host = s.found.Host
			}
		default:
			last = e.kept.Reading.At
			if i, known := place[renamed(e.kept.GPU, e.session.Host, s.found.Host)]; known {
				kept[i].add(e.kept.Reading)
			}
		}
		return true
	})
	for _, each := range kept {
		left.Series = append(left.Series, each.series)
	}
	return left
}

// BootOfMarks is the boot of the marks that were found.
func (s *Store) BootOfMarks() string { return s.found.Boot }

// Boot is that of this process.
func (s *Store) Boot() string { return s.config.Boot }
