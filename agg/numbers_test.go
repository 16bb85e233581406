package agg

import "testing"

// The texts are Python's: json.dumps(round(x, decimals)).
func TestPythonNumbers(t *testing.T) {
	for _, test := range []struct {
		x        float64
		decimals int
		want     string
	}{
		{5600, 3, "5600.0"},
		{0, 3, "0.0"},
		{0.0625, 3, "0.062"}, // a tie in binary: half to even
		{0.1875, 3, "0.188"}, // and up
		{2.0005, 3, "2.001"}, // above the tie in binary
		{2.6755, 3, "2.675"}, // below it
		{1.0000005, 6, "1.000001"},
		{20.0 / 3, 6, "6.666667"}, // AgentX's test case
		{2533.6, 3, "2533.6"},     // H100 canary
		{194538.9996, 3, "194539.0"},
		{0.00009, 6, "9e-05"},
		{0.0001, 6, "0.0001"},
		{1e15, 3, "1000000000000000.0"},
		{1e16, 3, "1e+16"},
		{1.5e16, 3, "1.5e+16"},
		{123456789012345678, 3, "1.2345678901234568e+17"},
		{1e22, 6, "1e+22"},
		{1e100, 6, "1e+100"},
		{4.9e-7, 6, "0.0"},
		{5.1e-7, 6, "1e-06"},
	} {
		if got := pythonFloat(round(test.x, test.decimals)); got != test.want {
			t.Errorf("%v to %d decimals = %s, want %s", test.x, test.decimals, got, test.want)
		}
	}
}
