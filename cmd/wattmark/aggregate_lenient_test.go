package main

import (
	"slices"
	"strings"
	"testing"
)

// Files that InferenceX's script voids or misreads although they say all that is needed: by default wattmark does
// likewise, with --strict=false it does better and says what it passed over (docs/inferencex.md).
func TestAggregateCSVLenient(t *testing.T) {
	two := recorded(steady(400, 998, 1006), steady(600, 998, 1006))
	for _, tt := range []struct {
		name   string
		csv    string
		raw    string
		strict string  // reasons
		energy float64 // strict, if valid; lenient is 4000 J
		notes  []any   // lenient
	}{
		{"torn row after the run", two + "2000, 0, 5\n20", "", "", 4000, nil},
		{"torn row in mid-file", strings.Replace(two, "\n", "\n10, 0, 5\ntorn by ki\n11, 0, 5\n", 1), "", "invalid_timestamp_sample", 0, []any{"csv_rows_skipped"}},
		{"repeated header", strings.Replace(two, "1002, 0,", "timestamp, index, power.draw [W]\n1002, 0,", 1), "", "invalid_timestamp_sample", 0, nil},
		{"power blanked while idle", strings.Replace(two, "1005, 0, 400 W", "1005, 0, N/A", 1), "", "invalid_power_sample", 0, []any{"csv_power_missing"}},
		{"a reading of megawatts", strings.Replace(two, "1005, 0, 400 W", "1005, 0, 4e6 W", 1), "", "", 4000, []any{"power_readings_rejected"}},
		{"exponents", strings.ReplaceAll(two, "400 W", "4.0e2 W"), "", "", 2416, nil},
		{"thousands", strings.ReplaceAll(two, "400 W", `"0,400 W"`), "", "", 2400, nil},
		{"a state before the power", strings.NewReplacer("timestamp,", "timestamp, power_state, ", ", 0,", ", 3, 0,", ", 1,", ", 3, 1,").Replace(two), "", "", 24, nil},
		{"microseconds", strings.NewReplacer(", 0,", "000000.0, 0,", ", 1,", "000000.0, 1,", "\n99", "\n170000099", "\n100", "\n170000100").Replace(two), "", "no_usable_power_samples expected_gpu_count_mismatch", 0, nil},
		{"uuid for an index", strings.Replace(two, "index", "uuid", 1), "", "gpu_identity_column_missing", 0, nil},
		{"amd-smi's watch mode", "'CTRL' + 'C' to stop watching output:\n" + two, "", "timestamp_column_missing power_column_missing gpu_identity_column_missing", 0, nil},
		{"a list for a result", two, "[]", "aggregation_internal_error", 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			benchmark := metered(nil)
			if tt.name == "microseconds" {
				benchmark = metered(map[string]any{"benchmark_start_time_unix": 1700001000, "benchmark_end_time_unix": 1700001004})
			}
			o := offline{csv: tt.csv, benchmark: benchmark, raw: tt.raw}
			got := o.measure(t)
			if got.reasons() != tt.strict {
				t.Errorf("strict: reasons = %s, want %s", got.reasons(), tt.strict)
			}
			if energy := got.numbers(t)["total_gpu_energy_j"]; energy != tt.energy {
				t.Errorf("strict: %v J, want %v", energy, tt.energy)
			}
			o.args = []string{"--strict=false"}
			got = o.measure(t)
			if tt.raw != "" {
				if got.reasons() != "invalid_benchmark_result" {
					t.Errorf("lenient: reasons = %s", got.reasons())
				}
				return
			}
			if energy := got.numbers(t)["total_gpu_energy_j"]; got.reasons() != "" || energy != 4000 {
				t.Errorf("lenient: %v J, reasons = %s", energy, got.reasons())
			}
			if notes, _ := got.validation["notes"].([]any); !slices.Equal(notes, tt.notes) {
				t.Errorf("lenient: notes = %v, want %v", notes, tt.notes)
			}
		})
	}

	// What cannot be placed beside the window stays a reason: it may be the reading that matters.
	torn := strings.Replace(two, "1002, 0, 400 W", "10", 1)
	got := offline{csv: strings.Replace(torn, "\n10\n", "\nfoo\n", 1), benchmark: metered(nil), args: []string{"--strict=false"}}.measure(t)
	if got.reasons() != "invalid_timestamp_sample" {
		t.Errorf("a bad row in the window: reasons = %s", got.reasons())
	}
	if want := `line 6: invalid_timestamp_sample: "foo"`; !strings.Contains(got.errs, want) {
		t.Errorf("stderr lacks %s:\n%s", want, got.errs)
	}
}
