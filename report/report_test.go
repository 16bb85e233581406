package report

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"wattmark/sampler"
	"wattmark/window"
)

// origin is when the tests' readings begin.
var origin = sampler.Moment{UnixNano: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano(), MonoNano: 1e15}

// measured returns a window of 20 s in the middle of 40 s, on GPUs with so many watts each, read at 1 Hz; one in which
// each reading is shown to change makes of it what a test is about.
func measured(run string, watts float64, gpus int, change func(*sampler.Reading, int)) Run {
	out := Run{Limits: window.Limits{AllowSimulated: true}}
	for g := range gpus {
		s := sampler.Series{Info: sampler.Info{
			Host: "h", UUID: fmt.Sprint("GPU-", g), BusID: fmt.Sprintf("0000:%02x:00.0", g), Index: g, Vendor: "nvidia", Model: "H200", Scope: sampler.ScopeGPU,
			PowerLimitWatts: sampler.Some(700), HasCounter: true, CounterPeriod: 100 * time.Millisecond, PowerSource: "instant", Simulated: true,
		}}
		for i := range 41 {
			r := sampler.Reading{
				At: origin.Add(time.Duration(i) * time.Second), Call: time.Millisecond, PowerWatts: sampler.Some(watts),
				EnergyJoules: sampler.Some(watts * float64(i)), ThrottleKnown: true,
			}
			if change != nil {
				change(&r, i)
			}
			s.Readings = append(s.Readings, r)
		}
		out.Series = append(out.Series, s)
	}
	w := window.Window{Run: run, Start: origin.Add(10 * time.Second), End: origin.Add(30 * time.Second)}
	out.Result = window.Measure(window.Recorded(out.Series), w, out.Limits)
	n, tokens := int64(10), int64(1000)
	out.Result.Work = &window.Work{Completed: &n, InputTokens: &tokens, OutputTokens: &tokens}
	return out
}

func written(t testing.TB, format Format, runs ...Run) string {
	t.Helper()
	var out strings.Builder
	if err := Write(&out, format, runs...); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// The figures are those of the result: 4 GPUs at 500 W for 20 s are 40 kJ, and 40 J per token of a thousand.
func TestFigures(t *testing.T) {
	run := measured("r1", 500, 4, nil)
	for _, format := range []Format{HTML, Markdown} {
		text := written(t, format, run)
		for _, want := range []string{"r1", "valid, of simulated GPUs", "40" + narrow + "000", "2" + narrow + "000.0" + narrow + "W", "20.000" + narrow + "s", "71" + narrow + "% of the limits"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q", format, want)
			}
		}
	}
	if got, want := bounded(run.Result.PerOutputToken(), sampler.Some(0.0123), "J"), "40.000 ± 0.012"+narrow+"J"; got != want {
		t.Errorf("per token %q, want %q", got, want)
	}
}

// The line stands at the power, and the window's edges where they were.
func TestChartIsToScale(t *testing.T) {
	run := measured("r1", 500, 4, nil)
	c := chartOf(run, frame{from: origin, to: origin.Add(40 * time.Second), w: 960, h: 280})
	zero, top := c.Y[0], c.Y[len(c.Y)-1]
	if zero.Label != "0" {
		t.Fatalf("the axis begins at %s", zero.Label)
	}
	highest, err := strconv.ParseFloat(strings.ReplaceAll(top.Label, narrow, ""), 64)
	if err != nil {
		t.Fatal(err)
	}
	ys := regexp.MustCompile(`L[\d.]+ ([\d.]+)`).FindAllStringSubmatch(c.Line, -1)
	if len(ys) != 40 {
		t.Fatalf("%d points, want 41: %s", len(ys)+1, c.Line)
	}
	y, _ := strconv.ParseFloat(ys[20][1], 64)
	if watts := (zero.At - y) / (zero.At - top.At) * highest; math.Abs(watts-2000) > 10 {
		t.Errorf("the line stands at %.0f W, want 2000", watts)
	}
	if at := (c.Band.Marks[0].At - c.Left) / (c.Right - c.Left) * 40; math.Abs(at-10) > 0.1 {
		t.Errorf("the window begins at %.1f s, want 10", at)
	}
	if at := (c.Band.From + c.Band.Width - c.Left) / (c.Right - c.Left) * 40; math.Abs(at-30) > 0.1 {
		t.Errorf("the band ends at %.1f s, want 30", at)
	}
	if c.Limit == nil || !strings.Contains(c.Limit.Label, "2"+narrow+"800") {
		t.Errorf("limit %+v", c.Limit)
	}
}

