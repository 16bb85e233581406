package main

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// job is a benchmark of InferenceX: a workspace, a container that runs a script in it, and the host afterwards.
type job struct {
	t         *testing.T
	workspace string
	env       []string
	deploy    string // deploy/inferencex
	host      *syscall.SysProcAttr
}

// simulatedPair measures two GPUs at 500 W each.
func simulatedPair() []string {
	return []string{
		"WATTMARK_BACKEND=sim", "WATTMARK_SIM=2xH200,load=constant,watts=500", "WATTMARK_ALLOW_SIMULATED=true",
		"WATTMARK_LISTEN=127.0.0.1:0",
	}
}

// newJob has a workspace that belongs to another user than the container's, where the test runs as root.
func newJob(t *testing.T, env ...string) *job {
	t.Helper()
	deploy, err := filepath.Abs("../../deploy/inferencex")
	if err != nil {
		t.Fatal(err)
	}
	bin, dir := t.TempDir(), t.TempDir()
	binary, err := os.ReadFile(program(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(bin, "wattmark"), binary, 0o755), os.Chmod(filepath.Dir(bin), 0o755), os.Chmod(bin, 0o755), os.Chmod(dir, 0o755),
	); err != nil {
		t.Fatal(err)
	}
	j := &job{t: t, workspace: dir, deploy: deploy}
	if os.Geteuid() == 0 {
		const nobody = 65534
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		j.host = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	j.env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "RESULT_FILENAME=dsr1_tp2_conc4", "GPU_COUNT=2", "WORKSPACE="+dir,
		"MONITOR="+filepath.Join(deploy, "wattmark_monitor.sh"), "TMPDIR="+t.TempDir())
	j.env = append(j.env, env...)
	return j
}

// container runs a benchmark script there, under the strictest bash, as the container's user.
func (j *job) container(script string) (out string, err error) {
	j.t.Helper()
	return j.bash(script, nil)
}

// finalize runs the host's step as the host's user, with the script's text on stdin: its folder may not be readable to it.
func (j *job) finalize(args ...string) (out string, err error) {
	j.t.Helper()
	text, err := os.ReadFile(filepath.Join(j.deploy, "wattmark_finalize.sh"))
	if err != nil {
		j.t.Fatal(err)
	}
	return j.bash(string(text), j.host, args...)
}

func (j *job) bash(script string, as *syscall.SysProcAttr, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(j.t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", append([]string{"-euo", "pipefail", "-c", script, "script"}, args...)...)
	command.Dir, command.Env, command.SysProcAttr = j.workspace, j.env, as
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	command.WaitDelay = 5 * time.Second // a daemon that was left behind holds the pipe
	err := command.Run()
	return out.String(), err
}

// aggregate makes the aggregate as process_result.py does, after the container is gone.
func (j *job) aggregate() string {
	j.t.Helper()
	const name, text = "agg_dsr1_tp2_conc4.json", "{\n  \"hw\": \"h200\",\n  \"tp\": 2\n}"
	write(j.t, j.workspace, name, text)
	if j.host != nil {
		if err := os.Chown(filepath.Join(j.workspace, name), int(j.host.Credential.Uid), -1); err != nil {
			j.t.Fatal(err)
		}
	}
	return name
}

// off is by what share an energy differs from that of simulatedPair, 1000 W, between the stamps in a benchmark's result:
// on a busy machine its phases last longer than they should.
func (j *job) off(joules float64, benchmark string) float64 {
	j.t.Helper()
	b := decode(j.t, []byte(read(j.t, j.workspace, benchmark)))
	truth := 1000 * (b.number(j.t, "benchmark_end_time_unix") - b.number(j.t, "benchmark_start_time_unix"))
	return math.Abs(joules-truth) / truth
}

func (j *job) has(name string) bool {
	_, err := os.Stat(filepath.Join(j.workspace, name))
	return err == nil
}

// Whoever comes later can write: all files belong to the folder's owner, with mode 0644, and no collector takes them for
// its own.
func (j *job) checkFiles() {
	j.t.Helper()
	ours := regexp.MustCompile(`^(power_|wattmark_|gpu_metrics)`)
	entries, err := os.ReadDir(j.workspace)
	if err != nil {
		j.t.Fatal(err)
	}
	seen := 0
	for _, entry := range entries {
		name := entry.Name()
		if !ours.MatchString(name) {
			if name != "dsr1_tp2_conc4.json" && name != "agg_dsr1_tp2_conc4.json" {
				j.t.Errorf("%s is left", name)
			}
			continue
		}
		seen++
		for _, glob := range []string{"agg_*", "dsr1_tp2_conc4_*", "dsr1_tp2_conc4.json", "results*.json", "sample*.jsonl", "meta_env.json"} {
			if match, _ := filepath.Match(glob, name); match {
				j.t.Errorf("%s matches %s", name, glob)
			}
		}
		info, err := entry.Info()
		if err != nil {
			j.t.Fatal(err)
		}
		if info.Mode().Perm() != 0o644 {
			j.t.Errorf("%s has mode %v, want 0644", name, info.Mode())
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !strings.HasSuffix(name, ".log") && j.host != nil && ok && stat.Uid != j.host.Credential.Uid {
			j.t.Errorf("%s belongs to %d, not to the folder's owner", name, stat.Uid)
		}
	}
	if seen < 4 {
		j.t.Errorf("%d files of ours: is the pattern right?", seen)
	}
	// As process_result.py opens its files.
	const python = `python3 -c 'import glob; [open(f, "r+").close() for f in glob.glob("power_*.json")]'`
	if out, err := j.bash(python, j.host); err != nil {
		j.t.Errorf("the host's user cannot write: %v\n%s", err, out)
	}
}
