package agg_test

import (
	"strings"
	"testing"

	"wattmark/agg"
)

// An aggregate for which there is no memory is left alone, and who reads why is told what to do.
func TestAggregateLargerThanTheMemoryForIt(t *testing.T) {
	large := strings.Replace(aggregate, "h200", strings.Repeat("h", 1000), 1)
	for limit, want := range map[int64]string{
		0: agg.StatusPatched, int64(len(large)): agg.StatusPatched, int64(len(large)) - 1: agg.StatusFailed, 1 << 40: agg.StatusPatched,
	} {
		dir, root := results(t, map[string]string{"agg_R.json": large})
		f := both()
		f.MaxBytes = limit
		got, err := agg.Write(root, measured(), f)
		if err != nil || got.Status != want {
			t.Errorf("limit %d: got %v, %v, want %s", limit, got, err, want)
		}
		if want == agg.StatusFailed && (holds(t, dir, "agg_R.json") != large || !strings.Contains(got.Detail, "wattmark aggregate --window")) {
			t.Errorf("limit %d: %q", limit, got.Detail)
		}
	}
}
