package procstatus_test

import (
	"math"
	"os"
	"strings"
	"testing"

	"wattmark/internal/procstatus"
)

func TestOf(t *testing.T) {
	status, err := procstatus.Of(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if pid, rss := status.Number("Pid"), status.Number("VmRSS"); pid != float64(os.Getpid()) || !(rss > 1000) || !strings.HasSuffix(status["VmRSS"], " kB") {
		t.Errorf("pid %v, VmRSS %v of %q", pid, rss, status["VmRSS"])
	}
	if mb, kb := status.MB("VmRSS"), status.Number("VmRSS"); math.Abs(mb-kb*0.001024) > 1e-9 {
		t.Errorf("%v MB, %v kB", mb, kb)
	}
	if x := status.Number("Name"); !math.IsNaN(x) {
		t.Errorf("Name = %v", x)
	}
	if x := status.Number("NoSuchField"); !math.IsNaN(x) {
		t.Errorf("no such field = %v", x)
	}
	if _, err := procstatus.Of(-1); err == nil {
		t.Error("no error of a process that is not there")
	}
}
