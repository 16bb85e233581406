package tokens

import (
	"math"
	"strconv"
	"strings"
)

// sample reads one line of the Prometheus text format or of OpenMetrics: name{label="value",…} number [time] [# exemplar].
// key is name and labels. Not ok are comments, and what cannot be a count: not a number, negative or infinite.
//
// A library reads whole pages, histograms and all: at 1 Hz that is a hundred times the work.
func sample(line string) (name, key string, value float64, ok bool) {
	line = strings.TrimSpace(line)
	end := strings.IndexAny(line, "{ \t")
	if end <= 0 || line[0] == '#' {
		return "", "", 0, false
	}
	name, key = line[:end], line[:end]
	rest := line[end:]
	if rest[0] == '{' {
		labels := labelsEnd(rest)
		if labels < 0 {
			return "", "", 0, false
		}
		key, rest = line[:end+labels], rest[labels:]
	}
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return "", "", 0, false
	}
	value, err := strconv.ParseFloat(fields[0], 64)
	if err != nil || !(value >= 0) || math.IsInf(value, 0) {
		return "", "", 0, false
	}
	return name, key, value, true
}

// labelsEnd is where the labels that text begins with end, after the brace; −1 if they do not. Values are quoted and
// may hold anything.
func labelsEnd(text string) int {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '}' && !quoted:
			return i + 1
		}
	}
	return -1
}
