# shellcheck shell=bash
# start_gpu_monitor and stop_gpu_monitor of InferenceX's benchmarks/benchmark_lib.sh, with wattmark instead of nvidia-smi or
# amd-smi. Source this file after benchmark_lib.sh; nothing else in a benchmark script changes. README.md has the rest.
#
#   start_gpu_monitor [--output FILE] [--interval SECONDS]     default: $GPU_METRICS_CSV, else gpu_metrics.csv; 1
#   stop_gpu_monitor
#
# They never fail and never end a script, under `set -euo pipefail` either. While the monitor runs it writes FILE as the
# vendor's tool does, and a window is open from start to stop: power_window_monitor-<RESULT_FILENAME>.json then holds
# all readings, and wattmark_finalize.sh takes the benchmark's own phase out of it.
#
# Where there is no wattmark on the path (or at $WATTMARK_BIN), the functions that were there before go on to do the job;
# if there were none, or there is no GPU, nothing is measured, and one line on stderr says so. Settings of the daemon are
# environment variables: WATTMARK_GPUS=visible, WATTMARK_CSV_TIME=epoch and so on; `wattmark serve --help` lists them.

GPU_MONITOR_PID=${GPU_MONITOR_PID:-}

# What benchmark_lib.sh has defined, under another name. Sourcing this file twice must not take ours for theirs.
if [[ $(type -t start_gpu_monitor) == function && $(type -t _wattmark_say) != function ]]; then
    eval "_wattmark_former_$(declare -f start_gpu_monitor)"
    eval "_wattmark_former_$(declare -f stop_gpu_monitor)"
fi

_wattmark_say() { printf '[GPU Monitor] %s\n' "$*" >&2; }

