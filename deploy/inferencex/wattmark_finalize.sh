#!/usr/bin/env bash
# Puts joules per token into the aggregates of InferenceX, on the host, after process_result.py has made them: for each
# agg_<R>.json with its <R>.json, from the window that a daemon left (power_window_<R>.json, or that of the monitor), else
# from the recorded CSV. Running it again changes nothing.
#
#   wattmark_finalize.sh [--dir DIR] [--expected-num-gpus N] [--require-power]
#   wattmark_finalize.sh [--dir DIR] --bench-result FILE --agg-result FILE …          one pair, of any names
#
# DIR is the folder of all files, by default the current one. N is by default $GPU_COUNT, as the workflow sets it;
# $PREFILL_GPUS and $DECODE_GPUS count where the windows have roles. It exits 0 whatever it finds, but 1 with --require-power (or REQUIRE_POWER=1) if a result has no valid power, and 2 for bad arguments.
set -euo pipefail

dir=.
expected=${GPU_COUNT:-}
require=""
bench=""
aggregate=""
wattmark=${WATTMARK_BIN:-wattmark}

usage() {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}" >&2
    exit 2
}

while (($# > 0)); do
    case $1 in
        --require-power) require=1 ;;
        --dir | --expected-num-gpus | --bench-result | --agg-result)
            (($# > 1)) || usage
            case $1 in
                --dir) dir=$2 ;;
                --expected-num-gpus) expected=$2 ;;
                --bench-result) bench=$2 ;;
                --agg-result) aggregate=$2 ;;
            esac
            shift
            ;;
        *) usage ;;
    esac
    shift
done
[[ -n $bench && -n $aggregate || -z $bench && -z $aggregate ]] || usage
case ${REQUIRE_POWER:-} in
    1 | [Tt][Rr][Uu][Ee] | [Yy][Ee][Ss]) require=1 ;;
esac

say() { printf 'wattmark: %s\n' "$*" >&2; }

if ! command -v "$wattmark" >/dev/null 2>&1; then
    say "not on the path: the aggregates stay as they are"
    exit "${require:-0}"
fi

shopt -s nullglob

# The windows that the result $1 was measured in: its own, on one node or several; that of the monitor of that name; the
# monitor's under the job's name (one server, several results); the only one there is.
windows_of() {
    local name found
    windows=()
    for name in "$1" "monitor-$1" ${RESULT_FILENAME:+"monitor-$RESULT_FILENAME"}; do
        name=${name//[^A-Za-z0-9._-]/_}
        name=${name:0:200}
        if [[ -f $dir/power_window_$name.json ]]; then
            windows=("$dir/power_window_$name.json")
        else
            windows=("$dir/power_window_$name"_*.json)
        fi
        ((${#windows[@]} == 0)) || return 0
    done
    found=("$dir"/power_window_monitor-*.json)
    ((${#found[@]} != 1)) || windows=("${found[@]}")
}

# One pair: the result $1 and the aggregate $2.
finalize() {
    local stem csv zone=local windows=() args=()
    stem=${1##*/}
    stem=${stem%.json}
    windows_of "$stem"
    if ((${#windows[@]} > 0)); then
        for window in "${windows[@]}"; do
            args+=(--window "$window")
        done
        # Only where the daemons were told their roles (WATTMARK_ROLE): the files' order says nothing about them.
        if [[ -n ${PREFILL_GPUS:-} && -n ${DECODE_GPUS:-} ]] && grep -qE '"role":"(prefill|decode)"' "${windows[@]}"; then
            args+=(--prefill-gpus "$PREFILL_GPUS" --decode-gpus "$DECODE_GPUS")
        fi
    elif [[ -n $expected ]]; then
        csv=${GPU_METRICS_CSV:-$dir/gpu_metrics.csv}
        # What wattmark writes is in UTC, what nvidia-smi writes in the zone of its container.
        if [[ -f ${csv%.csv}_wattmark.log && ${WATTMARK_CSV_TIME:-utc} == utc ]]; then
            zone=UTC
        fi
        args=(--csv "$csv" --csv-zone "$zone")
        say "$stem: no window of it here; from $csv"
    else
        say "$stem: no window of it here, and for a CSV --expected-num-gpus is needed: skipped"
        return 1
    fi
    if [[ -n $expected ]]; then
        args+=(--expected-num-gpus "$expected")
    fi
    "$wattmark" aggregate "${args[@]}" --bench-result "$1" --agg-result "$2" ${require:+--require-power}
}

failed=0
if [[ -n $bench ]]; then
    finalize "$bench" "$aggregate" || failed=1
else
    for aggregate in "$dir"/agg_*.json; do
        stem=${aggregate##*/agg_}
        [[ -f $dir/$stem ]] || continue
        finalize "$dir/$stem" "$aggregate" || failed=1
    done
fi
[[ -z $require ]] || exit "$failed"
