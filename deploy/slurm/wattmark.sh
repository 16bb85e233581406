# shellcheck shell=bash
# For job scripts: a wattmark on every node of the job, marked from this one. Source it, then
#
#   wattmark_start [srun's arguments]   a daemon per node, as a job step beside the others; returns when all have readings,
#                                       1 if one has none after WATTMARK_START_TIMEOUT seconds (60): a benchmark can go on.
#                                       A GPU whose driver call hangs is waited for 20 s, in which it may be waking up, and
#                                       then named in a warning
#   wattmark mark-start --run NAME ...  all nodes, with one stamp: WATTMARK_ADDR lists them
#   wattmark mark-end --run NAME ...    one merged result
#   wattmark_stop                       also when the script ends
#
# WATTMARK_DIR, on a file system that all nodes share, gets the nodes' own files, power_window_<run>_<node>.json, and
# their logs; default: wattmark-<job id> in the job's folder. Flags of the daemon are variables: WATTMARK_INTERVAL=200ms.
# Each daemon sees the job's GPUs, listens on a port that is free, and takes marks from who can read the job's token.

wattmark_start() {
	local node nodes addrs=() failed='' limit=$((SECONDS + ${WATTMARK_START_TIMEOUT:-60}))
	WATTMARK_DIR=$(realpath -m "${WATTMARK_DIR:-wattmark-$SLURM_JOB_ID}")
	mkdir -p "$WATTMARK_DIR"
	rm -f "$WATTMARK_DIR"/*.addr
	export WATTMARK_DIR WATTMARK_TOKEN_FILE="$WATTMARK_DIR/token"
	(umask 077 && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$WATTMARK_TOKEN_FILE")
	# shellcheck disable=SC2016 # expanded on the nodes
	srun --overlap --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 \
		--kill-on-bad-exit=0 --wait=0 --job-name=wattmark "$@" \
		bash -c '
			unset WATTMARK_ADDR WATTMARK_TOKEN_FILE
			node=$SLURMD_NODENAME dir=$WATTMARK_DIR
			address=$(scontrol show node "$node" --oneliner | sed -n "s/.* NodeAddr=\([^ ]*\).*/\1/p")
			(
				until [ -s "$dir/$node.port" ]; do # $$ is to be the daemon
					kill -0 $$ 2>/dev/null || exit
					sleep 0.1
				done
				printf "%s:%s\n" "${address:-$node}" "$(cat "$dir/$node.port")" >"$dir/$node.new"
				mv "$dir/$node.new" "$dir/$node.addr"
			) &
			rm -f "$dir/$node.port"
			exec wattmark serve --listen 0.0.0.0:0 --port-file "$dir/$node.port" --results-dir "$dir" --node "${node%%.*}" \
				--gpus visible --write-token-file "$dir/token" --allowed-host "$node,${address:-$node}" 2>"$dir/$node.log"
		' &
	wattmark_step=$!
	trap wattmark_stop EXIT
	nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
	for node in $nodes; do
		while [ ! -s "$WATTMARK_DIR/$node.addr" ]; do
			if ((SECONDS >= limit)) || ! kill -0 "$wattmark_step" 2>/dev/null; then
				echo "wattmark: no daemon on $node; $WATTMARK_DIR/$node.log may say why" >&2
				failed=1
				break
			fi
			sleep 0.1
		done
		# One that is not there stays on the list: the result then says which node is missing.
		addrs+=("$(cat "$WATTMARK_DIR/$node.addr" 2>/dev/null || echo "$node:9844")")
	done
	WATTMARK_ADDR=$(IFS=, && echo "${addrs[*]}")
	export WATTMARK_ADDR
	# A GPU whose driver call hangs would be waited for in vain: wattmark says which it is, and the windows have the reason.
	[ -z "$failed" ] && wattmark ready --allow-degraded --wait "$((limit > SECONDS ? limit - SECONDS : 1))s"
}

wattmark_stop() {
	[ -n "${wattmark_step:-}" ] || return 0
	local step
	step=$(squeue --steps --noheader --job "$SLURM_JOB_ID" --format '%i %j' | sed -n 's/ wattmark$//p') || true
	[ -z "$step" ] || scancel --quiet --signal=TERM "$step" || true # it complains where a daemon has died
	wait "$wattmark_step" || true
	wattmark_step=
}
