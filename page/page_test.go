package page

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// fetch asks one of the page's routes as the daemon's mux would.
func fetch(t *testing.T, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	mux := http.NewServeMux()
	for route, handler := range Handlers() {
		mux.Handle(route, handler)
	}
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w
}

// all returns every asset by the path under which it is served.
func all(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(assets, "assets", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(assets, path)
		route := "/page/" + entry.Name()
		if entry.Name() == "index.html" {
			route = "/"
		}
		files[route] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Every asset is served, with the policy, and all of them are under 150 kB.
func TestAssets(t *testing.T) {
	bytes := 0
	for route, text := range all(t) {
		bytes += len(text)
		w := fetch(t, route)
		if w.Code != http.StatusOK || w.Body.String() != text {
			t.Errorf("%s: %d, %d bytes, want the %d of the asset", route, w.Code, w.Body.Len(), len(text))
		}
		if got := w.Header().Get("Content-Security-Policy"); got != Policy {
			t.Errorf("%s: policy %q", route, got)
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Content-Type") == "" {
			t.Errorf("%s: %v", route, w.Header())
		}
		if again := fetch(t, route, "If-None-Match", w.Header().Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
			t.Errorf("%s again: %d", route, again.Code)
		}
	}
	if bytes > 150e3 || bytes < 20e3 {
		t.Errorf("%d bytes, want at most 150 kB", bytes)
	}
	if w := fetch(t, "/other"); w.Code != http.StatusNotFound {
		t.Errorf("/other: %d, want the page at / only", w.Code)
	}
}

// The policy lets in nothing but what the daemon itself serves, and nothing inline.
func TestPolicyIsStrict(t *testing.T) {
	for directive := range strings.SplitSeq(Policy, "; ") {
		_, sources, _ := strings.Cut(directive, " ")
		if sources != "'self'" && sources != "'none'" {
			t.Errorf("%s", directive)
		}
	}
	if !strings.HasPrefix(Policy, "default-src 'none'") {
		t.Errorf("%s", Policy)
	}
}

// What the policy would block, or what would make a caller's text into markup, is in no asset.
func TestAssetsKeepToThePolicy(t *testing.T) {
	for what, pattern := range map[string]string{
		"an address elsewhere":  `(?i)(https?:)?//[a-z0-9.-]+\.[a-z]{2,}`,
		"an inline script":      `(?i)<script(?:[^>]*)>[^<]`,
		"an inline handler":     `(?i)\son[a-z]+\s*=\s*["']`,
		"an inline style":       `(?i)\sstyle\s*=|<style|setAttribute\("style"`,
		"text made into markup": `innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|DOMParser`,
	} {
		find := regexp.MustCompile(pattern)
		for route, text := range all(t) {
			text = strings.ReplaceAll(text, "http://www.w3.org/2000/svg", "") // the name of a namespace
			if found := find.FindString(text); found != "" {
				t.Errorf("%s: %s: %s", route, what, found)
			}
		}
	}
}

// What the page refers to is there.
func TestReferencesLeadSomewhere(t *testing.T) {
	files := all(t)
	links := regexp.MustCompile(`(?:href|src)="(page/[^"]+)"`).FindAllStringSubmatch(files["/"], -1)
	imports := regexp.MustCompile(`from "\./([^"]+)"`).FindAllStringSubmatch(files["/page/page.js"], -1)
	if len(links) != 3 || len(imports) != 2 {
		t.Fatalf("links %v, imports %v: is the pattern right?", links, imports)
	}
	for _, link := range links {
		if files["/"+link[1]] == "" {
			t.Errorf("/ refers to %s", link[1])
		}
	}
	for _, module := range imports {
		if files["/page/"+module[1]] == "" {
			t.Errorf("page.js imports %s", module[1])
		}
	}
	// Every element that the script looks up by its id is in the page, and the other way round for what it fills.
	for _, id := range regexp.MustCompile(`(?:\$|set)\("([a-z-]+)"`).FindAllStringSubmatch(files["/page/page.js"], -1) {
		if !strings.Contains(files["/"], `id="`+id[1]+`"`) {
			t.Errorf("page.js looks for #%s", id[1])
		}
	}
}
