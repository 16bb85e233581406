#!/usr/bin/env bash
# Tests wattmark.service for real: lint by systemd-analyze, then a systemd of its own as PID 1 in namespaces, on a Debian
# root made for it, where the unit runs the daemon on a scripted driver library, is marked, hangs, is restarted by the
# watchdog, and is stopped. Needs root, Go, gcc, and Debian's debootstrap and systemd packages. Two minutes.
# WATTMARK_TEST_CACHE names a folder that keeps the Debian root for the next time.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CGO_CFLAGS=${CGO_CFLAGS:--O2 -g -Wno-deprecated-declarations}

work=$(mktemp -d)
init= # the process that holds the namespaces
group=
end() {
	if [ -n "$init" ]; then
		kill -KILL "$init" || true
		wait "$init" 2>/dev/null || true
	fi
	for _ in {1..30}; do # its processes are still dying
		[ -d "${group:-/nonexistent}" ] || break
		find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || sleep 0.1
	done
	rm -rf "$work"
}
trap end EXIT
inside() { nsenter -t "$(pgrep -P "$init")" -m -p -n -i -u -C -r -w /usr/bin/env "$@"; }
fail() {
	echo "FAIL: $*" >&2
	[ -z "$init" ] || inside journalctl --no-pager -n 40 >&2 || true
	exit 1
}

unit=deploy/systemd/wattmark.service
mkdir "$work/lint"
sed 's#^ExecStart=/usr/bin/wattmark#ExecStart=/bin/true#' $unit >"$work/lint/wattmark.service" # verify wants it to exist
said=$(systemd-analyze verify --man=no "$work/lint/wattmark.service" 2>&1)
[ -z "$said" ] || fail "systemd-analyze verify: $said" # its exit code is 0 for unknown keys
systemd-analyze security --offline=true --threshold=30 "$work/lint/wattmark.service" | tail -1

cache=${WATTMARK_TEST_CACHE:-$work}
if [ ! -d "$cache/systemd-root" ]; then
	mkdir -p "$cache"
	debootstrap --variant=minbase --include=systemd,systemd-sysv,curl bookworm "$cache/systemd-root.new" >"$work/debootstrap.log"
	mv "$cache/systemd-root.new" "$cache/systemd-root"
fi
root=$work/root
cp -a "$cache/systemd-root" "$root"
chmod 755 "$work"
go build -trimpath -o "$root/usr/bin/wattmark" ./cmd/wattmark
install -m 644 $unit "$root/etc/systemd/system/"
mkdir -p "$root/opt/driver" "$root/etc/systemd/system/wattmark.service.d" "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../wattmark.service "$root/etc/systemd/system/multi-user.target.wants/"
gcc -O1 -shared -fPIC -Wl,-soname,libnvidia-ml.so.1 -o "$root/opt/driver/libnvidia-ml.so.1" internal/nvmldouble/c/nvml.c -lm -lpthread
gpus() { # gpus [FAULT]: two GPUs at 400 W
	{
		printf 'gpus 2\ngpu * step 0 400\n'
		[ -z "${1:-}" ] || echo "gpu * fault $1"
	} >"$root/opt/driver/script.new"
	mv "$root/opt/driver/script.new" "$root/opt/driver/script"
}
gpus
printf '%s\n' WATTMARK_BACKEND=nvidia WATTMARK_NVML_LIBRARY=/opt/driver/libnvidia-ml.so.1 \
	WATTMARK_NVML_SCRIPT=/opt/driver/script >"$root/etc/default/wattmark"
printf '[Service]\nWatchdogSec=3\n' >"$root/etc/systemd/system/wattmark.service.d/test.conf" # not 30: the test waits for it

group=/sys/fs/cgroup/unified # of a host with v1 and v2
[ -d $group ] || group=/sys/fs/cgroup
group=$group/wattmark-test.$$
mkdir "$group"
(
	echo "$BASHPID" >"$group/cgroup.procs"
	# shellcheck disable=SC2016 # expanded inside
	exec unshare --cgroup --mount --pid --fork --uts --ipc --net --kill-child bash -euc '
		mount --make-rprivate /
		mount --bind "$0" "$0"
		mount -t proc proc "$0/proc"
		mount -t sysfs -o ro sysfs "$0/sys"
		mount -t cgroup2 cgroup2 "$0/sys/fs/cgroup"
		for fs in run tmp dev; do mount -t tmpfs tmpfs "$0/$fs"; done
		mkdir "$0/dev/pts" "$0/dev/shm"
		for n in null zero full random urandom tty; do touch "$0/dev/$n"; mount --bind "/dev/$n" "$0/dev/$n"; done
		ip link set lo up
		exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$0" /lib/systemd/systemd --show-status=0 multi-user.target
	' "$root"
) >"$work/systemd.log" 2>&1 &
init=$!
await() { # await SECONDS WHAT COMMAND…
	local limit=$1 what=$2
	shift 2
	for _ in $(seq $((limit * 10))); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	fail "$what, within $limit s"
}
show() { inside systemctl show -P "$1" wattmark; }
has() { [ "$(show "$1")" = "$2" ]; }

await 40 "the unit to be active" has ActiveState active
inside curl -fsS 127.0.0.1:9844/readyz
has NRestarts 0 || fail "it was restarted at start"
has StatusText "2 of 2 GPUs read" || fail "status: $(show StatusText)"
pid=$(show MainPID)
status=$(inside cat "/proc/$pid/status")
for line in NoNewPrivs:.1 Seccomp:.2 CapEff:.0000000000000000; do
	grep -q "^$line\$" <<<"$status" || fail "not $line"
done
if grep -q '^Uid:.0' <<<"$status"; then fail "it runs as root"; fi
[ "$(inside cat "/proc/$pid/stat" | cut -d' ' -f19)" = 5 ] || fail "it did not lower its priority"

inside curl -fsS 127.0.0.1:9844/v1/mark-start -d run=r1 -d expected_num_gpus=2
sleep 2
result=$(inside curl -fsS 127.0.0.1:9844/v1/mark-end -d run=r1 -d completed=8 -d total_input_tokens=800 -d total_output_tokens=80)
[[ $result == *'"power_valid":true'* ]] || fail "$result"
inside stat -L -c '%a %U %n' /var/lib/wattmark/power_window_r1.json
[ "$(inside stat -c %a /var/lib/wattmark/power_window_r1.json)" = 644 ] || fail "mode of the result"

inside curl -fsS 127.0.0.1:9844/v1/mark-start -d run=over >/dev/null
gpus 'hang *' # all driver calls: sampling stands still while HTTP answers
await 20 "a restart by the watchdog" has NRestarts 1
[[ $(inside journalctl --no-pager -u wattmark) == *"Watchdog timeout"* ]] || fail "not the watchdog's doing"
gpus
await 30 "the unit to be active again" has ActiveState active
await 5 "readings" inside curl -fsS 127.0.0.1:9844/readyz
result=$(inside curl -fsS 127.0.0.1:9844/v1/mark-end -d run=over) || fail "the window did not outlive the restart"
[[ $result == *daemon_restarted* ]] || fail "$result"

begin=$(date +%s%N)
inside systemctl stop wattmark
took=$((($(date +%s%N) - begin) / 1000000))
has Result success || fail "result: $(show Result)"
has ActiveState inactive || fail "state: $(show ActiveState)"
[ $took -lt 2500 ] || fail "the stop took $took ms"
echo "stopped in $took ms"
echo "PASS on $(inside systemctl --version | head -1)"
