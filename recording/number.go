package recording

import (
	"bytes"
	"math"
	"strconv"
	"unicode"
)

// numbers reads the numbers of cells.
type numbers struct{ lenient bool }

// find returns where the first number in cell is: an optional minus, digits, and a point with digits after it. If
// lenient, also commas between groups of three digits ("1,234 W") and an exponent; otherwise a number ends there.
func (n numbers) find(cell []byte) (start, end int, ok bool) {
	for start < len(cell) && !digit(cell[start]) {
		start++
	}
	if start == len(cell) {
		return 0, 0, false
	}
	end = digits(cell, start)
	for n.lenient && end-start <= 3+4*bytes.Count(cell[start:end], []byte(",")) && thousands(cell[end:]) {
		end += 4
	}
	if end+1 < len(cell) && cell[end] == '.' && digit(cell[end+1]) {
		end = digits(cell, end+1)
	}
	if n.lenient && end < len(cell) && cell[end]|' ' == 'e' {
		from := end + 1
		if from < len(cell) && (cell[from] == '+' || cell[from] == '-') {
			from++
		}
		if from < len(cell) && digit(cell[from]) {
			end = digits(cell, from)
		}
	}
	if start > 0 && cell[start-1] == '-' {
		start--
	}
	return start, end, true
}

// digits returns where the digits that begin at i end.
func digits(cell []byte, i int) int {
	for i < len(cell) && digit(cell[i]) {
		i++
	}
	return i
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// thousands reports that cell begins with a comma and exactly three digits.
func thousands(cell []byte) bool {
	return len(cell) >= 4 && cell[0] == ',' && digits(cell, 1) == 4
}

// value returns the float64 nearest to the number that find found: infinite if it is too large.
func (n numbers) value(text []byte) float64 {
	digits, after, point, negative := uint64(0), 0, false, false
	for i, c := range text {
		switch {
		case digit(c) && digits < 1<<53/10:
			digits = digits*10 + uint64(c-'0')
			if point {
				after++
			}
		case c == '.':
			point = true
		case c == '-' && i == 0:
			negative = true
		default:
			return n.parse(text)
		}
	}
	if after > 22 {
		return n.parse(text)
	}
	// Both are exact in binary, so their quotient is the nearest float64.
	x := float64(digits)
	if after > 0 {
		scale := 1.0
		for range after {
			scale *= 10
		}
		x /= scale
	}
	if negative {
		return -x
	}
	return x
}

func (n numbers) parse(text []byte) float64 {
	if n.lenient && bytes.IndexByte(text, ',') >= 0 {
		text = bytes.ReplaceAll(text, []byte(","), nil)
	}
	x, _ := strconv.ParseFloat(string(text), 64) // too large: infinite, as in Python
	return x
}

// whole returns the number that is all of cell.
func (n numbers) whole(cell []byte) (float64, bool) {
	if len(cell) == 0 || cell[0] != '-' && !digit(cell[0]) {
		return 0, false
	}
	start, end, ok := n.find(cell)
	if !ok || start != 0 || end != len(cell) {
		return 0, false
	}
	return n.value(cell), true
}

// What a cell of power may hold.
type powerCell int

const (
	powerKnown powerCell = iota
	powerMissing
	powerWrong // no number, a negative or an infinite one
)

// power returns the watts in a cell such as "412.34 W".
func (n numbers) power(cell []byte) (watts float64, what powerCell) {
	cell = strip(cell)
	if missing(cell) {
		return 0, powerMissing
	}
	start, end, ok := n.find(cell)
	if !ok {
		return 0, powerWrong
	}
	watts = n.value(cell[start:end])
	if watts < 0 || math.IsInf(watts, 0) {
		return 0, powerWrong
	}
	return watts, powerKnown
}

// missing reports that a cell says that there is no value.
func missing(cell []byte) bool {
	if len(cell) == 0 {
		return true
	}
	if len(cell) > 5 || digit(cell[0]) {
		return false
	}
	for _, word := range []string{"[n/a]", "n/a", "na"} {
		if bytes.EqualFold(cell, []byte(word)) {
			return true
		}
	}
	return false
}

// strip removes white space from both ends as Python's str.strip does.
func strip(cell []byte) []byte {
	for len(cell) > 0 && cell[0] < 0x80 && space(rune(cell[0])) {
		cell = cell[1:]
	}
	for len(cell) > 0 && cell[len(cell)-1] < 0x80 && space(rune(cell[len(cell)-1])) {
		cell = cell[:len(cell)-1]
	}
	if len(cell) > 0 && (cell[0] >= 0x80 || cell[len(cell)-1] >= 0x80) {
		return bytes.TrimFunc(cell, space)
	}
	return cell
}

// space reports what Python takes for white space: Unicode's, and the four separators of ASCII.
func space(r rune) bool { return r >= 0x1c && r <= 0x1f || unicode.IsSpace(r) }
