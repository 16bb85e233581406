package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a daemon calls its files in a Slurm job.
func TestNodeInSlurm(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ = strings.Cut(host, ".")
	for _, test := range []struct {
		name string
		env  []string
		args []string
		want string
	}{
		{"several nodes", []string{"SLURM_JOB_NUM_NODES=2", "SLURMD_NODENAME=gpu07.cluster"}, nil, "power_window_r_gpu07.json"},
		{"several nodes, and no name", []string{"SLURM_NNODES=2"}, nil, "power_window_r_" + host + ".json"},
		{"a name of one's own", []string{"SLURM_JOB_NUM_NODES=2", "SLURMD_NODENAME=gpu07"}, []string{"--node", "a"}, "power_window_r_a.json"},
		{"one node", []string{"SLURM_JOB_NUM_NODES=1", "SLURMD_NODENAME=gpu07"}, nil, "power_window_r.json"},
		{"a name that no file can have", []string{"SLURM_JOB_NUM_NODES=2", "SLURMD_NODENAME=a/b"}, nil, "power_window_r.json"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := append([]string{"SLURM_JOB_NUM_NODES=", "SLURM_NNODES=", "SLURMD_NODENAME="}, test.env...)
			d := serve(t, env, append([]string{"--backend", "sim", "--sim", "1xH200", "--allow-simulated"}, test.args...)...).ready()
			d.must("/v1/mark-start", "run", "r")
			d.must("/v1/mark-end", "run", "r")
			files, err := filepath.Glob(filepath.Join(d.results, "power_window_*"))
			if err != nil || len(files) != 1 || filepath.Base(files[0]) != test.want {
				t.Errorf("files %v, want %s", files, test.want)
			}
		})
	}
}
