package main

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The script as bash uses it: sourced, then called with the words of a line.
func TestBashCompletion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script, errs, code := wattmark(t, dir, nil, "completion", "bash")
	if code != 0 {
		t.Fatal(errs)
	}
	write(t, dir, "wattmark.bash", script)
	for _, test := range []struct {
		line string // words; the last is being completed
		want []string
		not  []string
	}{
		{"", []string{"serve", "mark-start", "run", "completion", "--version"}, []string{"man"}},
		{"mark", []string{"mark-start", "mark-end"}, []string{"serve"}},
		{"serve --back", []string{"--backend"}, []string{"--listen"}},
		{"serve --backend n", []string{"nvidia", "none"}, []string{"--nvml-library", "amd"}},
		{"serve --backend = am", []string{"amd", "amd-sysfs"}, []string{"auto"}},
		{"serve --listen ", nil, []string{"--listen", "serve"}},
		{"--help se", []string{"serve"}, nil},
		{"mark-end --run r1 --bench", []string{"--benchmark-result"}, nil},
		{"aggregate --no-", []string{"--no-strict"}, nil},
		{"completion ", []string{"bash", "zsh", "fish"}, nil},
		{"run --json x -- pri", []string{"printf"}, []string{"--json"}},
	} {
		words := append([]string{"wattmark"}, strings.Split(test.line, " ")...)
		driver := `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _wattmark 2>/dev/null; printf '%s\n' "${COMPREPLY[@]}"`
		args := append([]string{"-c", driver, "bash", filepath.Join(dir, "wattmark.bash")}, words...)
		out, err := exec.Command("bash", args...).Output()
		if err != nil {
			t.Fatalf("%q: %v", test.line, err)
		}
		got := strings.Fields(string(out))
		for _, word := range test.want {
			if !slices.Contains(got, word) {
				t.Errorf("%q: %q, want %q among them", test.line, got, word)
			}
		}
		for _, word := range test.not {
			if slices.Contains(got, word) {
				t.Errorf("%q: %q, want no %q", test.line, got, word)
			}
		}
	}
}

// All three scripts and the manual page know every command and flag that --help shows. Whether zsh, fish and mandoc like
// them, deploy/release/test.sh finds out.
func TestCompletionAndManualAreWhole(t *testing.T) {
	t.Parallel()
	help, _, _ := wattmark(t, t.TempDir(), nil, "serve", "--help")
	flags := 0
	pages := map[string]string{}
	for _, args := range [][]string{{"completion", "bash"}, {"completion", "zsh"}, {"completion", "fish"}, {"man"}} {
		pages[strings.Join(args, " ")], _, _ = wattmark(t, t.TempDir(), nil, args...)
	}
	for line := range strings.Lines(help) {
		_, name, ok := strings.Cut(line, "    --")
		if !ok {
			continue
		}
		flags++
		name = name[:strings.IndexAny(name+" ", "= \n")]
		for page, text := range pages {
			want := map[string]string{"completion fish": "-l " + name + " ", "man": "Fl -" + name}[page]
			if want == "" {
				want = "--" + name
			}
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q", page, want)
			}
		}
	}
	if flags < 20 {
		t.Errorf("found %d flags in the help of serve", flags)
	}
	if _, errs, code := wattmark(t, t.TempDir(), nil, "completion", "tcsh"); code != 2 {
		t.Errorf("completion tcsh: exit %d, %s", code, errs)
	}
	if strings.Contains(pages["man"], "\n'") {
		t.Error("man: a line begins with an apostrophe, which is a command to roff")
	}
}
