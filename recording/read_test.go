package recording_test

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wattmark/recording"
	"wattmark/sampler"
	"wattmark/window"
)

// readings prints what was kept, as "gpu@seconds=watts".
func readings(r *recording.Recording) string {
	var all []string
	for _, gpu := range r.GPUs {
		for i := range gpu.Unix {
			all = append(all, fmt.Sprintf("%s@%v=%v", gpu.ID, gpu.Unix[i], gpu.Watts[i]))
		}
	}
	return strings.Join(all, " ")
}

func codes(faults []recording.Fault) string {
	var all []string
	for _, f := range faults {
		all = append(all, fmt.Sprintf("%s:%d", f.Code, f.Line))
	}
	return strings.Join(all, " ")
}

// The window of these files is 100 to 200, the band 97 to 203. Faults and notes are given with the line they are on.
func TestRead(t *testing.T) {
	const head = "timestamp, index, power.draw [W]\n"
	for _, tt := range []struct {
		name, file            string
		want, faults          string
		lenient, lenientNotes string // "": as want, as faults
		lenientFaults         string
	}{
		{name: "plain", file: head + "100, 0, 5 W\n101, 0, 6 W\n", want: "0@100=5 0@101=6"},
		{name: "CRLF", file: "timestamp,gpu,power\r\n100,0,5\r\n101,0,6\r\n", want: "0@100=5 0@101=6"},
		{name: "CR", file: "timestamp,gpu,power\r100,0,5\r101,0,6", want: "0@100=5 0@101=6"},
		{name: "byte order mark", file: "\ufeff" + head + "100, 0, 5 W\n", want: "0@100=5"},
		{
			name: "byte order mark before the index", file: "\ufeffindex,time,power\n0,100,5\n",
			faults: "gpu_identity_column_missing:0", lenient: "0@100=5",
		},
		{name: "any order", file: "power,gpu,temp,time\n5,1,60,100\n6,0,60,100\n", want: "0@100=6 1@100=5"},
		{name: "quotes", file: "\"timestamp\",\"gpu\",x,power\n100,0,\"['N/A', 'N/A']\",5\n", want: "0@100=5"},
		{name: "doubled quotes", file: "timestamp,gpu,x,power\n100,0,\"a \"\"b\"\", c\",5\n", want: "0@100=5"},
		{name: "a quoted line end", file: "timestamp,gpu,x,power\n100,0,\"a\nb\",5\nx,0,,6\n", want: "0@100=5", faults: "invalid_timestamp_sample:4"},
		{name: "times twice: the mean", file: head + "100, 0, 5\n100.0, 0, 6\n100, 0, 10\n", want: "0@100=7"},
		{name: "not in order", file: head + "102, 0, 7\n100, 0, 5\n101, 0, 6\n", want: "0@100=5 0@101=6 0@102=7"},
		{name: "the band", file: head + "96.9, 0, 1\n97, 0, 2\n203, 0, 3\n203.1, 0, 4\n", want: "0@97=2 0@203=3"},
		{name: "odd power outside", file: head + "90, 0, N/A\n100, 0, 5\n300, 0, foo\n", want: "0@100=5"},
		{name: "no GPU outside", file: head + "90, , 5\n100, 0, 5\n", want: "0@100=5"},
		{name: "names", file: head + "100, GPU-b, 1\n100, 10, 2\n100, 9, 3\n100, GPU-a, 4\n", want: "9@100=3 10@100=2 GPU-a@100=4 GPU-b@100=1"},
		{name: "blank lines", file: "\n\n" + head + "\n100, 0, 5\n\n\n101, 0, 6\n", want: "0@100=5 0@101=6"},
		{name: "extra and missing cells", file: head + "100, 0, 5, 6, 7\n101, 0\n", want: "0@100=5", faults: "invalid_power_sample:3", lenientNotes: "csv_power_missing:3", lenientFaults: "-"},
		{name: "no power in the band", file: head + "100, 0, 5\n101, 0, N/A\n102, 0, [N/A]\n", want: "0@100=5", faults: "invalid_power_sample:3", lenientNotes: "csv_power_missing:3", lenientFaults: "-"},
		{name: "negative power", file: head + "100, 0, -5\n101, 0, 6\n", want: "0@101=6", faults: "invalid_power_sample:2", lenientNotes: "power_readings_rejected:2", lenientFaults: "-"},
		{name: "megawatts", file: head + "100, 0, 4000000\n101, 0, 6\n", want: "0@100=4e+06 0@101=6", lenient: "0@101=6", lenientNotes: "power_readings_rejected:2"},
		{name: "no GPU named", file: head + "100, , 5\n101, 0, 6\n102,  , 7\n", want: "0@101=6", faults: "gpu_identity_missing:2", lenientNotes: "csv_gpu_identity_missing:2", lenientFaults: "-"},
		{name: "torn at the end, far from the window", file: head + "100, 0, 5\n300, 0, 6\n3001/1", want: "0@100=5", faults: "invalid_timestamp_sample:4", lenientNotes: "csv_rows_skipped:4", lenientFaults: "-"},
		{name: "torn beside the window", file: head + "100, 0, 5\nfoo\n300, 0, 6\n", want: "0@100=5", faults: "invalid_timestamp_sample:3"},
		{name: "torn before the window's first row", file: head + "50, 0, 1\nfoo\n100, 0, 5\n", want: "0@100=5", faults: "invalid_timestamp_sample:3"},
		{name: "repeated header", file: head + "100, 0, 5\n" + head + "101, 0, 6\n", want: "0@100=5 0@101=6", faults: "invalid_timestamp_sample:3", lenientFaults: "-"},
		{
			name: "repeated header in another order", file: "timestamp,gpu,power\n100,0,5\n\ngpu,x,y,power,timestamp\n0,,,6,101\n",
			want: "0@100=5", faults: "invalid_timestamp_sample:4", lenient: "0@100=5 0@101=6", lenientFaults: "-",
		},
		{
			name: "amd-smi's watch mode", file: "'CTRL' + 'C' to stop watching output:\ntimestamp,gpu,socket_power\n100,0,5\n\n",
			faults:  "timestamp_column_missing:0 power_column_missing:0 gpu_identity_column_missing:0",
			lenient: "0@100=5", lenientFaults: "-",
		},
		{name: "a column missing", file: "timestamp,power.limit\n100,5\n", faults: "power_column_missing:0 gpu_identity_column_missing:0"},
		{name: "no line at all", file: "\n", faults: "timestamp_column_missing:0 power_column_missing:0 gpu_identity_column_missing:0"},
		{name: "thousands", file: head + "100, 0, \"1,234.5 W\"\n", want: "0@100=1", lenient: "0@100=1234.5"},
		{name: "bad bytes", file: head + "100, \xff, 5\n101, 0, \xe9 6\n", want: "0@101=6 \ufffd@100=5"},
		{name: "a field without end", file: head + "100, 0, 5\n101, 0, \"" + strings.Repeat("x", 131073), want: "0@100=5", faults: "telemetry_file_unreadable:0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			read := func(lenient bool) *recording.Recording {
				return recording.Read(strings.NewReader(tt.file), recording.Options{Zone: time.UTC, From: 97, To: 203, Lenient: lenient})
			}
			r := read(false)
			if got := readings(r); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if got := codes(r.Faults); got != tt.faults {
				t.Errorf("faults: got %s, want %s", got, tt.faults)
			}
			if tt.lenient == "" {
				tt.lenient = tt.want
			}
			switch {
			case tt.lenientFaults == "-" || tt.lenient != tt.want:
				tt.lenientFaults = ""
			case tt.lenientFaults == "":
				tt.lenientFaults = tt.faults
			}
			r = read(true)
			if got := readings(r); got != tt.lenient {
				t.Errorf("lenient: got %s, want %s", got, tt.lenient)
			}
			if got := codes(r.Faults); got != tt.lenientFaults {
				t.Errorf("lenient: faults: got %s, want %s", got, tt.lenientFaults)
			}
			if got := codes(r.Notes); got != tt.lenientNotes {
				t.Errorf("lenient: notes: got %s, want %s", got, tt.lenientNotes)
			}
		})
	}
}