# The run's name as wattmark takes it.
_wattmark_run_name() {
    local run="monitor-${RESULT_FILENAME:-run}"
    run=${run//[^A-Za-z0-9._-]/_}
    printf '%s' "${run:0:200}"
}

# Serve on the address $1 until it is ready: 0. 1: there is no GPU. 2: it has ended; the log says why.
_wattmark_serve() {
    local port_file why end=$((SECONDS + 10)) waking=$((SECONDS + 25))
    port_file=$(mktemp "${TMPDIR:-/tmp}/wattmark-port.XXXXXX") || return 2
    "$_wattmark_bin" serve --listen "$1" --port-file "$port_file" --csv "$_wattmark_csv" --interval "$_wattmark_interval" \
        --results-dir "$_wattmark_results" --watch-pid "$$" </dev/null >"$_wattmark_log" 2>&1 &
    GPU_MONITOR_PID=$!
    _wattmark_addr=$1
    while ((SECONDS < end)); do
        if [[ $1 != unix:* && -s $port_file ]]; then
            _wattmark_addr=${1%:*}:$(<"$port_file")
        fi
        # A wattmark of somebody else may answer at this address, so ours must be alive too.
        if ! kill -0 "$GPU_MONITOR_PID" 2>/dev/null; then
            wait "$GPU_MONITOR_PID" 2>/dev/null || true
            GPU_MONITOR_PID=
            rm -f "$port_file"
            return 2
        fi
        if [[ $1 == unix:* || -s $port_file ]]; then
            if why=$("$_wattmark_bin" ready --addr "$_wattmark_addr" --allow-degraded --wait 200ms 2>&1); then
                [[ -z $why ]] || _wattmark_say "${why#wattmark: }" # a GPU hangs: the others are measured
                break
            elif [[ $why == *"no GPU to measure"* ]]; then
                rm -f "$port_file"
                return 1
            elif [[ $why == *"driver call"* ]]; then
                end=$waking # GPUs wake up, or one hangs: after 20 s a window begins without it
            fi
        fi
        sleep 0.05
    done
    rm -f "$port_file"
    return 0 # ready, or slow: it goes on trying
}

# Ends the daemon: SIGTERM, and SIGKILL after 3 s.
_wattmark_kill() {
    local tries
    kill -TERM "$GPU_MONITOR_PID" 2>/dev/null || true
    for ((tries = 0; tries < 60; tries++)); do
        kill -0 "$GPU_MONITOR_PID" 2>/dev/null || break
        sleep 0.05
    done
    kill -KILL "$GPU_MONITOR_PID" 2>/dev/null || true
    wait "$GPU_MONITOR_PID" 2>/dev/null || true
    GPU_MONITOR_PID=
}

start_gpu_monitor() {
    local given=("$@") output=${GPU_METRICS_CSV:-gpu_metrics.csv} interval=1 served=0
    while (($# > 0)); do
        case $1 in
            --output=*) output=${1#*=} ;;
            --interval=*) interval=${1#*=} ;;
            --output) output=${2:-$output} && { (($# < 2)) || shift; } ;;
            --interval) interval=${2:-$interval} && { (($# < 2)) || shift; } ;;
        esac
        shift
    done
    [[ -z ${GPU_MONITOR_PID:-} ]] || stop_gpu_monitor
    _wattmark_bin=${WATTMARK_BIN:-wattmark}
    if ! command -v "$_wattmark_bin" >/dev/null 2>&1; then
        if [[ $(type -t _wattmark_former_start_gpu_monitor) == function ]]; then
            _wattmark_say "no wattmark here: the monitor of before"
            _wattmark_former_start_gpu_monitor ${given[@]+"${given[@]}"} || true
            return 0
        fi
        _wattmark_say "no wattmark here: skipping"
        return 0
    fi

    [[ $interval =~ [a-z]$ ]] || interval=${interval}s
    GPU_METRICS_CSV=$output
    _wattmark_csv=$output
    _wattmark_interval=$interval
    _wattmark_results=${WATTMARK_RESULTS_DIR:-$(dirname -- "$output")}
    _wattmark_log=${output%.csv}_wattmark.log
    mkdir -p -- "$_wattmark_results" "$(dirname -- "$output")" 2>/dev/null || true
    rm -f -- "$output" 2>/dev/null || true # as the tools do: one file for one run of the monitor
    if ! : 2>/dev/null >"$_wattmark_log"; then
        _wattmark_log=/dev/null
    fi
    _wattmark_serve "${WATTMARK_LISTEN:-127.0.0.1:9844}" || served=$?
    if ((served == 2)) && [[ ${WATTMARK_LISTEN:-} != unix:* ]] && grep -q "address already in use" "$_wattmark_log"; then
        served=0 # another job on this host: any port will do
        _wattmark_serve 127.0.0.1:0 || served=$?
    fi
    case $served in
        1)
            _wattmark_say "no GPU: skipping (wattmark gpus says why)"
            _wattmark_kill
            rm -f -- "$output"
            ;;
        2) _wattmark_say "wattmark has ended: $(tail -n 1 -- "$_wattmark_log" 2>/dev/null || true)" ;;
        *)
            if [[ -z ${WATTMARK_ADDR:-} || ${WATTMARK_ADDR:-} == "${_wattmark_exported:-}" ]]; then
                export WATTMARK_ADDR=$_wattmark_addr # for the benchmark's own marks
                _wattmark_exported=$_wattmark_addr
            fi
            _wattmark_run=$(_wattmark_run_name)
            "$_wattmark_bin" mark-start --addr "$_wattmark_addr" --run "$_wattmark_run" --best-effort >/dev/null || true
            _wattmark_say "wattmark at $_wattmark_addr (PID $GPU_MONITOR_PID), every $interval, output $output"
            ;;
    esac
    return 0
}

stop_gpu_monitor() {
    if [[ -z ${_wattmark_csv:-} ]]; then
        if [[ $(type -t _wattmark_former_stop_gpu_monitor) == function ]]; then
            _wattmark_former_stop_gpu_monitor || true
        fi
        return 0
    fi
    [[ -n ${GPU_MONITOR_PID:-} ]] || return 0
    if ! kill -0 "$GPU_MONITOR_PID" 2>/dev/null; then
        _wattmark_say "wattmark had ended before: $(tail -n 1 -- "$_wattmark_log" 2>/dev/null || true)"
        GPU_MONITOR_PID=
        return 0
    fi
    "$_wattmark_bin" mark-end --addr "$_wattmark_addr" --run "$_wattmark_run" --best-effort >/dev/null || true
    _wattmark_kill
    _wattmark_say "stopped; $_wattmark_csv and $_wattmark_results/power_window_$_wattmark_run*.json"
    return 0
}
