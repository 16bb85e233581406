#!/usr/bin/env bash
# Tests the scripts of this folder on a real Slurm of three nodes with eight GPUs each, all on this machine, whose drivers
# are scripted: the merged energy is the sum of the nodes' and the scripted truth; a sidecar that is killed makes the
# merge invalid with its node's name; a GPU that hangs is named and holds the job up for 20 s; prolog and epilog leave a
# window per job and node, and never drain one.
# Needs root, Go, gcc, python3, and Debian's slurm-wlm, slurmd, slurmctld, slurm-client and munge. A minute. It runs in
# namespaces of its own: ports, processes, /etc/hosts, /run/munge.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CGO_CFLAGS=${CGO_CFLAGS:--O2 -g -Wno-deprecated-declarations}

if [ -z "${WATTMARK_TEST_WORK:-}" ]; then # outside: build, then once more inside
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	chmod 755 "$work"
	go build -o "$work/wattmark.real" ./cmd/wattmark
	gcc -O1 -shared -fPIC -Wl,-soname,libnvidia-ml.so.1 -o "$work/libnvidia-ml.so.1" internal/nvmldouble/c/nvml.c -lm -lpthread
	WATTMARK_TEST_WORK=$work unshare --net --mount --uts --pid --fork --kill-child --mount-proc "$0"
	exit
fi

work=$WATTMARK_TEST_WORK DEPLOY=$PWD/deploy/slurm
fail() {
	echo "FAIL: $*" >&2
	tail -n 20 "$work"/slurm/log/* "$work"/job/*.out "$work"/job/*/*.log >&2 || true
	exit 1
}
ip link set lo up
ip address add 10.9.8.7/32 dev lo # Slurm wants an address that is not loopback's
hostname head
printf '127.0.0.1 localhost\n10.9.8.7 head n1 n2 n3\n' >"$work/hosts"
mount --bind "$work/hosts" /etc/hosts
mkdir -p /run/munge
mount -t tmpfs -o "mode=755,uid=$(id -u munge),gid=$(id -g munge)" tmpfs /run/munge
runuser -u munge -- munged --force

s=$work/slurm
mkdir -p "$s"/{log,state,dev,spool/n1,spool/n2,spool/n3}
chown -R slurm: "$s"/{log,state,spool}
for i in {0..7}; do mknod "$s/dev/nvidia$i" c 195 "$i"; done
echo "NodeName=n[1-3] Name=gpu File=$s/dev/nvidia[0-7]" >"$s/gres.conf"
cat >"$s/slurm.conf" <<-CONF
	ClusterName=t
	SlurmctldHost=head
	AuthType=auth/munge
	CryptoType=crypto/munge
	MpiDefault=none
	ProctrackType=proctrack/linuxproc
	TaskPlugin=task/none
	SwitchType=switch/none
	SelectType=select/cons_tres
	SelectTypeParameters=CR_Core
	AccountingStorageType=accounting_storage/none
	JobAcctGatherType=jobacct_gather/none
	ReturnToService=2
	SlurmUser=slurm
	SlurmdUser=root
	SlurmctldPidFile=$s/ctld.pid
	SlurmdPidFile=$s/spool/%n/slurmd.pid
	SlurmdSpoolDir=$s/spool/%n
	StateSaveLocation=$s/state
	SlurmctldLogFile=$s/log/ctld.log
	SlurmdLogFile=$s/log/%n.log
	KillWait=5
	PrologFlags=Alloc
	Prolog=$s/prolog
	Epilog=$s/epilog
	GresTypes=gpu
	NodeName=n[1-3] Gres=gpu:8 NodeHostname=head NodeAddr=n[1-3] Port=[17001-17003] CPUs=1 RealMemory=500 State=UNKNOWN
	PartitionName=p Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
CONF
for script in prolog epilog; do # each node's daemon has a socket, and its address as /etc/default/wattmark-slurm would say
	printf '#!/bin/sh\nexport WATTMARK_BIN=%s WATTMARK_ADDR=unix:%s\nexec %s\n' "$work/wattmark.real" \
		"$s/\$SLURMD_NODENAME.sock" "$DEPLOY/$script.sh" >"$s/$script"
	chmod 755 "$s/$script"
done

