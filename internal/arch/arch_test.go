package arch

import (
	"errors"
	"go/build"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rule says what the non-test files of a folder, and of those below it, may import: each other, packages of the module, packages of other modules (with
// all below them), and those of the standard library that few may.
type rule struct {
	folder string
	module []string
	others []string
	std    []string
	why    string
}

// rules is the table "Layout" of the design. A folder that is not here must not hold Go code.
func rules() []rule {
	return []rule{
		{folder: "sampler", why: "facts: what a driver said and when; the part that must be right runs anywhere"},
		{folder: "window", module: []string{"sampler"}, why: "arithmetic on facts: live, recorded and test readings measure alike"},
		{
			folder: "vendor_nvidia", module: []string{"sampler"}, others: []string{"github.com/NVIDIA/go-nvml"},
			why: "only this package knows NVML",
		},
		{
			folder: "vendor_amd", module: []string{"sampler"}, std: []string{"C", "os/exec"},
			why: "only this package knows AMD SMI; C for dlopen, os/exec to start itself as the child that calls a library that may hang",
		},
		{folder: "vendor_sim", module: []string{"sampler"}, why: "a device like any other; it must not know how it is measured"},
		{folder: "probe", module: []string{"sampler"}, why: "what a sensor is like, from readings alone"},
		{folder: "recording", module: []string{"sampler"}, why: "readings to a file and back: facts too"},
		{
			folder: "agg", module: []string{"sampler", "window", "internal/atomicfile"},
			why: "results into the benchmark's files; sampler for the values and readings that a result holds",
		},
		{
			folder: "state", module: []string{"sampler", "window", "internal/atomicfile"},
			why: "what a restart resumes: readings and marks on disk; it measures nothing and knows no HTTP",
		},
		{
			folder: "api", module: []string{"sampler", "window", "agg", "recording", "state", "report", "tokens", "internal/atomicfile"},
			others: []string{"golang.org/x/sync"},
			why:    "HTTP on top of the measurement; it knows no vendor and no metrics",
		},
		{
			folder: "metrics", module: []string{"sampler", "window"},
			others: []string{"github.com/prometheus/client_golang", "github.com/prometheus/client_model", "github.com/prometheus/common"},
			why:    "only this package knows Prometheus",
		},
		{folder: "report", module: []string{"sampler", "window"}, why: "shows results and readings; it computes no energy and reads no files"},
		{folder: "tokens", module: []string{"sampler"}, why: "an inference server's counts: facts too; it knows no energy"},
		{folder: "page", why: "static files: what they show comes from the API"},
		{
			folder: "dcgm", module: []string{"sampler"},
			why: "one text format of another program's names; a library would rename its counters",
		},
		{
			folder: "cmd/wattmark",
			module: []string{
				"sampler", "window", "vendor_nvidia", "vendor_amd", "vendor_sim", "recording", "agg", "api", "metrics", "dcgm",
				"probe", "promsource", "page", "state", "internal/atomicfile",
				"report", "tokens", "internal/timerslack",
			},
			others: []string{
				"github.com/alecthomas/kong", "github.com/prometheus", "golang.org/x/sync", "go.yaml.in/yaml/v2",
				"github.com/coreos/go-systemd", "golang.org/x/sys", "github.com/KimMachineGun/automemlimit",
			},
			std: []string{"os/exec"},
			why: "wires everything; it alone starts other programs (wattmark run), and readings never come from one",
		},
		{
			folder: "bench",
			module: []string{
				"sampler", "window", "vendor_nvidia", "vendor_amd", "vendor_sim", "recording", "agg", "api", "metrics",
				"internal/nvmldouble", "internal/amdsmidouble", "internal/sysfsdouble", "state", "internal/memcgroup", "internal/procstatus",
			},
			others: []string{"golang.org/x/sys"}, std: []string{"os/exec"},
			why: "runs the built program on scripted drivers, and beside other programs",
		},
		{
			folder: "promsource", module: []string{"sampler"},
			why: "readings from a Prometheus' HTTP API: facts, as recording has them; it streams the answers by itself",
		},
		{folder: "internal/promdouble", module: []string{"sampler"}, why: "a test double: what a Prometheus stores of readings"},
		{
			folder: "deploy/release", others: []string{"github.com/CycloneDX/cyclonedx-go"}, std: []string{"os/exec"},
			why: "a module of its own: what makes a release is not linked into it",
		},
		{folder: "deploy/check", why: "a module of its own too: tests of what is in deploy, by the tools that will read it"},
		{folder: "internal/atomicfile", why: "a leaf"},
		{folder: "internal/arch", why: "a leaf"},
		{
			folder: "internal/callfault", others: []string{"golang.org/x/sys"},
			why: "a test double of a broken disk; the kernel's filter of system calls is not in package syscall",
		},
		{
			folder: "internal/memcgroup", others: []string{"golang.org/x/sys"},
			why: "control groups for tests under a memory limit; dropping a file from the page cache is not in package syscall",
		},
		{folder: "internal/timerslack", std: []string{"C"}, why: "C, as it comes before the Go runtime"},
		{folder: "internal/procstatus", why: "a leaf, for tests and benches"},
		{folder: "internal/treehash", why: "a leaf, for tests"},
		{folder: "internal/nvmldouble", std: []string{"os/exec"}, why: "a test double: it runs the compiler and imports no product code"},
		{folder: "internal/amdsmidouble", std: []string{"os/exec"}, why: "a test double, likewise"},
		{
			folder: "internal/sysfsdouble", module: []string{"internal/amdsmidouble"},
			why: "a test double that reads the scripts of another",
		},
	}
}

// restricted are packages of the standard library that only a rule allows.
func restricted() []string { return []string{"C", "os/exec", "plugin"} }

// verdict returns what is wrong with an import of a folder, "" if nothing is.
func verdict(rules []rule, folder, imported string) string {
	below := func(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }
	i := slices.IndexFunc(rules, func(r rule) bool { return below(folder, r.folder) })
	if i < 0 {
		return "has no rule: add one, with its reason"
	}
	r := rules[i]
	inside, ofModule := strings.CutPrefix(imported, "wattmark/")
	first, _, _ := strings.Cut(imported, "/")
	allowed := true
	switch {
	case ofModule:
		allowed = slices.Contains(r.module, inside) || below(inside, r.folder)
	case strings.Contains(first, "."):
		allowed = slices.ContainsFunc(r.others, func(module string) bool { return below(imported, module) })
	case slices.Contains(restricted(), imported):
		allowed = slices.Contains(r.std, imported)
	}
	if allowed {
		return ""
	}
	return "imports " + imported + ", which its rule does not allow: " + r.why
}

func TestImports(t *testing.T) {
	all := rules()
	unseen := map[string]bool{}
	for _, r := range all {
		unseen[r.folder] = true
	}
	for folder, imports := range folders(t) {
		delete(unseen, folder)
		for _, imported := range imports {
			if wrong := verdict(all, folder, imported); wrong != "" {
				t.Errorf("%s %s", folder, wrong)
			}
		}
	}
	for _, core := range []string{"sampler", "window"} {
		if unseen[core] {
			t.Errorf("%s was not found: the test looked in the wrong place", core)
		}
	}
}

// folders returns the module's folders with Go code and what their non-test files import, on any platform and under
// any build tag.
func folders(t *testing.T) map[string][]string {
	t.Helper()
	context := build.Default
	context.UseAllFiles, context.CgoEnabled = true, true
	root := filepath.Join("..", "..")
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !entry.IsDir():
			return nil
		case path != root && (entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".")):
			return filepath.SkipDir
		}
		pkg, err := context.ImportDir(path, 0)
		if _, ok := errors.AsType[*build.NoGoError](err); ok {
			return nil
		}
		folder, relErr := filepath.Rel(root, path)
		if err := errors.Join(err, relErr); err != nil {
			t.Errorf("%s: %v", path, err)
			return nil
		}
		found[filepath.ToSlash(folder)] = pkg.Imports
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestVerdict(t *testing.T) {
	for _, test := range []struct {
		folder, imported string
		ok               bool
	}{
		{"sampler", "time", true},
		{"sampler", "wattmark/window", false},
		{"sampler", "golang.org/x/sync/errgroup", false},
		{"window", "wattmark/sampler", true},
		{"window", "wattmark/vendor_sim", false},
		{"window", "wattmark/samplers", false},
		{"window", "os/exec", false},
		{"window", "github.com/prometheus/client_golang/prometheus", false},
		{"vendor_nvidia", "github.com/NVIDIA/go-nvml/pkg/nvml", true},
		{"vendor_nvidia", "github.com/NVIDIA/go-nvml-fork", false},
		{"vendor_nvidia", "wattmark/internal/nvmldouble", false},
		{"vendor_nvidia", "C", false},
		{"vendor_amd", "C", true},
		{"vendor_amd", "github.com/NVIDIA/go-nvml/pkg/nvml", false},
		{"api", "wattmark/vendor_nvidia", false},
		{"api", "wattmark/metrics", false},
		{"metrics", "wattmark/api", false},
		{"cmd/wattmark", "wattmark/api", true},
		{"cmd/wattmark", "wattmark/internal/nvmldouble", false},
		{"cmd/wattmark", "os/exec", true},
		{"cmd/wattmark", "gopkg.in/yaml.v3", false},
		{"cmd/wattmark", "go.yaml.in/yaml/v2", true},
		{"internal/sysfsdouble", "wattmark/internal/amdsmidouble", true},
		{"internal/amdsmidouble", "wattmark/sampler", false},
		{"bench/accuracy", "wattmark/bench/overhead", true},
		{"bench/accuracy", "wattmark/window", true},
		{"benches", "time", false},
		{"utils", "time", false},
	} {
		if wrong := verdict(rules(), test.folder, test.imported); (wrong == "") != test.ok {
			t.Errorf("%s importing %s: %q, want allowed %v", test.folder, test.imported, wrong, test.ok)
		}
	}
	for _, r := range rules() {
		if r.why == "" {
			t.Errorf("the rule of %s gives no reason", r.folder)
		}
	}
}