// A fault says where it is and what stands there.
func TestFaultNamesTheLine(t *testing.T) {
	file := "timestamp,gpu,power\n100,0,5\nUnable to determine the device handle\n101,0,N/A\nfoo\n"
	r := recording.Read(strings.NewReader(file), recording.Options{})
	var said []string
	for _, f := range r.Faults {
		said = append(said, f.String())
	}
	want := []string{
		`line 3: invalid_timestamp_sample: "Unable to determine the device handle" (2 rows)`,
		`line 4: invalid_power_sample: "N/A"`,
	}
	if !slices.Equal(said, want) {
		t.Errorf("got %q, want %q", said, want)
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "empty.csv"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:                             "telemetry_file_missing:0",
		filepath.Join(dir, "none.csv"):  "telemetry_file_missing:0",
		filepath.Join(dir, "empty.csv"): "telemetry_file_empty:0",
	} {
		if r := recording.ReadFile(path, recording.Options{}); codes(r.Faults) != want || r.Opened {
			t.Errorf("%s: got %v, opened %v, want %s", path, r.Faults, r.Opened, want)
		}
	}
}

// A recording is a Source: the energy of a straight line is known.
func TestSource(t *testing.T) {
	var file strings.Builder
	file.WriteString("timestamp,gpu,power\n")
	for i := range 121 { // 100 W + 2 W/s and 300 W
		fmt.Fprintf(&file, "%d.5,0,%d\n%d.25,GPU-x,300\n", 1000+i, 100+2*i, 1000+i)
	}
	r := recording.Read(strings.NewReader(file.String()), recording.Options{})
	var _ window.Source = r
	w := window.Window{Start: recording.Moment(1010), End: recording.Moment(1070.125)}
	got := window.Measure(r, w, window.Limits{Method: window.Trapezoid})
	length := 60.125
	want := []float64{length * (100 + 2*(9.5+length/2)), length * 300}
	if len(got.GPUs) != 2 || !got.Valid() {
		t.Fatalf("got %d GPUs, %v", len(got.GPUs), got.AllReasons())
	}
	for i, gpu := range got.GPUs {
		if e := gpu.Energy.Or(0); e < want[i]*(1-1e-9) || e > want[i]*(1+1e-9) {
			t.Errorf("GPU %d: %v J, want %v", i, e, want[i])
		}
	}
	if got.GPUs[0].Index != 0 || got.GPUs[1].Index != -1 || got.GPUs[1].UUID != "GPU-x" {
		t.Errorf("GPUs = %+v", got.GPUs)
	}
	part, _ := iter.Pull(r.Series(recording.Moment(1010), recording.Moment(1012)))
	if s, ok := part(); !ok || len(s.Readings) != 4 || s.Readings[0].At != (sampler.Moment{UnixNano: 1009.5e9}) {
		t.Errorf("series from 1010 to 1012 = %+v", s.Readings)
	}
}