// A line that goes on outside the picture is cut at its side, where it is at that moment.
func TestChartIsCut(t *testing.T) {
	ramp := measured("r", 0, 1, func(r *sampler.Reading, i int) { r.PowerWatts = sampler.Some(10 * float64(i)) })
	c := chartOf(ramp, frame{from: origin.Add(10500 * time.Millisecond), to: origin.Add(20500 * time.Millisecond), w: 960, h: 280})
	points := regexp.MustCompile(`[ML]([\d.]+) ([\d.]+)`).FindAllStringSubmatch(c.Line, -1)
	scale := func(text string) float64 {
		y, _ := strconv.ParseFloat(text, 64)
		top, _ := strconv.ParseFloat(c.Y[len(c.Y)-1].Label, 64)
		return (c.Y[0].At - y) / (c.Y[0].At - c.Y[len(c.Y)-1].At) * top
	}
	if first, last := points[0], points[len(points)-1]; math.Abs(scale(first[2])-105) > 3 || math.Abs(scale(last[2])-205) > 3 ||
		first[1] != fmt.Sprintf("%.1f", c.Left) || last[1] != fmt.Sprintf("%.1f", c.Right) {
		t.Errorf("from %v (%.0f W) to %v (%.0f W), want 105 at the left side and 205 at the right", first, scale(first[2]), last, scale(last[2]))
	}
}

// The readings around an edge: when, how much power, and what was counted between them.
func TestEdges(t *testing.T) {
	run := measured("r1", 500, 1, nil)
	row := edgeRowOf(run.Series[0], origin.Add(10*time.Second+200*time.Millisecond))
	want := edgeRow{"GPU 0", "−200.0" + narrow + "ms", "500" + narrow + "W", "+800.0" + narrow + "ms", "500" + narrow + "W", "500.0" + narrow + "J"}
	if row != want {
		t.Errorf("%+v, want %+v", row, want)
	}
	if row := edgeRowOf(run.Series[0], origin.Add(time.Hour)); row.After != missing || row.Before == missing {
		t.Errorf("after the last reading: %+v", row)
	}
}

// A window that must not be published says why, and what is missing is missing.
func TestNotValid(t *testing.T) {
	run := measured("r1", 500, 2, func(r *sampler.Reading, i int) {
		if i > 20 {
			r.PowerWatts, r.EnergyJoules = sampler.Value{}, sampler.Value{}
		}
	})
	for _, format := range []Format{HTML, Markdown} {
		text := written(t, format, run)
		if !strings.Contains(text, "not valid") || !strings.Contains(text, "hung or was lost") || !strings.Contains(text, missing) {
			t.Errorf("%s: %s", format, text)
		}
	}
	for _, empty := range []Run{{}, {Result: window.Result{Start: origin, End: origin.Add(time.Second)}}} {
		for _, format := range []Format{HTML, SVG, Markdown} {
			written(t, format, empty)
			written(t, format, empty, run, empty)
		}
	}
	if err := Write(io.Discard, "pdf", run); err == nil {
		t.Error("format pdf is written")
	}
}

// hostile puts a text wherever a file can have one.
func hostile(text string) Run {
	run := measured(text, 500, 2, nil)
	r := &run.Result
	for i := range r.GPUs {
		g := &r.GPUs[i]
		g.Model, g.UUID, g.BusID, g.Host, g.Role = text, text, text, text, text
		g.Reasons, g.Notes = []window.Reason{window.Reason(text)}, []window.Note{window.Note(text)}
	}
	r.Backend, r.Versions = text, window.Versions{Wattmark: text, Driver: text, Library: text}
	r.Aggregate = window.Aggregate{Path: text, Status: text, Detail: text}
	r.Served = &window.Served{Engine: text}
	r.Stats.IdleRun = text
	r.Nodes = []window.Node{{Name: text, Error: text}}
	return run
}

