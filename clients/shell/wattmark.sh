# shellcheck shell=sh
# Marks a benchmark's measured phase at a wattmark daemon, for scripts that have curl and nothing else.
#
#   . wattmark.sh
#   wattmark_start c64
#   run_the_measured_phase
#   wattmark_end c64 completed=64 total_input_tokens=65536 total_output_tokens=16384 > c64_power.json
#
# or, around one command, whose exit code it keeps:
#
#   wattmark_window c64 python3 benchmark_serving.py …
#
# and after the fact, of a span between two times of `date +%s.%N`:
#
#   wattmark_measure c64 "$start" "$end" completed=64 …
#
# For sh, dash, bash and ksh. Nothing here fails a script: what goes wrong is a warning on stderr, and the exit code is 0,
# unless WATTMARK_STRICT=1. No call takes longer than WATTMARK_TIMEOUT seconds (default 10).
#
# WATTMARK_ADDR: host:port (default 127.0.0.1:9844), a URL, or unix:/path.sock.
# WATTMARK_TOKEN_FILE: holds the token, where the daemon asks for one.
# WATTMARK_NODES: several addresses with spaces between them: all are marked, and each answers with a line.

# _wattmark_call PATH FIELD=VALUE... calls the daemon at $_wattmark_addr.
_wattmark_call() {
	_wattmark_path=$1
	shift
	for _wattmark_field in "$@"; do # the arguments become curl's: each is sent as it is, whatever is in it
		shift
		case $_wattmark_field in
		*=*) ;;
		*) _wattmark_field="$_wattmark_field=" ;; # curl would take @name for a file
		esac
		set -- "$@" --data-urlencode "$_wattmark_field"
	done
	case $_wattmark_addr in
	unix:*) set -- --unix-socket "${_wattmark_addr#unix:}" "$@" "http://localhost$_wattmark_path" ;;
	*://*) set -- "$@" "${_wattmark_addr%/}$_wattmark_path" ;;
	*) set -- "$@" "http://$_wattmark_addr$_wattmark_path" ;;
	esac
	# The token goes by stdin, not by the command line, which others on the host can read.
	if [ -n "${WATTMARK_TOKEN_FILE:-}" ]; then
		printf 'header = "Authorization: Bearer %s"\n' "$(tr -d '[:space:]' <"$WATTMARK_TOKEN_FILE")"
	fi | curl -K - -sS --noproxy '*' --connect-timeout 3 --max-time "${WATTMARK_TIMEOUT:-10}" -X POST -w '\n%{http_code}' "$@"
}

# _wattmark_each PATH FIELD=VALUE... calls every daemon, prints the answers, and warns of what went wrong.
_wattmark_each() {
	_wattmark_code=0
	for _wattmark_addr in ${WATTMARK_NODES:-${WATTMARK_ADDR:-127.0.0.1:9844}}; do
		if ! _wattmark_answer=$(_wattmark_call "$@" 2>&1); then
			echo "wattmark: warning: $_wattmark_addr: $(echo "$_wattmark_answer" | head -n 1)" >&2
			_wattmark_code=1
			continue
		fi
		_wattmark_status=$(echo "$_wattmark_answer" | tail -n 1)
		_wattmark_answer=$(echo "$_wattmark_answer" | sed '$d')
		case $_wattmark_status in
		2*) printf '%s\n' "$_wattmark_answer" ;;
		*)
			echo "wattmark: warning: $_wattmark_addr: status $_wattmark_status: $_wattmark_answer" >&2
			_wattmark_code=1
			;;
		esac
	done
	[ "${WATTMARK_STRICT:-0}" = 1 ] || _wattmark_code=0
	return "$_wattmark_code"
}

# wattmark_start RUN [FIELD=VALUE...] opens a window: gpus, expected_num_gpus, role.
wattmark_start() {
	_wattmark_run=$1
	shift
	_wattmark_each /v1/mark-start "run=$_wattmark_run" "$@"
}

# wattmark_end RUN [FIELD=VALUE...] ends it and prints the result: completed, total_input_tokens, total_output_tokens,
# benchmark_result, agg_result, expected_num_gpus.
wattmark_end() {
	_wattmark_run=$1
	shift
	_wattmark_each /v1/mark-end "run=$_wattmark_run" "$@"
}

# wattmark_measure RUN START END [FIELD=VALUE...] measures a span that nobody marked, in Unix seconds.
wattmark_measure() {
	_wattmark_run=$1 _wattmark_start=$2 _wattmark_end=$3
	shift 3
	_wattmark_each /v1/measure "run=$_wattmark_run" "start_unix=$_wattmark_start" "end_unix=$_wattmark_end" "$@"
}

# wattmark_window RUN COMMAND [ARGUMENT...] marks a command. Its output stays its own: the result goes to the file
# WATTMARK_RESULT (default RUN_power.json). The exit code is the command's.
wattmark_window() {
	_wattmark_window=$1
	shift
	wattmark_start "$_wattmark_window" >/dev/null || true
	_wattmark_exit=0
	"$@" || _wattmark_exit=$?
	wattmark_end "$_wattmark_window" >"${WATTMARK_RESULT:-${_wattmark_window}_power.json}" || true
	return "$_wattmark_exit"
}
