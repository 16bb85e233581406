package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"wattmark/internal/nvmldouble"
)

// divided are eight GPUs of which the last is divided into MIG instances.
func divided() nvmldouble.Script {
	script := decoding(time.Now())
	script.GPUs[7].MIG = 1
	script.GPUs[7].Parts = []string{"MIG-11111111-2222-3333-4444-000000000001", "MIG-55555555-2222-3333-4444-000000000002"}
	return script
}

// uuidOf is the double's name of a GPU.
func uuidOf(i int) string { return fmt.Sprintf("GPU-d0b1e000-0000-4000-8000-%012x", i) }

// indices are the GPUs of a result or list.
func indices(t *testing.T, a answerJSON) (list []int) {
	t.Helper()
	for _, gpu := range a.gpus(t) {
		list = append(list, int(gpu.number(t, "index")))
	}
	return list
}

// Which GPUs a daemon on a host of eight takes, by flag and by the environment of a job.
func TestChosenGPUs(t *testing.T) {
	t.Parallel()
	library, file := nvmlLibrary(t, divided())
	const part, sibling = "MIG-11111111-2222-3333-4444-000000000001", "MIG-55555555-2222-3333-4444-000000000002"
	for _, tt := range []struct {
		gpus, env string
		want      []int
		says      string
	}{
		{gpus: "", want: []int{0, 1, 2, 3, 4, 5, 6, 7}},
		{gpus: "4,5,6,7", want: []int{4, 5, 6, 7}},
		{gpus: uuidOf(3) + "," + uuidOf(1), want: []int{1, 3}},
		{gpus: "00000000:1C:00.0,1b:00.0", want: []int{0, 1}},
		{gpus: part, want: []int{7}},
		{gpus: part + "," + sibling + ",7", want: []int{7}}, // the GPU counts once
		{gpus: "MIG-" + uuidOf(2) + "/1/0", want: []int{2}},
		{gpus: "visible", want: []int{0, 1, 2, 3, 4, 5, 6, 7}},
		{gpus: "visible", env: "CUDA_VISIBLE_DEVICES=4,5", want: []int{4, 5}},
		{gpus: "visible", env: "CUDA_VISIBLE_DEVICES=" + uuidOf(6) + "," + uuidOf(0), want: []int{0, 6}},
		{gpus: "visible", env: "CUDA_VISIBLE_DEVICES=" + part + "," + sibling, want: []int{7}},
		{gpus: "visible", env: "CUDA_VISIBLE_DEVICES=2,3,9,4", want: []int{2, 3}, says: `\"9\"`}, // as CUDA does
		{gpus: "visible", env: "CUDA_VISIBLE_DEVICES=2,-1,3", want: []int{2}},
		{gpus: "visible", env: "CUDA_VISIBLE_DEVICES=", says: "shows no GPU"},
		{gpus: "visible", env: "CUDA_VISIBLE_DEVICES=9", says: `"9"`},
		{gpus: "8", says: "there is index 0, 1"},
		{gpus: "MIG-9", says: "unknown GPU"},
	} {
		env := []string{nvmldouble.ScriptVariable + "=" + file}
		if tt.env != "" {
			env = append(env, tt.env)
		}
		args := []string{"--backend", "nvidia", "--nvml-library", library}
		if tt.gpus != "" {
			args = append(args, "--gpus", tt.gpus)
		}
		if tt.want == nil {
			_, errs, code := wattmark(t, t.TempDir(), env, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
			if code != 2 || !strings.Contains(errs, tt.says) {
				t.Errorf("--gpus %s %s: exit %d, %s; want 2 and %q", tt.gpus, tt.env, code, errs, tt.says)
			}
			continue
		}
		d := serve(t, env, args...)
		answer := d.get("/v1/gpus")
		if got := indices(t, decode(t, answer)); !slices.Equal(got, tt.want) || !strings.Contains(string(answer), tt.says) {
			t.Errorf("--gpus %s %s: GPUs %v, want %v and %q\n%s", tt.gpus, tt.env, got, tt.want, tt.says, answer)
		}
		if _, err := d.stop(); err != nil {
			t.Error(err)
		}
	}
}

// A job of four GPUs on a host of eight is measured on its four: the daemon is told, or the mark, or the mark by the
// job's environment; a count that is not right is a reason.
func TestFourOfEight(t *testing.T) {
	t.Parallel()
	script := divided()
	library, file := nvmlLibrary(t, script)
	start := func(args ...string) *served {
		args = append([]string{"--backend", "nvidia", "--nvml-library", library}, args...)
		env := []string{nvmldouble.ScriptVariable + "=" + file, "CUDA_VISIBLE_DEVICES=6,1,4,2"} // only where it is asked for
		return serve(t, env, args...).ready()
	}
	all, four := start(), start("--gpus", "2,3,6,7")
	client := func(d *served, env []string, args ...string) answerJSON {
		out, errs, code := wattmark(t, d.results, env, append(args, "--addr", strings.TrimPrefix(d.base, "http://"))...)
		if code != 0 {
			t.Fatalf("%v: exit %d, %s", args, code, errs)
		}
		return decode(t, []byte(out))
	}
	const before = `{"tp": 4}`
	write(t, all.results, "agg_by_mark.json", before)
	write(t, all.results, "by_mark.json", `{"completed": 64, "total_input_tokens": 65536, "total_output_tokens": 16384}`)
	four.must("/v1/mark-start", "run", "by_flag", "expected_num_gpus", "4")
	all.must("/v1/mark-start", "run", "by_mark", "gpus", uuidOf(5)+","+uuidOf(0)+",1d:00.0,4", "expected_num_gpus", "4")
	all.must("/v1/mark-start", "run", "part", "gpus", "MIG-11111111-2222-3333-4444-000000000001,MIG-5", "expected_num_gpus", "1")
	all.must("/v1/mark-start", "run", "by_daemon", "gpus", "visible", "expected_num_gpus", "4")
	all.must("/v1/mark-start", "run", "whole", "expected_num_gpus", "4")
	started := client(all, []string{"CUDA_VISIBLE_DEVICES=1,3," + uuidOf(5) + ",7"}, "mark-start", "--run", "by_job", "--gpus", "visible", "--expected-num-gpus", "4")
	if got := indices(t, started); !slices.Equal(got, []int{1, 3, 5, 7}) {
		t.Errorf("mark-start --gpus visible: GPUs %v, want those of the job's environment", got)
	}
	time.Sleep(1500 * time.Millisecond) // the benchmark: the scripted driver keeps real time
	for _, tt := range []struct {
		run   string
		r     answerJSON
		want  []int
		valid bool
	}{
		{"by_flag", four.must("/v1/mark-end", "run", "by_flag"), []int{2, 3, 6, 7}, true},
		{"by_mark", all.must("/v1/mark-end", "run", "by_mark", "benchmark_result", "by_mark.json", "agg_result", "agg_by_mark.json"), []int{0, 2, 4, 5}, true},
		{"by_job", client(all, nil, "mark-end", "--run", "by_job"), []int{1, 3, 5, 7}, true},
		{"by_daemon", all.must("/v1/mark-end", "run", "by_daemon"), []int{1, 2, 4, 6}, true},
		{"part", all.must("/v1/mark-end", "run", "part"), []int{7}, true},
		{"whole", all.must("/v1/mark-end", "run", "whole"), []int{0, 1, 2, 3, 4, 5, 6, 7}, false},
	} {
		if got := indices(t, tt.r); !slices.Equal(got, tt.want) {
			t.Errorf("%s: GPUs %v, want %v", tt.run, got, tt.want)
		}
		checkTruth(t, script, tt.r)
		reasons := fmt.Sprint(tt.r["reasons"])
		if tt.r["power_valid"] != tt.valid || !tt.valid && reasons != "[expected_gpu_count_mismatch]" {
			t.Errorf("%s: power_valid %v, reasons %v", tt.run, tt.r["power_valid"], reasons)
		}
		for _, gpu := range tt.r.gpus(t) {
			index := int(gpu.number(t, "index"))
			scope := "gpu"
			if index == 7 {
				scope = "device_shared"
			}
			if gpu["uuid"] != uuidOf(index) || gpu["scope"] != scope {
				t.Errorf("%s: GPU %d: uuid %v, scope %v; want %s, %s", tt.run, index, gpu["uuid"], gpu["scope"], uuidOf(index), scope)
			}
		}
	}
	checkAggregate(t, before, read(t, all.results, "agg_by_mark.json"), decode(t, all.get("/v1/windows/by_mark")))
}

// After a reboot the driver may number the GPUs in another order: a UUID means the same GPU.
func TestUUIDAfterReorder(t *testing.T) {
	t.Parallel()
	script := decoding(time.Now())
	for i := range script.GPUs {
		script.GPUs[i].UUID, script.GPUs[i].BusID = uuidOf(7-i), fmt.Sprintf("0000:%02x:00.0", 0x1b+7-i)
	}
	library, file := nvmlLibrary(t, script)
	d := serve(t, []string{nvmldouble.ScriptVariable + "=" + file}, "--backend", "nvidia", "--nvml-library", library, "--gpus", uuidOf(0)).ready()
	d.must("/v1/mark-start", "run", "r")
	time.Sleep(time.Second)
	r := d.must("/v1/mark-end", "run", "r")
	if got := r.gpus(t); len(got) != 1 || got[0]["uuid"] != uuidOf(0) || got[0].number(t, "index") != 7 {
		t.Errorf("GPUs %v", got)
	}
	checkTruth(t, script, r)
}
