//go:build linux && cgo

package nvidia

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"wattmark/internal/nvmldouble"
	"wattmark/sampler"
)

func TestOpenSaysWhatIsWrong(t *testing.T) {
	for _, code := range []Code{DriverNotLoaded, LibraryNotFound, VersionMismatch, NoPermission, Unknown} {
		script := running(gpu())
		script.InitReturns = int(code)
		_, err := tryOpen(t, script)
		if !errors.Is(err, code) || !errors.Is(err, nvml.Return(code)) || Hint(err) == "" {
			t.Errorf("init code %d: %v, hint %q", int(code), err, Hint(err))
		}
	}
	if _, err := tryOpen(t, running(gpu())); err != nil {
		t.Errorf("the next time: %v", err)
	}

	_, err := Open(Config{Library: "libno-such-thing.so.1"})
	if !errors.Is(err, LibraryNotFound) || !strings.Contains(err.Error(), "cannot open shared object file") {
		t.Errorf("no library: %v", err)
	}
	garbage := filepath.Join(t.TempDir(), "libnvidia-ml.so.1")
	if err := os.WriteFile(garbage, []byte("not a library"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Library: garbage}); !errors.Is(err, LibraryNotFound) {
		t.Errorf("garbage: %v", err)
	}
	if _, err := Open(Config{Library: "libc.so.6"}); !errors.Is(err, FunctionNotFound) || Hint(err) == "" {
		t.Errorf("another library: %v", err)
	}
	if _, err := tryOpen(t, running()); !errors.Is(err, ErrNoGPU) || Hint(err) == "" {
		t.Errorf("no GPU: %v", err)
	}
}

func TestOneGPUFailsTheOthersStay(t *testing.T) {
	forbidden := gpu(nvmldouble.Returns("nvmlDeviceGetHandleByIndex", 4))
	library, err := tryOpen(t, running(gpu(), forbidden, gpu(), gpu(nvmldouble.Lost())))
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, device := range library.Devices() {
		mustRead(t, device)
		found = append(found, device.Info().Index)
	}
	if len(found) != 2 || found[0] != 0 || found[1] != 2 {
		t.Errorf("found GPUs %v, want 0 and 2", found)
	}
	problems := library.Problems()
	if len(problems) != 2 || !strings.Contains(problems[0], "GPU 1: open: no permission") ||
		!strings.Contains(problems[0], "/dev/nvidia") || !strings.Contains(problems[1], "GPU 3") {
		t.Errorf("problems = %q", problems)
	}

	_, err = tryOpen(t, running(forbidden))
	if !errors.Is(err, ErrNoGPU) || !errors.Is(err, NoPermission) || !strings.Contains(Hint(err), "/dev/nvidia") {
		t.Errorf("none left: %v, hint %q", err, Hint(err))
	}
}