# What is on the path is the program, with the driver of its node: GPU i of node n draws 100 n + 10 i W and 50 W of sine.
# Their counters do not step together, for then their errors would add up as none do that know nothing of each other.
origin=$(date +%s%N)
for n in 1 2 3; do
	{
		printf 'origin_unix_ns %s\ngpus 8\n' "$origin"
		for i in {0..7}; do
			printf 'gpu %d uuid GPU-d0b1e000-0000-4000-800%d-00000000000%d\n' "$i" "$n" "$i"
			printf 'gpu %d sine %d 50 1.7\n' "$i" $((100 * n + 10 * i))
			printf 'gpu %d counter_phase_s 0.0%02d\n' "$i" $(((37 * n + 23 * i) % 100))
		done
	} >"$work/n$n.script"
done
mkdir "$work/bin"
cat >"$work/bin/wattmark" <<-WRAPPER
	#!/bin/sh
	[ "\$1 \$SLURMD_NODENAME" != "serve \${BROKEN:-}" ] || exit 1
	export WATTMARK_BACKEND=nvidia WATTMARK_NVML_LIBRARY=$work/libnvidia-ml.so.1 WATTMARK_NVML_SCRIPT=$work/\$SLURMD_NODENAME.script
	exec $work/wattmark.real "\$@"
WRAPPER
cat >"$work/bin/server" <<-'SERVER'
	#!/bin/sh
	exec sleep 600
SERVER
cat >"$work/bin/client" <<-'CLIENT'
	#!/bin/sh
	echo '{"hw": "h200"}' >"agg_$RESULT.json"
	sleep 2
	if [ -n "${KILL:-}" ]; then
		srun --overlap --nodes=1 --ntasks=1 --nodelist="$KILL" sh -c 'kill -KILL $(pgrep -f "wattmark.real serve .*--node $SLURMD_NODENAME ")'
	fi
	sleep 3
	echo '{"completed": 64, "total_input_tokens": 65536, "total_output_tokens": 16384}' >"$RESULT.json"
CLIENT
chmod 755 "$work"/bin/*
export PATH=$work/bin:$PATH SLURM_CONF=$s/slurm.conf

slurmctld -c
for n in 1 2 3; do slurmd -N n$n; done
idle() {
	for _ in {1..100}; do
		[[ $(timeout 3 sinfo --noheader --format '%D %t') != "3 idle" ]] || return 0
		sleep 0.2
	done
	fail "the nodes are not idle: $(timeout 3 sinfo 2>&1)"
}
idle

mkdir "$work/job"
cd "$work/job"
await() { # await JOB: sbatch --wait looks every half minute only
	local state=''
	for _ in {1..300}; do
		state=$(scontrol show job "$1" --oneliner | sed -n 's/.*JobState=\([A-Z]*\).*/\1/p')
		[ "$state" != COMPLETED ] || return 0
		case $state in PENDING | RUNNING | COMPLETING) sleep 0.2 ;; *) break ;; esac
	done
	fail "job $1: $state"
}
submit() { # submit NAME [VARIABLE=…]: the job script, to its end
	local name=$1
	shift
	await "$(sbatch --parsable --nodes=3 --gpus-per-node=2 --cpus-per-task=1 --output="$name.out" \
		--export="ALL,DEPLOY=$DEPLOY,RESULT=$name${1:+,$1}" "$DEPLOY/job.sh" server client)"
}
submit good
cat good.out agg_good.json
python3 - "$origin" wattmark-* <<-'PY'
	import glob, json, math, sys
	merged = json.load(open("energy_good.json"))
	assert merged["power_valid"], merged["reasons"]
	files = sorted(glob.glob(sys.argv[2] + "/power_window_good_n?.json"))
	nodes = [json.load(open(f)) for f in files]
	assert len(nodes) == 3 and len(merged["nodes"]) == 3, files
	total, parts = merged["total_gpu_energy_j"], sum(n["total_gpu_energy_j"] for n in nodes)
	assert abs(total - parts) <= 1e-6 * parts, (total, parts)
	origin = int(sys.argv[1]) / 1e9
	truth = 0
	for gpu in merged["gpus"]:
	    n, i = int(gpu["uuid"][-14]), int(gpu["uuid"][-1])
	    assert i < 2, "not a GPU of the job"
	    t0, t1 = merged["start_unix"] - origin, merged["end_unix"] - origin
	    w = 2 * math.pi / 1.7
	    truth += (100 * n + 10 * i) * (t1 - t0) - 50 / w * (math.cos(w * t1) - math.cos(w * t0))
	assert len(merged["gpus"]) == 6
	assert abs(total - truth) <= 2 * merged["energy_bound_j"], (total, truth, merged["energy_bound_j"])
	aggregate = json.load(open("agg_good.json"))
	assert aggregate["power_valid"] == 1 and abs(aggregate["total_gpu_energy_j"] - total) < 0.001
	print(f"three nodes: merged {total:.2f} J, sum of the nodes' files {parts:.2f} J, true {truth:.2f} J, bound {merged['energy_bound_j']:.2f} J")
