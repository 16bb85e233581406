package amd

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"wattmark/sampler"
)

// startDaemon starts a process that reads the host's library and returns what it says when it is ready. Closing its
// input ends it in order.
func startDaemon(t *testing.T, h *host, mode Mode, attr *syscall.SysProcAttr) (cmd *exec.Cmd, in io.WriteCloser, pid int, said string) {
	t.Helper()
	// By this path an unprivileged user may run it, although it is in a folder of ours.
	cmd = exec.Command("/proc/self/exe", "test-daemon", string(mode), h.config.Library, h.path, h.config.SysfsRoot)
	cmd.SysProcAttr = attr
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	said, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(said, "ready %d", &pid); err != nil {
		t.Fatalf("the daemon said %q", said)
	}
	return cmd, in, pid, said
}

// A child does not outlive its daemon, even if that was killed and the library hangs.
func TestChildEndsWithTheDaemon(t *testing.T) {
	t.Parallel()
	h := newHost(t, 26, 1)
	cmd, in, child, _ := startDaemon(t, h, LibraryOnly, nil)
	h.script.GPUs[0].Hang = true
	h.write()
	if _, err := in.Write([]byte{1}); err != nil { // it begins to read, and to hang
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if !endsWithin(child, 3*time.Second) {
		t.Errorf("process %d outlives its daemon", child)
	}
}

// A signal for the whole process group, such as Ctrl-C, is the daemon's: the child still gives it a last reading.
func TestChildLeavesSignalsToTheDaemon(t *testing.T) {
	t.Parallel()
	h := newHost(t, 26, 1)
	l := h.open(LibraryOnly)
	pid := l.Describe().Processes[0].PID
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if err := syscall.Kill(pid, signal); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		read(t, l.Devices()[0])
	}
	if state := l.Describe().Processes[0]; state.PID != pid || state.Restarts != 0 {
		t.Errorf("got %+v, want process %d", state, pid)
	}
}

// A user without any right, without /dev/kfd and /dev/dri. That user is also denied what the kernel denies a container:
// the topology nodes of GPUs that are not the container's.
func TestUnprivileged(t *testing.T) {
	t.Parallel()
	const nobody = 65534
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	for _, mode := range []Mode{LibraryOnly, SysfsOnly, Auto} {
		h := newHost(t, 26, 3)
		h.sysfs(7)
		h.script.Log = "" // it could not write it
		h.write()
		gpus := 3
		dir := filepath.Dir(h.path)
		for _, folder := range []string{dir, filepath.Dir(dir)} {
			if err := os.Chmod(folder, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if mode == SysfsOnly {
			gpus = 2
			for _, name := range []string{"gpu_id", "properties"} {
				denied := filepath.Join(h.config.SysfsRoot, "class/kfd/kfd/topology/nodes/3", name)
				if err := os.Chmod(denied, 0); err != nil {
					t.Fatal(err)
				}
			}
		}
		attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		cmd, in, _, said := startDaemon(t, h, mode, attr)
		if !strings.HasSuffix(said, fmt.Sprintf(" %d %d true true <nil>\n", nobody, gpus)) {
			t.Errorf("%s: the daemon said %q, want power and energy of %d GPUs as user %d", mode, said, gpus, nobody)
		}
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// By hand the child does nothing.
func TestChildByHand(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/proc/self/exe", ChildArgument)
	said, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 2 {
		t.Errorf("got %v, %q, want exit code 2", err, said)
	}
}

// One window of the same GPUs, through the library and through the kernel's files, is the same energy.
func TestLibraryAndSysfsAgree(t *testing.T) {
	t.Parallel()
	h := newHost(t, 27, 2)
	h.sysfs(9)
	ways := map[Mode][][]sampler.Reading{}
	libraries := map[Mode]*Library{LibraryOnly: h.open(LibraryOnly), SysfsOnly: h.open(SysfsOnly)}
	start := h.config.Clock.Now().Add(100 * time.Millisecond)
	const length = 3 * time.Second // a driver's stamp is mapped to within a millisecond
	for h.config.Clock.Now().Sub(start) < length+100*time.Millisecond {
		for mode, l := range libraries {
			if ways[mode] == nil {
				ways[mode] = make([][]sampler.Reading, len(l.Devices()))
			}
			for i, d := range l.Devices() {
				ways[mode][i] = append(ways[mode][i], read(t, d))
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	for i := range h.script.GPUs {
		from := start.MonoNano + int64(bootOffset())
		want := h.script.TrueJoules(i, from, from+int64(length))
		var joules []float64
		for _, mode := range []Mode{LibraryOnly, SysfsOnly} {
			got := energy(t, ways[mode][i], start.Add(length)) - energy(t, ways[mode][i], start)
			joules = append(joules, got)
			if math.Abs(got-want) > 0.001*want {
				t.Errorf("GPU %d through %s: got %.3f J, want %.3f J", i, mode, got, want)
			}
		}
		if math.Abs(joules[0]-joules[1]) > 0.001*want {
			t.Errorf("GPU %d: %.3f J through the library, %.3f J through sysfs", i, joules[0], joules[1])
		}
	}
}

// energy returns the counter at a moment, by a straight line between the readings around it.
func energy(t *testing.T, readings []sampler.Reading, at sampler.Moment) float64 {
	t.Helper()
	for i := 1; i < len(readings); i++ {
		a, b := readings[i-1], readings[i]
		if span := b.At.Sub(a.At); a.At.Sub(at) <= 0 && b.At.Sub(at) >= 0 && span > 0 {
			share := float64(at.Sub(a.At)) / float64(span)
			return a.EnergyJoules.Or(0) + share*(b.EnergyJoules.Or(0)-a.EnergyJoules.Or(0))
		}
	}
	t.Fatalf("no readings around %v", at)
	return 0
}

// A reading is of after the moment it was asked for, although the sources keep tables for a while: the end of a window
// has to be inside the readings.
func TestReadingIsOfAfterTheRequest(t *testing.T) {
	t.Parallel()
	h := newHost(t, 26, 1)
	h.sysfs(7) // renewed every 10 ms
	for _, mode := range []Mode{LibraryOnly, SysfsOnly} {
		d := h.open(mode).Devices()[0]
		for range 20 {
			asked := h.config.Clock.Now()
			r := read(t, d)
			answered := h.config.Clock.Now()
			const clocks = time.Millisecond // how well the two clocks are known
			if r.At.Sub(asked) < -clocks || r.At.Sub(answered) > clocks {
				t.Errorf("%s: a reading of %v after the request, which took %v", mode, r.At.Sub(asked), answered.Sub(asked))
			}
		}
	}
}