// skeleton is the page without its texts: the tags in their order.
func skeleton(page string) string {
	quoted := regexp.MustCompile(`"[^"]*"`)
	var out strings.Builder
	for _, tag := range regexp.MustCompile(`<[^>]*>`).FindAllString(page, -1) {
		out.WriteString(quoted.ReplaceAllString(tag, `""`))
	}
	return out.String()
}

func wellFormed(text string) error {
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// checkHostile holds the reports of hostile texts to those of a harmless one: the same tags, the same table.
func checkHostile(t *testing.T, text string) {
	t.Helper()
	run, tame := hostile(text), hostile("harmless")
	if got, want := skeleton(written(t, HTML, run, run)), skeleton(written(t, HTML, tame, tame)); got != want {
		t.Errorf("%q changes the page's tags", text)
	}
	picture := written(t, SVG, run)
	if got, want := skeleton(picture), skeleton(written(t, SVG, tame)); got != want {
		t.Errorf("%q changes the picture's tags", text)
	}
	if err := wellFormed(picture); err != nil {
		t.Errorf("%q: the picture is not XML: %v", text, err)
	}
	md, calm := written(t, Markdown, run, run), written(t, Markdown, tame, tame)
	for _, mark := range []string{"\n", "|", "`", "<", ">", "*", "](", "![", "@", "://"} {
		if got, want := strings.Count(md, mark), strings.Count(calm, mark); got != want {
			t.Errorf("%q: %d × %q in the Markdown, want %d", text, got, mark, want)
		}
	}
}

func TestHostileTexts(t *testing.T) {
	for _, text := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onload='x`, "a|b\n|c`d`", "](http://evil.example/)![x](y)", "**bold** @user #1",
		"</style><style>*{display:none}", "{{.Title}}", "\x00\x01\x1b[31m\u202egnp.exe", "&lt;b&gt;", "]]>", "<!--", "\xff\xfe", strings.Repeat("x", 5000),
	} {
		checkHostile(t, text)
	}
}

func FuzzHostileTexts(f *testing.F) {
	f.Add("<script>")
	f.Add("a|b`c`\n")
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" || plain(text) == "" || strings.TrimSpace(text) != text || strings.Trim(text, ";. ") != text {
			t.Skip() // texts that are left out, or lose their ends
		}
		checkHostile(t, text)
	})
}

// A difference is marked when it is more than both bounds; on other cards, when it is more than their tolerance too.
func TestComparison(t *testing.T) {
	a, near, far := measured("a", 500, 2, nil), measured("near", 500.1, 2, nil), measured("far", 520, 2, nil)
	other := measured("other", 520, 2, nil)
	for i := range other.Result.GPUs {
		other.Result.GPUs[i].UUID = "GPU-x" + strconv.Itoa(i)
	}
	broken := measured("broken", 700, 2, nil)
	broken.Result.Reasons = []window.Reason{window.SimulatedPower}
	energyOf := compareds()[4]
	if bound := a.Result.Bound().Or(0); bound <= 0 || bound > 100 {
		t.Fatalf("bound %v J: the test's numbers need another", bound)
	}
	for _, test := range []struct {
		run    Run
		same   bool
		words  string
		beyond bool
	}{
		{near, true, "within the bounds", false},
		{far, true, "beyond the bounds", true},
		{other, false, "within the sensors' tolerance", false},
		{broken, true, "not valid", false},
	} {
		words, beyond := differs(energyOf, a.Result, test.run.Result, test.same)
		if !strings.Contains(words, test.words) || beyond != test.beyond {
			t.Errorf("%s: %q %v, want %q %v", test.run.Result.Run, words, beyond, test.words, test.beyond)
		}
	}
	if text := written(t, HTML, a, far); !strings.Contains(text, "beyond the bounds") || !strings.Contains(text, "of the same cards") {
		t.Error("the page does not say so")
	}
	if text := written(t, Markdown, a, other); !strings.Contains(text, "different cards") {
		t.Error("the summary does not say so")
	}
}
