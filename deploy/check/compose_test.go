package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// load does what docker compose config does.
func load(t *testing.T, path string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{path}, cli.WithInterpolation(true), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

func TestCompose(t *testing.T) {
	const path = "../compose/compose.yaml"
	project, err := load(t, path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"vllm", "wattmark", "prometheus", "grafana"} {
		service, ok := project.Services[name]
		if !ok {
			t.Errorf("no service %s", name)
		}
		for _, volume := range service.Volumes { // a file that is not there becomes an empty folder
			if volume.Type != types.VolumeTypeBind {
				continue
			}
			if info, err := os.Stat(volume.Source); err != nil || info.IsDir() {
				t.Errorf("%s: %s is no file: %v", name, volume.Source, err)
			}
		}
	}
	meter := project.Services["wattmark"]
	if !meter.ReadOnly || len(meter.CapDrop) != 1 || meter.CapDrop[0] != "ALL" || meter.NetworkMode != "service:vllm" {
		t.Errorf("wattmark: read only %v, capabilities dropped %v, network %s", meter.ReadOnly, meter.CapDrop, meter.NetworkMode)
	}
	if _, err := os.Stat(filepath.Join(meter.Build.Context, "Dockerfile")); err != nil {
		t.Error(err)
	}

	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "compose.yaml")
	if err := os.WriteFile(bad, []byte(strings.Replace(string(text), "cap_drop:", "cap_dropp:", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := load(t, bad); err == nil {
		t.Error("a misspelt key is accepted")
	}
}
