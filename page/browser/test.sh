#!/usr/bin/env bash
# The live page in a real Chromium, on simulated GPUs of which one is lost: make test-page. It needs node, npm, and
# Debian's chromium (apt-get install chromium). Screenshots go to the folder named, default: a temporary one.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
shots=${1:-$work/shots}
trap 'kill "${daemon:-}" "${vllm:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir -p "$work/results" "$shots"
go build -o "$work/wattmark" ./cmd/wattmark
(cd "$work" && npm init -y >/dev/null && npm install --no-audit --no-fund --silent playwright-core@1 axe-core@4)
cp page/browser/check.mjs "$work/"
# An inference server that generates 2000 tokens a second.
node -e 'const t = Date.now(); const s = require("http").createServer((q, r) => { const n = (Date.now() - t) * 2;
  r.end(`vllm:prompt_tokens_total ${4 * n}\nvllm:generation_tokens_total ${n}\n`); }).listen(0, "127.0.0.1", () => require("fs").writeFileSync(process.argv[1], String(s.address().port)))' "$work/vllm" &
vllm=$!
until [ -s "$work/vllm" ]; do sleep 0.1; done
"$work/wattmark" serve --tokens-from "http://127.0.0.1:$(cat "$work/vllm")/metrics" --backend sim --sim "${SIM:-8xH200,load=decode,seed=7,fault=lost:${LOST:-25s}@5}" --allow-simulated \
  --listen 127.0.0.1:0 --port-file "$work/port" --results-dir "$work/results" 2>"$work/log" &
daemon=$!
until [ -s "$work/port" ]; do sleep 0.1; done
"$work/wattmark" ready --addr "127.0.0.1:$(cat "$work/port")"
(cd "$work" && node check.mjs "http://127.0.0.1:$(cat "$work/port")" "$shots")
