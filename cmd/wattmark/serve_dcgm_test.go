package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"wattmark/internal/amdsmidouble"
	"wattmark/internal/nvmldouble"
)

// dcgmURL is where the daemon answers scrapes, by its log.
func dcgmURL(t *testing.T, d *served) string {
	t.Helper()
	var found []string
	waitFor(t, "the DCGM listener", func() bool {
		found = regexp.MustCompile(`dcgm_address=(\S+)`).FindStringSubmatch(d.log.String())
		return found != nil
	})
	return "http://" + found[1] + "/metrics"
}

// consumer runs dcgm/testdata/consumers.py.
func consumer(t *testing.T, who, url string, seconds float64, result any) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	command := exec.CommandContext(t.Context(), python, "../../dcgm/testdata/consumers.py", who, url, strconv.FormatFloat(seconds, 'f', -1, 64))
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err == nil {
		err = json.Unmarshal(out, result)
	}
	if err != nil {
		t.Fatalf("%s: %v", who, err)
	}
}

type aiperfResult struct {
	Start, End float64
	Records    int
	Fields     []string
	GPUs       map[string]struct {
		UUID, Model, Hostname, Device string
		PCIBusID                      string   `json:"pci_bus_id"`
		MeanW                         float64  `json:"mean_w"`
		EnergyJ                       *float64 `json:"energy_j"`
		Monotone                      bool
	}
}

type srtResult struct {
	Start, End float64
	Reasons    []string
	EnergyJ    map[string]float64 `json:"energy_j"`
	UUIDs      map[string]string
}

func unixTime(seconds float64) time.Time { return time.Unix(0, int64(seconds*1e9)) }

// AIPerf and srt-slurm read the built daemon on scripted drivers, and find the energy that was truly used.
func TestDCGMConsumers(t *testing.T) {
	nvidia := decoding(time.Now())
	library, file := nvmlLibrary(t, nvidia)
	amd := amdsmidouble.New(4)
	for _, tt := range []struct {
		name  string
		env   []string
		args  []string
		gpus  []int
		model string
		truth func(gpu int, from, to time.Time) float64
	}{
		{
			"nvidia",
			[]string{nvmldouble.ScriptVariable + "=" + file},
			[]string{"--backend", "nvidia", "--nvml-library", library, "--gpus", "1,3,4,6"},
			[]int{1, 3, 4, 6},
			"NVIDIA H200", nvidia.TrueJoules,
		},
		{
			"amd", nil,
			[]string{"--backend", "amd-sysfs", "--sysfs-root", amdSysfs(t, amd, 7)},
			[]int{0, 1, 2, 3},
			"MI300X",
			func(gpu int, from, to time.Time) float64 {
				begin := amdsmidouble.AtUnix(float64(from.UnixNano()) / 1e9)
				return amd.TrueJoules(gpu, begin, begin+to.Sub(from).Nanoseconds())
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := serve(t, tt.env, append(tt.args, "--dcgm-listen", "127.0.0.1:0", "--dcgm-names", "both")...).ready()
			url := dcgmURL(t, d)
			done := make(chan aiperfResult)
			go func() {
				var a aiperfResult
				consumer(t, "aiperf", url, 3.5, &a)
				done <- a
			}()
			var s srtResult
			consumer(t, "srt", url, 3.5, &s)
			a := <-done

			if len(s.Reasons) > 0 || len(s.EnergyJ) != len(tt.gpus) {
				t.Errorf("srt-slurm: reasons %v, GPUs %v", s.Reasons, s.EnergyJ)
			}
			if !slices.Contains(a.Fields, "gpu_power_usage") || !slices.Contains(a.Fields, "energy_consumption") || len(a.GPUs) != len(tt.gpus) {
				t.Errorf("AIPerf: fields %v, GPUs %v", a.Fields, a.GPUs)
			}
			if a.Records < 10 { // at 1 Hz it would be 4: what is read through is new each time
				t.Errorf("AIPerf: %d records of 11 scrapes", a.Records)
			}
			for _, i := range tt.gpus {
				index := strconv.Itoa(i)
				gpu := a.GPUs[index]
				if gpu.EnergyJ == nil || !gpu.Monotone || gpu.UUID == "" || gpu.UUID != s.UUIDs[index] || !strings.Contains(gpu.Model, tt.model) ||
					gpu.Hostname == "" || gpu.Device != tt.name+index || len(gpu.PCIBusID) != len("00000000:1B:00.0") {
					t.Errorf("AIPerf: GPU %d: %+v", i, gpu)
					continue
				}
				truth := tt.truth(i, unixTime(a.Start), unixTime(a.End))
				// A reading is at most 100 ms old, and a count at most 100 ms more, at 700 W and more.
				if off := math.Abs(*gpu.EnergyJ - truth); off > 0.2*800 {
					t.Errorf("AIPerf: GPU %d: %.0f J, truth %.0f J", i, *gpu.EnergyJ, truth)
				}
				if mean := truth / (a.End - a.Start); math.Abs(gpu.MeanW-mean) > 0.2*mean {
					t.Errorf("AIPerf: GPU %d: mean %.0f W, truth %.0f W", i, gpu.MeanW, mean)
				}
				truth = tt.truth(i, unixTime(s.Start), unixTime(s.End))
				if off := math.Abs(s.EnergyJ[index] - truth); off > 0.2*truth { // power once a second
					t.Errorf("srt-slurm: GPU %d: %.0f J, truth %.0f J", i, s.EnergyJ[index], truth)
				}
			}
		})
	}
}

