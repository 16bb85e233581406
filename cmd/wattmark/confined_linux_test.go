package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"wattmark/internal/memcgroup"
	"wattmark/internal/nvmldouble"
)

// confinedVariable names the folder that becomes the root of the program under test.
const confinedVariable = "WATTMARK_TEST_ROOT"

// confinedUser is set where the test's own user is not root, and makes the root in a user namespace.
const confinedUser = "WATTMARK_TEST_ROOT_USER"

// confinedGroup names the file by which a process joins a control group; unset: there is none.
const confinedGroup = "WATTMARK_TEST_ROOT_GROUP"

// confinedLimit is the memory that the daemon may use: 64 MB, and less than 64 MiB.
const confinedLimit = 64_000_000

// confinedMain is another of TestMain's lives: this process becomes the program of its arguments in a root of its own,
// read-only but for /results, as nobody, without any capability or a way to gain one.
func confinedMain() {
	root := os.Getenv(confinedVariable)
	if root == "" {
		return
	}
	runtime.LockOSThread()
	fmt.Fprintln(os.Stderr, "not confined:", confine(root))
	os.Exit(112)
}

const nobody = 65534

func confine(root string) error {
	if procs := os.Getenv(confinedGroup); procs != "" { // the limit holds from here on, for this process and what it becomes
		if err := os.WriteFile(procs, []byte("0"), 0); err != nil {
			return err
		}
	}
	steps := []error{
		unix.Unshare(unix.CLONE_NEWNS),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount(root, root, "", unix.MS_BIND, ""),
		unix.Mount(root+"/results", root+"/results", "", unix.MS_BIND, ""),
		unix.Mount("", root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, ""),
		unix.Mount("", root+"/results", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""),
		unix.Chroot(root), unix.Chdir("/"),
	}
	for i := range uintptr(64) { // up to the last capability that this kernel has
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, i, 0, 0, 0); err != nil {
			break
		}
	}
	steps = append(steps, unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	if os.Getenv(confinedUser) == "" {
		steps = append(steps, unix.Setgroups(nil), unix.Setresgid(nobody, nobody, nobody), unix.Setresuid(nobody, nobody, nobody))
	}
	// Leaving root empties the permitted set; this is for those that the process may have kept.
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if _, _, errno := unix.Syscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none[0])), 0); errno != 0 {
		steps = append(steps, errno)
	}
	if err := errors.Join(steps...); err != nil {
		return err
	}
	return unix.Exec(os.Args[1], os.Args[1:], []string{
		nvmldouble.ScriptVariable + "=/driver/nvml.script", "LD_LIBRARY_PATH=/lib",
		"GOMEMLIMIT=48000000", // without /proc and /sys the daemon cannot know what docs/security.md says to tell it
	})
}

// sharedObjects are the files that the loader opens for a program: libraries, and the loader itself.
func sharedObjects(t *testing.T, path string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ldd", path).Output()
	if err != nil {
		t.Fatalf("ldd %s: %v", path, err)
	}
	var files []string
	for line := range strings.Lines(string(out)) {
		for word := range strings.FieldsSeq(line) {
			if strings.HasPrefix(word, "/") {
				files = append(files, word)
			}
		}
	}
	return files
}

// copyInto copies a file to a path below root, readable for all, and has whoever reads it next pay for the memory.
func copyInto(t *testing.T, root, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, to)
	if err := errors.Join(
		os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, text, 0o755), memcgroup.Forget(file),
	); err != nil {
		t.Fatal(err)
	}
}