func TestInfo(t *testing.T) {
	g := gpu()
	g.Model, g.UUID, g.BusID, g.Serial, g.LimitWatts = "NVIDIA H200 NVL", "GPU-1234", "1:A3:00.0", "165", 600
	script := running(g)
	script.Driver, script.NVML = "580.65.06", "13.580.65.06"
	library, err := tryOpen(t, script)
	if err != nil {
		t.Fatal(err)
	}
	got := library.Devices()[0].Info()
	if library.Driver() != script.Driver || library.Version() != script.NVML || library.Path() != double(t) || len(library.Problems()) > 0 {
		t.Errorf("driver %q, library %q at %q, problems %q", library.Driver(), library.Version(), library.Path(), library.Problems())
	}
	if len(got.Problems) > 0 {
		t.Errorf("problems = %q", got.Problems)
	}
	got.Problems = nil
	want := sampler.Info{
		Host: "node1", UUID: "GPU-1234", BusID: "0001:a3:00.0", Serial: "165", Vendor: "nvidia", Model: "NVIDIA H200 NVL",
		Architecture: "hopper", ComputeCapability: "9.0", Driver: "580.65.06", Library: "13.580.65.06 " + double(t),
		Scope: sampler.ScopeGPU, PowerLimitWatts: sampler.Some(600), HasCounter: true, CounterPeriod: 100 * time.Millisecond,
		PowerSource: "average", PowerPeriod: time.Second, PowerRefresh: 100 * time.Millisecond,
	}
	if a, b := show(got), show(want); a != b {
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

// What PowerWatts is depends on the GPU; field 185 is never asked where it does not exist.
func TestMeaningOfPower(t *testing.T) {
	refuses := func(field int) nvmldouble.Fault { return nvmldouble.FieldReturns(field, 3) }
	noUsage := nvmldouble.Returns("nvmlDeviceGetPowerUsage", 3)
	with := func(g nvmldouble.GPU, faults ...nvmldouble.Fault) nvmldouble.GPU {
		g.Faults = append(g.Faults, faults...)
		return g
	}
	const constant = 300
	a100, v100 := nvmldouble.A100(nvmldouble.Constant(constant)), nvmldouble.V100(nvmldouble.Constant(constant))
	hopperByName := gpu(nvmldouble.Returns("nvmlDeviceGetCudaComputeCapability", 3))
	for _, test := range []struct {
		name    string
		gpu     nvmldouble.GPU
		source  string
		instant bool // InstantWatts beside PowerWatts
		asks185 bool
		usage   bool // PowerWatts comes from GetPowerUsage
	}{
		{"H200", gpu(), "average", true, true, false},
		{"H200, capability not told", hopperByName, "average", true, true, false},
		{"H200, driver without field 185", gpu(refuses(185)), "average", true, false, true},
		{"H200, neither capability nor field 185", with(hopperByName, refuses(185)), "average", true, false, true},
		{"H200, driver without power fields", gpu(refuses(185), refuses(186)), "average", false, false, true},
		{"H200, instant only", gpu(refuses(185), noUsage), "instant", false, false, false},
		{"A100", a100, "instant", false, false, false},
		{"A100, driver without power fields", with(a100, refuses(186)), "instant", false, false, true},
		{"V100", v100, "instant", false, false, true},
		{"unknown, averages", unknownGPU(), "average", true, true, false},
		{"unknown, does not", unknownGPU(refuses(185)), "instant", false, false, false},
		{"unknown, nothing", unknownGPU(refuses(185), refuses(186), noUsage), "", false, false, false},
	} {
		function, field := callsDuring(t, running(test.gpu), func(devices []sampler.Device) {
			info := devices[0].Info()
			period, refresh := time.Duration(0), 100*time.Millisecond
			if test.source == "average" {
				period = time.Second
			}
			if test.source == "" {
				refresh = 0
			}
			if info.PowerSource != test.source || info.PowerPeriod != period || info.PowerRefresh != refresh || !info.HasCounter {
				t.Errorf("%s: %+v", test.name, info)
			}
			got := mustRead(t, devices[0])
			if got.InstantWatts.OK() != test.instant || got.PowerWatts.OK() != (test.source != "") {
				t.Errorf("%s: %+v", test.name, got)
			}
		})
		if field(185) > 0 != test.asks185 || function("nvmlDeviceGetPowerUsage") > 0 != test.usage {
			t.Errorf("%s: field 185 asked %d times, GetPowerUsage %d times", test.name, field(185), function("nvmlDeviceGetPowerUsage"))
		}
	}
}

// GA100 has no field 185; it is not asked for even once.
func TestGA100IsNotAskedForTheAverage(t *testing.T) {
	script := running(nvmldouble.A100(nvmldouble.Constant(300)))
	_, field := callsDuring(t, script, func([]sampler.Device) {
		library, err := Open(Config{Library: double(t), Clock: sampler.NewClock()}) // once more, beside the one that counts
		if err != nil {
			t.Fatal(err)
		}
		mustRead(t, library.Devices()[0])
		if err := library.Close(); err != nil {
			t.Error(err)
		}
	})
	if field(185) != 0 || field(186) != 2 {
		t.Errorf("field 185 asked %d times, field 186 %d times", field(185), field(186))
	}
}

func TestProblemsSayWhatToDo(t *testing.T) {
	persistence, mig := gpu(), gpu()
	persistence.PersistenceOff, mig.MIG = true, 1
	mig.Parts = []string{"MIG-11111111-0000", "MIG-22222222-0000"}
	noCounter := gpu(nvmldouble.FieldReturns(83, 3), nvmldouble.Returns("nvmlDeviceGetTotalEnergyConsumption", 3))
	devices := mustOpen(t, running(persistence, mig, noCounter, gpu(nvmldouble.PowerNotAvailable())))
	for i, want := range []string{"nvidia-persistenced", "MIG", "no energy counter", "does not tell this GPU's power"} {
		if got := devices[i].Info().Problems; len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("problems = %q, want one about %q", got, want)
		}
	}
	if info := devices[2].Info(); info.HasCounter || info.CounterPeriod != 0 {
		t.Errorf("without a counter: %+v", info)
	}
	if info := devices[1].Info(); info.Scope != sampler.ScopeDeviceShared || !slices.Equal(info.Parts, mig.Parts) {
		t.Errorf("MIG: scope %v, parts %q", info.Scope, info.Parts)
	}
	if info := devices[0].Info(); info.Scope != sampler.ScopeGPU || info.Parts != nil {
		t.Errorf("no MIG: scope %v, parts %q", info.Scope, info.Parts)
	}
	if got := mustRead(t, devices[1]); got.Utilization.Value().OK() || !got.PowerWatts.OK() {
		t.Errorf("MIG: %+v", got) // its driver does not tell utilisation
	}
}
