package recording

import "fmt"

// Code names what is wrong with a file, in the words of InferenceX's reason codes.
type Code string

// The codes, in the order in which a file is looked at.
const (
	FileMissing         Code = "telemetry_file_missing" // no regular file
	FileEmpty           Code = "telemetry_file_empty"
	FileUnreadable      Code = "telemetry_file_unreadable"
	StampColumnMissing  Code = "timestamp_column_missing"
	PowerColumnMissing  Code = "power_column_missing"
	GPUColumnMissing    Code = "gpu_identity_column_missing"
	InvalidStamp        Code = "invalid_timestamp_sample"
	InvalidPower        Code = "invalid_power_sample"
	IdentityMissing     Code = "gpu_identity_missing"
	rowsSkipped         Code = "csv_rows_skipped"         // a note: rows without a time, away from the window
	powerMissingSkipped Code = "csv_power_missing"        // a note: cells without power
	powerWrongSkipped   Code = "power_readings_rejected"  // a note: cells with what no GPU draws
	identitySkipped     Code = "csv_gpu_identity_missing" // a note: rows that name no GPU
)

// Fault is something wrong with a file.
type Fault struct {
	Code  Code
	Line  int    // of the first row that has it, from 1; 0: it concerns the whole file
	Text  string // what stands there, or what the system says
	Count int    // how many rows have it
}

// String says where it is, for people.
func (f Fault) String() string {
	text := string(f.Code)
	if f.Line > 0 {
		text = fmt.Sprintf("line %d: %s", f.Line, text)
	}
	if f.Text != "" {
		text += fmt.Sprintf(": %.80q", f.Text)
	}
	if f.Count > 1 {
		text += fmt.Sprintf(" (%d rows)", f.Count)
	}
	return text
}

// faults are found faults, each code once, in the order of their first occurrence.
type faults []Fault

func (f *faults) add(code Code, line int, text []byte) {
	for i := range *f {
		if (*f)[i].Code == code {
			(*f)[i].Count++
			return
		}
	}
	*f = append(*f, Fault{code, line, string(text[:min(len(text), 80)]), 1})
}
