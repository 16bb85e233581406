package agg

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"wattmark/internal/atomicfile"
)

// MaxAggregate is the largest aggregate that is patched.
const MaxAggregate = 16 << 20

// Patch returns the aggregate with keys set: in place where that is the schema or the verdict and it is there, else at
// the end, in the order and layout of the file. Power keys of an earlier patch are removed. Every other byte stays:
// order, spelling of numbers, indentation, line ends, NaN and Infinity. Patching twice changes nothing.
//
// It refuses what is not exactly one JSON object or has one of our keys twice, and says where.
func Patch(aggregate []byte, keys []Key) ([]byte, error) {
	if len(aggregate) > MaxAggregate {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", atomicfile.ErrTooLarge, len(aggregate), MaxAggregate)
	}
	o, err := parse(aggregate, keys)
	if wrong, ok := errors.AsType[*syntaxError](err); ok {
		return nil, fmt.Errorf("%s: %s", position(aggregate, wrong.offset), wrong.text)
	}
	if err != nil {
		return nil, err
	}
	if o.has(keys) {
		return aggregate, nil
	}
	return o.patched(keys), nil
}

// object is a JSON object as it is spelled: before, the parts with commas between them, after.
type object struct {
	before []byte // up to and with the brace
	parts  []part
	after  []byte // the closing brace and what follows
	style  style
}

// part is a member with a key of ours, or a run of other members.
type part struct {
	name  string // of our key; "" for others
	lead  []byte // white space before the key
	key   []byte // as spelled, with the colon and the space around it; all of a run
	value []byte
	rest  []byte // white space after the value
}

// parse splits an aggregate. It refuses one with a key of ours twice: which of them counts depends on the reader.
func parse(data []byte, keys []Key) (object, error) {
	s := scan(data)
	s.bom()
	s.space()
	o := object{before: data[:min(s.pos+1, len(data))]}
	end := s.pos + 1 // of what was split so far
	members := 0
	seen := map[string]bool{}
	err := s.object(func(name string, at int64) error {
		s.space()
		from := s.pos
		if err := s.skip(); err != nil {
			return err
		}
		to := s.pos
		s.space()
		p := part{name: name, lead: data[end:at], key: data[at:from], value: data[from:to], rest: data[to:s.pos]}
		if members++; members == 1 {
			o.style.first = p.lead
		}
		o.style.further, o.style.last, o.style.colon = p.lead, p.rest, afterQuote(p.key)
		end = s.pos + 1 // after the comma, if there is one

		switch {
		case seen[name]:
			return &syntaxError{at, fmt.Sprintf("the key %q stands here for the second time", name)}
		case ours(name, keys):
			seen[name] = true
			o.parts = append(o.parts, p)
		default:
			o.addOther(data, p, int(at), to)
		}
		return nil
	})
	if err != nil {
		return object{}, err
	}
	o.after = data[s.pos-1:]
	switch members {
	case 0:
		o.style = emptyStyle(data[end : s.pos-1])
	case 1:
		o.style.further = second(o.style)
	}
	if members > 0 {
		o.parts[len(o.parts)-1].rest = nil // it is before the brace, whichever member is last: style.last
	}
	if s.space(); s.pos < len(data) {
		return object{}, s.unexpected("the end of the text")
	}
	return o, nil
}

// addOther adds a member of no interest, data[at:to], to the run before it if there is one. The number of parts stays
// small whatever the file holds.
func (o *object) addOther(data []byte, p part, at, to int) {
	p.name, p.key, p.value = "", data[at:to], nil
	if n := len(o.parts); n > 0 && o.parts[n-1].name == "" {
		run := &o.parts[n-1]
		start := at - len(p.lead) - 1 - len(run.rest) - len(run.key) // 1 for the comma
		run.key, run.rest = data[start:to], p.rest
		return
	}
	o.parts = append(o.parts, p)
}

func ours(name string, keys []Key) bool {
	return measured(name) || slices.ContainsFunc(keys, func(k Key) bool { return k.Name == name })
}

// has reports whether the object has keys, with these numbers, and no other power keys.
func (o object) has(keys []Key) bool {
	found, wanted := 0, 0
	for _, key := range keys {
		if key.Number != "" {
			wanted++
		}
	}
	for _, p := range o.parts {
		switch {
		case p.name == "":
		case slices.Contains(keys, Key{p.name, string(p.value)}):
			found++
		default:
			return false
		}
	}
	return found == wanted
}

// patched spells the object with keys set.
func (o object) patched(keys []Key) []byte {
	var parts []part
	for _, p := range o.parts {
		if measured(p.name) {
			continue // stale, or set again below
		}
		if i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == p.name }); i >= 0 {
			if keys[i].Number == "" {
				continue
			}
			p.value = []byte(keys[i].Number)
		}
		parts = append(parts, p)
	}
	for _, key := range keys {
		if key.Number != "" && !slices.ContainsFunc(parts, func(p part) bool { return p.name == key.Name }) {
			parts = append(parts, o.style.part(key))
		}
	}
	var out bytes.Buffer
	out.Write(o.before)
	for i, p := range parts {
		if i == 0 {
			p.lead = o.style.first
		} else {
			out.WriteByte(',')
		}
		if i == len(parts)-1 {
			p.rest = o.style.last
		}
		for _, text := range [][]byte{p.lead, p.key, p.value, p.rest} {
			out.Write(text)
		}
	}
	out.Write(o.after)
	return out.Bytes()
}
