#!/usr/bin/env bash
# What a daemon of eight simulated GPUs at 1 Hz takes more, in % of a core, for --csv, for a viewer of /v1/events, for a scrape
# a second as dcgm-exporter, and for --tokens-from of a page of 136 kB: five daemons side by side, by their own
# process_cpu_seconds_total. Needs Go, curl and python3. bench/extras.sh [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-120}
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
export CGO_CFLAGS=${CGO_CFLAGS:--O2 -g -Wno-deprecated-declarations}
go build -trimpath -o "$work/wattmark" ./cmd/wattmark

python3 - "$work/pages" <<'PY' &
import http.server, sys

page = "".join(
    f'vllm:{kind}_total{{engine="0",model_name="m"}} {n}.0\n' for n, kind in enumerate(["prompt_tokens", "generation_tokens"])
)
filler = 'vllm:request_latency_seconds_bucket{engine="0",le="%d",model_name="m"} 7.0\n'
page += "".join(filler % i for i in range(2000))
page = page[: page.rindex("\n", 0, 136_000) + 1].encode()


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
with open(sys.argv[1], "w") as port:
    port.write(str(server.server_port))
server.serve_forever()
PY
file() { # file NAME: waits for it and prints it
	until [ -s "$work/$1" ]; do sleep 0.05; done
	cat "$work/$1"
}
serve() { # serve NAME ARGUMENTS…
	mkdir "$work/$1.results"
	"$work/wattmark" serve --backend sim --listen 127.0.0.1:0 --port-file "$work/$1" --results-dir "$work/$1.results" --log-level error "${@:2}" &
}
serve plain
serve csv --csv "$work/gpu_metrics.csv"
serve viewer
serve dcgm --dcgm-listen 127.0.0.1:29400
serve tokens --tokens-from "http://127.0.0.1:$(file pages)/metrics"
names="plain csv viewer dcgm tokens"
for name in $names; do file "$name" >"$work/port"; done
curl -sN "127.0.0.1:$(file viewer)/v1/events" >"$work/events" &
(while sleep 1; do curl -s -o /dev/null -w '%{time_total}\n' 127.0.0.1:29400/metrics; done >"$work/scrapes") &
sleep 8 # until the sensors are calibrated

cpu() { curl -s "127.0.0.1:$(file "$1")/metrics" | awk '$1 == "process_cpu_seconds_total" { print $2 }'; }
declare -A before
bytes=$(wc -c <"$work/events")
for name in $names; do before[$name]=$(cpu "$name"); done
sleep "$seconds"
plain=
for name in $names; do
	percent=$(awk -v a="${before[$name]}" -v b="$(cpu "$name")" -v s="$seconds" 'BEGIN { printf "%.3f", 100 * (b - a) / s }')
	plain=${plain:-$percent}
	awk -v name="$name" -v p="$percent" -v plain="$plain" 'BEGIN { printf "%-7s %.3f %% of a core, %+.3f\n", name, p, p - plain }'
done
echo "viewer: $((($(wc -c <"$work/events") - bytes) / seconds)) bytes a second"
echo "dcgm: scrape answered in $(sort -n "$work/scrapes" | awk '{ t[NR] = $1 } END { printf "%.1f", 1e3 * t[int((NR + 1) / 2)] }') ms (median, by curl)"
