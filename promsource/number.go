package promsource

// compact reads [time,"value"] as servers write it, and returns how many bytes it took; 0: it is written otherwise.
func compact(text []byte) (s sample, length int) {
	if len(text) == 0 || text[0] != '[' {
		return s, 0
	}
	ms, n := milliseconds(text[1:])
	at := 1 + n
	if n == 0 || at+2 > len(text) || text[at] != ',' || text[at+1] != '"' {
		return s, 0
	}
	at += 2
	digits, decimals := int64(0), -1
	from := at
	for ; at < len(text) && at-from <= exactDigits; at++ {
		switch c := text[at]; {
		case '0' <= c && c <= '9':
			digits = 10*digits + int64(c-'0')
			if decimals >= 0 {
				decimals++
			}
		case c == '.' && decimals < 0 && at > from:
			decimals = 0
		case c == '"' && at > from && at+1 < len(text) && text[at+1] == ']':
			return sample{ms, float64(digits) / tens(max(0, decimals))}, at + 2
		default:
			return s, 0
		}
	}
	return s, 0
}

// exactDigits is how many digits a float64 holds exactly; it holds the powers of ten up to 22, so that the quotient of
// both is the nearest float64, as strconv.ParseFloat has it.
const exactDigits = 15

// milliseconds reads Unix seconds with up to three decimals, as the API writes times, and returns how many bytes it took;
// 0: it is no such number.
func milliseconds(text []byte) (ms int64, length int) {
	i := 0
	for ; i < len(text) && '0' <= text[i] && text[i] <= '9' && i < 13; i++ {
		ms = 10*ms + int64(text[i]-'0')
	}
	if i == 0 {
		return 0, 0
	}
	ms *= 1000
	if i == len(text) || text[i] != '.' {
		return ms, i
	}
	i++
	for scale := int64(100); i < len(text) && '0' <= text[i] && text[i] <= '9'; i++ {
		ms += scale * int64(text[i]-'0')
		scale /= 10
	}
	return ms, i
}

// tens is 10 to the power of n, exactly for n up to 22.
func tens(n int) float64 {
	table := [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}
	return table[n]
}