PY
idle

missing() { # missing JOB NODE
	python3 - "$@" <<-'PY'
		import json, sys
		job, node = sys.argv[1:]
		merged = json.load(open(f"energy_{job}.json"))
		assert not merged["power_valid"] and "node_missing" in merged["reasons"], merged["reasons"]
		gone = [n["node"] for n in merged["nodes"] if n["error"]]
		assert len(gone) == 1 and gone[0].startswith(node + ":"), merged["nodes"]
		aggregate = json.load(open(f"agg_{job}.json"))
		assert aggregate["power_valid"] == 0 and "total_gpu_energy_j" not in aggregate, aggregate
		print(f"{job}:", gone, merged["reasons"])
	PY
}
submit killed KILL=n2
missing killed n2
idle
submit broken BROKEN=n3,WATTMARK_START_TIMEOUT=4 # its daemon does not even start; the benchmark runs
missing broken n3
idle

# A driver call of n2's second GPU never returns: the job goes on after the 20 s in which it may be waking up, its energy
# is not valid and says so, and the other GPUs are measured.
echo 'gpu 1 fault hang *' >>"$work/n2.script"
began=$SECONDS
submit hung
took=$((SECONDS - began))
sed -i '$d' "$work/n2.script"
((took < 45)) || fail "a job with a GPU that hangs took $took s"
[ "$(grep -c 'going on without what hangs: n2:.*GPU 1: a driver call has not returned' hung.out)" = 1 ] || fail "hung.out does not say which GPU hangs"
! grep 'no energy of this job' hung.out || fail "wattmark_start has failed"
python3 - "$took" <<-'PY'
	import json, sys
	merged = json.load(open("energy_hung.json"))
	assert not merged["power_valid"] and "expected_gpu_count_mismatch" in str(merged["nodes"]), merged
	measured = sorted(g["uuid"][-14] + g["uuid"][-1] for g in merged["gpus"])
	assert measured == ["10", "11", "20", "30", "31"], measured
	assert not any(g["reasons"] for g in merged["gpus"]), merged["gpus"]
	assert json.load(open("agg_hung.json"))["power_valid"] == 0
	print(f"hung: {len(measured)} of 6 GPUs measured, reasons {merged['reasons']}; the job took {sys.argv[1]} s")
PY
idle
pgrep -fa 'wattmark.real serve' && fail "a daemon outlived its job"

# Prolog and epilog, with the daemons of the nodes; that of n3 does not run.
for n in 1 2; do
	SLURMD_NODENAME=n$n wattmark serve --listen "unix:$s/n$n.sock" --results-dir "$work/n$n" 2>"$s/log/wattmark-n$n.log" &
	wattmark ready --addr "unix:$s/n$n.sock"
done
job=$(sbatch --parsable --nodes=3 --gpus-per-node=2 --output=prolog.out --wrap 'srun sleep 3')
await "$job"
idle # no node is drained
for n in 1 2; do
	python3 - "$work/n$n/power_window_job-$job.json" $n <<-'PY'
		import json, sys
		window, n = json.load(open(sys.argv[1])), int(sys.argv[2])
		assert window["power_valid"] and len(window["gpus"]) == 2, (window["reasons"], len(window["gpus"]))
		assert 3 <= window["duration_s"] < 10 and abs(window["avg_power_w"] - (100 * n + 5)) < 20, window["avg_power_w"]
		print(f"job on n{n}: {window['total_gpu_energy_j']:.0f} J in {window['duration_s']:.1f} s")
	PY
done
echo "PASS on $(sinfo --version)"