// The daemon needs the program, libc and its loader, and of the driver one library: no /proc, /dev, /etc or /tmp, no user
// but nobody, no capability, no way to gain any, a root that is read-only. There it measures as elsewhere, in a control group
// that has 64 MB of memory, where the test may make one.
func TestConfined(t *testing.T) {
	asRoot := os.Geteuid() == 0
	base, err := os.MkdirTemp("/tmp", "wattmark-root-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	library, err := nvmldouble.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(base, "plain") // without the race detector, which needs ten times the memory
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", plain, ".")
	build.Env = append(os.Environ(), "CGO_CFLAGS=-O2 -g -Wno-deprecated-declarations")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	root := filepath.Join(base, "root")
	copyInto(t, root, plain, "/wattmark")
	own := sharedObjects(t, plain)
	for _, file := range own {
		copyInto(t, root, file, loadedAs(file))
	}
	driver := []string{library}
	for _, file := range sharedObjects(t, library) {
		if _, err := os.Stat(filepath.Join(root, loadedAs(file))); err != nil {
			driver = append(driver, file)
		}
	}
	for _, file := range driver {
		copyInto(t, root, file, "/lib/"+filepath.Base(file))
	}
	script := nvmldouble.Script{Origin: time.Now()}
	for i := range 8 {
		gpu := nvmldouble.H200(nvmldouble.Constant(600))
		gpu.CounterPhase = time.Duration(i) * 12 * time.Millisecond // else all would be off to the same side
		script.GPUs = append(script.GPUs, gpu)
	}
	results := filepath.Join(root, "results")
	if err := errors.Join(
		os.Mkdir(filepath.Join(root, "driver"), 0o755), script.Write(filepath.Join(root, "driver/nvml.script")),
		os.Chmod(filepath.Join(root, "driver/nvml.script"), 0o644), os.Mkdir(results, 0o755), os.Chmod(base, 0o755),
	); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(results, nobody, nobody); err != nil && asRoot {
		t.Fatal(err)
	}
	t.Logf("files of its own beside the program: %v; the driver's: %v", own, driver)
	if len(own) != 2 {
		t.Errorf("the program needs %v, want libc and its loader", own)
	}

	d := &served{t: t, results: results, log: &logBuffer{}, exited: make(chan error, 1)}
	d.command = exec.Command(os.Args[0], "/wattmark", "serve", "--backend", "nvidia", "--nvml-library", "/lib/libnvidia-ml.so.1",
		"--listen", "127.0.0.1:0", "--port-file", "/results/port", "--results-dir", "/results")
	d.command.Env = append(os.Environ(), confinedVariable+"="+root)
	group, err := memcgroup.New(confinedLimit)
	if err == nil {
		d.command.Env = append(d.command.Env, confinedGroup+"="+group.Procs())
		t.Cleanup(func() { _ = group.Close() }) // after the daemon is killed
	} else {
		t.Logf("NOT ENFORCED: the limit of 64 MB, only the memory that was used is held to it: %v", err)
	}
	if !asRoot {
		d.command.Env = append(d.command.Env, confinedUser+"=1")
		d.command.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWUSER, UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
	switch err := d.start(); {
	case errors.Is(err, syscall.EPERM) && !asRoot:
		t.Skipf("it takes root or user namespaces, and there is neither: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	waitFor(t, "the port", func() bool {
		text, err := os.ReadFile(filepath.Join(results, "port"))
		d.base = "http://127.0.0.1:" + strings.TrimSpace(string(text))
		return err == nil && len(text) > 0
	})
	d.ready()
	status := d.process()
	if asRoot && (status["Uid"] != "65534 65534 65534 65534" || status["Gid"] != "65534 65534 65534 65534" || status["Groups"] != "") {
		t.Errorf("user %s, group %s, groups %s", status["Uid"], status["Gid"], status["Groups"])
	}
	for key, want := range map[string]string{
		"NoNewPrivs": "1",
		"CapInh":     zeros, "CapPrm": zeros, "CapEff": zeros, "CapBnd": zeros, "CapAmb": zeros,
	} {
		if status[key] != want {
			t.Errorf("%s: %q, want %q", key, status[key], want)
		}
	}
	write(t, results, "agg_r.json", smallAggregate)
	write(t, results, "r.json", smallResult)
	d.must("/v1/mark-start", "run", "r", "expected_num_gpus", "8")
	time.Sleep(time.Second)
	r := d.must("/v1/mark-end", "run", "r", "benchmark_result", "r.json", "agg_result", "agg_r.json")
	checkTruth(t, script, r)
	if aggregate := r["agg_result"].(map[string]any); aggregate["status"] != "patched" || r["power_valid"] != true || len(words(r["notes"])) > 1 {
		t.Errorf("aggregate %v, reasons %v, notes %v", aggregate, r["reasons"], r["notes"])
	}
	for _, page := range []string{"/metrics", "/v1/gpus", "/v1/readings", "/v1/time"} {
		_ = d.get(page)
	}
	status = d.process()
	peak, err := strconv.Atoi(strings.TrimSuffix(status["VmHWM"], " kB"))
	t.Logf("memory: %d MB at most", peak>>10)
	if err != nil || peak*1024 > confinedLimit {
		t.Errorf("%d kB of memory at most, want 64 MB", peak)
	}
	checkGroup(t, group, d.command.Process.Pid)
	if !strings.Contains(d.log.String(), shortened) { // a day would not fit, some day
		t.Errorf("the log does not say that readings are kept for less than a day:\n%s", d.log)
	}
	if took, err := d.stop(); err != nil || took > 2*time.Second {
		t.Errorf("SIGTERM: %v after %v", err, took)
	}
	if strings.Contains(d.log.String(), "level=ERROR") {
		t.Error("errors in the log")
	}
}

const zeros = "0000000000000000"

// loadedAs is where the loader looks for a file of this host: the loader itself where it is, libraries in /lib.
func loadedAs(file string) string {
	if strings.HasPrefix(filepath.Base(file), "ld-") {
		return file
	}
	return "/lib/" + filepath.Base(file)
}
