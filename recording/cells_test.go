package recording_test

import (
	"testing"
	"time"

	"wattmark/recording"
)

// Times by hand: 2025-01-15 12:34:56 UTC is 1736944496.
func TestStamps(t *testing.T) {
	const at = 1736944496
	angeles, err := time.LoadLocation("America/Los_Angeles") // eight hours behind in January
	if err != nil {
		t.Fatal(err)
	}
	none := -1.0
	for _, tt := range []struct {
		name, cell    string
		utc, local    float64 // none: not a time
		lenientDiffer float64 // what lenient reading makes of it, if that is something else
	}{
		{"nvidia-smi", "2025/01/15 12:34:56.789", at + 0.789, at + 8*3600 + 0.789, 0},
		{"without a fraction", "2025/01/15 12:34:56", at, at + 8*3600, 0},
		{"six digits", "2025/01/15 12:34:56.000001", at + 1e-6, at + 8*3600 + 1e-6, 0},
		{"seven digits", "2025/01/15 12:34:56.0000001", none, none, 0},
		{"epoch", "1736944496", at, at, 0},
		{"epoch with a fraction", " 1736944496.25 ", at + 0.25, at + 0.25, 0},
		{"milliseconds", "1736944496250", at + 0.25, at + 0.25, 0},
		{"the last second", "1000000000000", 1e12, 1e12, 0},
		{"the first millisecond", "1000000000001", 1e9 + 0.001, 1e9 + 0.001, 0},
		{"microseconds", "1736944496250000", 1736944496250, 1736944496250, at + 0.25},
		{"nanoseconds", "1736944496000000000", 1736944496000000, 1736944496000000, at},
		{"exponent", "1.736944496e9", none, none, at},
		{"ISO, no zone", "2025-01-15T12:34:56.5", at + 0.5, at + 8*3600 + 0.5, 0},
		{"ISO with a space", "2025-01-15 12:34:56", at, at + 8*3600, 0},
		{"ISO, UTC", "2025-01-15T12:34:56Z", at, at, 0},
		{"ISO, offset", "2025-01-15T13:34:56+01:00", at, at, 0},
		{"ISO, basic", "20250115T123456.5-0800", at + 8*3600 + 0.5, at + 8*3600 + 0.5, 0},
		{"a date", "2025-01-15", at - 12*3600 - 34*60 - 56, at - 4*3600 - 34*60 - 56, 0},
		{"a header", "timestamp", none, none, 0},
		{"torn", "2025/01/15 12:3", none, none, 0},
		{"torn in the seconds", "2025/01/15 12:34:5", at - 51, at + 8*3600 - 51, 0},
		{"empty", "", none, none, 0},
		{"no such day", "2025/02/29 00:00:00", none, none, 0},
		{"a leap second", "2016/12/31 23:59:60", none, none, 0},
		{"shown twice: the first", "2025/11/02 01:30:00", 1762047000, 1762072200, 0},
		{"never shown: by the offset before", "2025/03/09 02:30:00", 1741487400, 1741516200, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			check := func(zone *time.Location, lenient bool, want float64) {
				t.Helper()
				got, ok := recording.ReadStamp(tt.cell, zone, lenient)
				if ok != (want != none) || ok && got != want {
					t.Errorf("%q in %v, lenient %v: got %.6f %v, want %.6f", tt.cell, zone, lenient, got, ok, want)
				}
			}
			check(time.UTC, false, tt.utc)
			check(angeles, false, tt.local)
			if tt.lenientDiffer == 0 {
				tt.lenientDiffer = tt.utc
			}
			check(time.UTC, true, tt.lenientDiffer)
		})
	}
}

func TestPower(t *testing.T) {
	none := -1.0
	for _, tt := range []struct {
		cell            string
		strict, lenient float64
	}{
		{"412.34 W", 412.34, 412.34},
		{"412.34", 412.34, 412.34},
		{" 700 ", 700, 700},
		{"0", 0, 0},
		{"draw 5 of 700 W", 5, 5},
		{"", none, none},
		{"N/A", none, none},
		{"[N/A]", none, none},
		{"na", none, none},
		{"[Not Supported]", none, none},
		{"-5 W", none, none},
		{"-0.0", 0, 0},
		{"1.2e3", 1.2, 1200},
		{"1.5E-1 kW", 1.5, 0.15},
		{"1,234 W", 1, 1234},
		{"12,34 W", 12, 12},
		{"1,234,567.5", 1, 1234567.5},
		{"+50", 50, 50},
		{".5", 5, 5},
		{"9999999999999999999999999", 1e25, 1e25},
	} {
		for lenient, want := range map[bool]float64{false: tt.strict, true: tt.lenient} {
			if got, ok := recording.ReadPower(tt.cell, lenient); ok != (want != none) || ok && got != want {
				t.Errorf("%q, lenient %v: got %v %v, want %v", tt.cell, lenient, got, ok, want)
			}
		}
	}
}
