package recording_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"wattmark/recording"
)

// The headers that amd-smi's versions print (facts/amd-smi.md, section 3).
func TestReadSnapshot(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		want       recording.Snapshot
		err        error
	}{
		{"26.1", "gpu,total_energy_consumption\n0,153000.002\n1,7\n", recording.Snapshot{"0": 153000.002, "1": 7}, nil},
		{
			"26.2 on MI355X", "gpu,socket_power,gfx_voltage,soc_voltage,mem_voltage,throttle_status,power_management,total_energy_consumption\n" +
				"0,238,N/A,N/A,N/A,N/A,ENABLED,178319501.7\n1,N/A,N/A,N/A,N/A,N/A,ENABLED,N/A\n",
			recording.Snapshot{"0": 178319501.7},
			nil,
		},
		{"no number", "gpu,total_energy_consumption\n0,N/A\n", nil, recording.ErrBadSnapshot},
		{"another column", "gpu,energy\n0,5\n", nil, recording.ErrBadSnapshot},
		{"empty", "", nil, recording.ErrBadSnapshot},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s.csv")
			if err := os.WriteFile(path, []byte(tt.file), 0o644); err != nil {
				t.Fatal(err)
			}
			got, err := recording.ReadSnapshot(path)
			if !maps.Equal(got, tt.want) || !errors.Is(err, tt.err) {
				t.Errorf("got %v, %v, want %v, %v", got, err, tt.want, tt.err)
			}
		})
	}
	start, end, startErr, endErr := recording.Snapshots(filepath.Join(t.TempDir(), "gpu_metrics.csv"))
	if start != nil || end != nil || !errors.Is(startErr, recording.ErrNoSnapshot) || !errors.Is(endErr, recording.ErrNoSnapshot) {
		t.Errorf("no files: %v, %v, %v, %v", start, end, startErr, endErr)
	}
}
