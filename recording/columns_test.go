package recording_test

import (
	"strings"
	"testing"

	"wattmark/recording"
)

// The columns that InferenceX's tests name, and the guesses that its order of columns decides (facts §2.6, 5).
func TestFindColumns(t *testing.T) {
	for _, tt := range []struct {
		name             string
		header           string
		stamp, power, id int
		lenient          [3]int
	}{
		{"nvidia-smi", nvidiaHeader, 0, 2, 1, [3]int{0, 2, 1}},
		{"amd-smi", "timestamp,gpu,socket_power", 0, 2, 1, [3]int{0, 2, 1}},
		{"amd-smi's watch mode", amdHeader, 0, 10, 1, [3]int{0, 10, 1}},
		{"a limit first", "timestamp, index, power.limit [W], power.draw [W]", 0, 3, 1, [3]int{0, 3, 1}},
		{"all that is no power", "enforced.power.limit,power_cap,max_power,Min Power,power", -1, 4, -1, [3]int{-1, 4, -1}},
		{"nothing", "a,b,c", -1, -1, -1, [3]int{-1, -1, -1}},
		{"any case and white space", " TIME ,\tGPU_Index,Average Power (W)", 0, 2, 1, [3]int{0, 2, 1}},
		{"every name of a GPU", "device", -1, -1, 0, [3]int{-1, -1, 0}},
		{"not quite a GPU", "gpu name,gpus,gpu_uuid", -1, -1, -1, [3]int{-1, -1, 2}},
		{"a state first", "power_management,socket_power,timestamp,gpu", 2, 0, 3, [3]int{2, 1, 3}},
		{"uptime first", "uptime,timestamp,gpu,power", 0, 3, 2, [3]int{1, 3, 2}},
		{"min in a name", "admin_power,time,card", 1, -1, 2, [3]int{1, -1, 2}},
		{"uuid only", "timestamp, uuid, power.draw [W]", 0, 2, -1, [3]int{0, 2, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, want := recording.FindColumns(tt.header, false), [3]int{tt.stamp, tt.power, tt.id}; got != want {
				t.Errorf("%q: got %v, want %v", strings.TrimSpace(tt.header), got, want)
			}
			if got := recording.FindColumns(tt.header, true); got != tt.lenient {
				t.Errorf("%q, lenient: got %v, want %v", strings.TrimSpace(tt.header), got, tt.lenient)
			}
		})
	}
}
