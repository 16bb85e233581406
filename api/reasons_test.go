package api

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/window"
)

// Bad numbers and files of the benchmark are answered with 200: the energy stands, reasons say what must not be
// published, and the aggregate says so too.
func TestBadBenchmarkData(t *testing.T) {
	numbers := func(completed, input, output string) string {
		return fmt.Sprintf(`{"completed":%s,"total_input_tokens":%s,"total_output_tokens":%s}`, completed, input, output)
	}
	for _, c := range []struct {
		name, result string // the result file; "-": there is none
		want         []window.Reason
	}{
		{"good", numbers("1", "2", "3"), nil},
		{"good, JSON lines of which the last counts", numbers("0", "0", "0") + "\n" + numbers("1", "2", "3") + "\n", nil},
		{"zero and negative", numbers("0", "-5", "3"), []window.Reason{window.InvalidQueryCount, window.InvalidInputTokenCount}},
		{"not whole", numbers("1.5", "1e3", "3"), []window.Reason{window.InvalidQueryCount, window.InvalidInputTokenCount}},
		{"too large", numbers("1e400", "9223372036854775808", "NaN"), []window.Reason{window.InvalidQueryCount, window.InvalidInputTokenCount, window.InvalidOutputTokenCount}},
		{"absent", `{}`, []window.Reason{window.InvalidQueryCount, window.InvalidInputTokenCount, window.InvalidOutputTokenCount}},
		{"missing", "-", []window.Reason{window.InvalidBenchmarkResult}},
		{"empty", "", []window.Reason{window.InvalidBenchmarkResult}},
		{"garbage", "Traceback (most recent call last):", []window.Reason{window.InvalidBenchmarkResult}},
		{"truncated", `{"completed":1,"total_input_`, []window.Reason{window.InvalidBenchmarkResult}},
		{"list", "[" + numbers("1", "2", "3") + "]", []window.Reason{window.InvalidBenchmarkResult}},
		{"end before start", `{"benchmark_start_time_unix":1700000005,"benchmark_end_time_unix":1700000000,"duration":5,` + numbers("1", "2", "3")[1:], []window.Reason{window.InvalidBenchmarkWindow}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, options{}, func(d *daemon) {
				if c.result != "-" {
					d.write("r.json", c.result)
				}
				d.write("agg_r.json", `{"a":1,"avg_power_w":99}`)
				r := d.marked("r", "benchmark_result=r.json&agg_result=agg_r.json").result()
				if !slices.Equal(r.AllReasons(), append([]window.Reason{}, c.want...)) || r.Aggregate.Status != "patched" || !r.Energy().OK() {
					t.Errorf("reasons %v, want %v; %v J; aggregate %+v", r.AllReasons(), c.want, r.Energy(), r.Aggregate)
				}
				patched := d.json("agg_r.json")
				if valid := len(c.want) == 0; (patched["power_valid"] == 1.0) != valid || (patched["avg_power_w"] != nil) != valid {
					t.Errorf("aggregate %v", patched)
				}
			})
		})
	}
}

// An aggregate that cannot be patched stays as it is, byte for byte; the answer says why, the energy stands.
func TestBadAggregate(t *testing.T) {
	for name, text := range map[string]string{
		"truncated": `{"hw": "h200", "tput`, "list": `[{"a":1}]`, "two objects": `{"a":1}{"b":2}`, "a text": `"a"`,
		"empty": "", "our key twice": `{"power_valid":1,"a":2,"power_valid":0}`, "not JSON": "hello",
		"too large": `{"a":"` + strings.Repeat("x", 16<<20) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, options{}, func(d *daemon) {
				d.write("r.json", counts)
				d.write("agg_r.json", text)
				before := d.stamp("agg_r.json")
				r := d.marked("r", "benchmark_result=r.json&agg_result=agg_r.json").result()
				d.wantTrue(r)
				if r.Aggregate.Status != "failed" || r.Aggregate.Detail == "" || r.Aggregate.Path != "agg_r.json" {
					t.Errorf("aggregate %+v", r.Aggregate)
				}
				if after := d.stamp("agg_r.json"); after != before || string(d.read("agg_r.json")) != text {
					t.Error("the file has changed")
				}
				if got := fmt.Sprint(d.json("power_validation_r.json")["reasons"]); got != "[aggregate_result_unwritable]" {
					t.Errorf("validation file: reasons %s", got)
				}
				// Repaired, it is patched by the same request.
				d.write("agg_r.json", "{}")
				again := d.post("/v1/mark-end", "run=r&benchmark_result=r.json&agg_result=agg_r.json").result()
				if again.Aggregate.Status != "patched" || again.Energy() != r.Energy() {
					t.Errorf("repaired: %+v, %v J, was %v J", again.Aggregate, again.Energy(), r.Energy())
				}
			})
		})
	}
}

// Somebody else writes the aggregate while we do: it never tears, and what the answer says is what happened.
func TestAggregateReplacedMeanwhile(t *testing.T) {
	inBubble(t, options{spec: "1xH200"}, func(d *daemon) {
		d.write("r.json", counts)
		d.write("agg_r.json", aggregate)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			other := filepath.Join(d.dir, "other")
			for {
				select {
				case <-stop:
					return
				default:
				}
				if os.WriteFile(other, []byte(aggregate), 0o644) != nil || os.Rename(other, filepath.Join(d.dir, "agg_r.json")) != nil {
					t.Error("cannot write")
					return
				}
			}
		})
		for i := range 50 {
			run := fmt.Sprint("r", i)
			r := d.do(d.request("POST", "/v1/measure", "", fmt.Sprintf(
				"run=%s&start_unix=%f&end_unix=%f&benchmark_result=r.json&agg_result=agg_r.json",
				run, d.samples.Now().Unix()-7, d.samples.Now().Unix()-3))).result() // no reading is made: fake time stands still meanwhile
			if r.Aggregate.Status != "patched" && (r.Aggregate.Status != "failed" || !strings.Contains(r.Aggregate.Detail, "changed by someone else")) {
				t.Errorf("aggregate %+v", r.Aggregate)
			}
			kept := []byte(strings.TrimSuffix(aggregate, "\n}"))
			if text := d.read("agg_r.json"); !bytes.HasPrefix(text, kept) || !bytes.HasSuffix(text, []byte("\n}")) {
				t.Fatalf("torn: %s", text)
			}
		}
		close(stop)
		wg.Wait()
		synctest.Wait()
		if left, _ := filepath.Glob(filepath.Join(d.dir, ".wattmark-*")); len(left) != 0 {
			t.Errorf("temporary files are left: %v", left)
		}
	})
}

// A validation file that cannot be written is told; the result stands.
func TestValidationFileUnwritable(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		d.write("r.json", counts)
		if err := os.Mkdir(filepath.Join(d.dir, "power_validation_r.json"), 0o755); err != nil {
			t.Fatal(err)
		}
		r := d.marked("r", "benchmark_result=r.json").result()
		d.wantTrue(r)
		if r.Aggregate.Status != "none" || !strings.Contains(r.Aggregate.Detail, "power_validation_r.json") {
			t.Errorf("aggregate %+v", r.Aggregate)
		}
		time.Sleep(time.Second)
	})
}