// A port that is taken is a warning; HEAD is answered; the flags also come from the environment.
func TestDCGMListener(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	d := serve(t, []string{"WATTMARK_DCGM_LISTEN=" + taken.Addr().String()}, "--backend", "sim").ready()
	waitFor(t, "a warning", func() bool { return strings.Contains(d.log.String(), "address already in use") })
	d.must("/v1/mark-start", "run", "r")
	d.must("/v1/mark-end", "run", "r")

	d = serve(t, []string{"WATTMARK_DCGM_LISTEN=127.0.0.1:0", "WATTMARK_DCGM_NAMES=current"}, "--backend", "sim", "--sim", "2xMI300X").ready()
	response, err := http.Head(dcgmURL(t, d))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if length, err := strconv.Atoi(response.Header.Get("Content-Length")); response.StatusCode != 200 || err != nil || length < 1000 {
		t.Errorf("HEAD: status %d, length %q", response.StatusCode, response.Header.Get("Content-Length"))
	}
	if took, err := d.stop(); err != nil || took > 2*time.Second {
		t.Errorf("SIGTERM: %v after %v, want exit 0 within 2 s", err, took)
	}
	if _, errs, code := wattmark(t, t.TempDir(), nil, "serve", "--dcgm-names", "new"); code != 2 || !strings.Contains(errs, "legacy") {
		t.Errorf("exit %d, %s; want 2 and the names there are", code, errs)
	}
}

// With a GPU that hangs the endpoint answers within its bound, and shows the others.
func TestDCGMHungGPU(t *testing.T) {
	script := decoding(time.Now())
	d, file := nvmlDaemon(t, script, "--dcgm-listen", "127.0.0.1:0")
	url := dcgmURL(t, d)
	script.GPUs[3].Faults = []nvmldouble.Fault{nvmldouble.Hangs("*")}
	if err := script.Write(file); err != nil {
		t.Fatal(err)
	}
	longest := time.Duration(0)
	for begin := time.Now(); time.Since(begin) < 2*time.Second; {
		before := time.Now()
		response, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		longest = max(longest, time.Since(before))
	}
	if longest > time.Second { // 250 ms on an idle machine
		t.Errorf("a scrape took %v", longest)
	}
	var s srtResult
	consumer(t, "srt", url, 1, &s)
	if _, shown := s.UUIDs["3"]; shown || len(s.UUIDs) != 7 || len(s.Reasons) > 0 {
		t.Errorf("GPUs %v, reasons %v; want all but GPU 3", s.UUIDs, s.Reasons)
	}
	if !strings.Contains(fmt.Sprint(d.status("/readyz")), "503") {
		t.Error("/readyz does not say that a GPU hangs")
	}
}
