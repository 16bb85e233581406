package check

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// noRegistry knows every image, and nothing of any.
type noRegistry struct{}

func (noRegistry) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return ref, "", []byte(`{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}`), nil
}

// lint runs what docker build --check runs, and returns the names of the rules that are broken.
func lint(t *testing.T, content []byte, architecture string) []string {
	t.Helper()
	sources := llb.NewSourceMap(nil, "Dockerfile", "Dockerfile", content)
	var err error
	if sources.Definition, err = llb.Scratch().Marshal(t.Context()); err != nil {
		t.Fatal(err)
	}
	result, err := dockerfile2llb.DockerfileLint(t.Context(), content, dockerfile2llb.ConvertOpt{
		SourceMap: sources, MetaResolver: noRegistry{},
		TargetPlatform: &ocispecs.Platform{OS: "linux", Architecture: architecture},
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.Error != nil { // syntax errors are here
		t.Fatal(result.Error.Message)
	}
	var broken []string
	for _, warning := range result.Warnings {
		t.Logf("%s: %s", warning.RuleName, warning.Detail)
		broken = append(broken, warning.RuleName)
	}
	return broken
}

func TestDockerfile(t *testing.T) {
	content, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, architecture := range []string{"amd64", "arm64"} {
		if broken := lint(t, content, architecture); len(broken) > 0 {
			t.Errorf("%s: %v", architecture, broken)
		}
	}
	bad := strings.Replace(string(content), "WORKDIR /src", "WORKDIR src\nARG AWS_SECRET_ACCESS_KEY", 1)
	for _, rule := range []string{"SecretsUsedInArgOrEnv"} {
		if broken := lint(t, []byte(bad), "amd64"); !slices.Contains(broken, rule) {
			t.Errorf("a planted fault gives %v, want %s", broken, rule)
		}
	}
}
