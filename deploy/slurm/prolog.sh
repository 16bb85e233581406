#!/bin/sh
# Slurm's Prolog (slurm.conf: Prolog=/etc/slurm/wattmark-prolog.sh, PrologFlags=Alloc): opens a window on the job's GPUs
# at this node's daemon (deploy/systemd). With epilog.sh, every job leaves power_window_job-<id>.json in the daemon's
# results folder, whatever its user does. It never fails: a prolog that does drains the node.
# Settings, WATTMARK_ADDR and WATTMARK_TOKEN_FILE among them, may be in /etc/default/wattmark-slurm.
# shellcheck source=/dev/null
[ ! -r /etc/default/wattmark-slurm ] || . /etc/default/wattmark-slurm
export WATTMARK_ADDR WATTMARK_TOKEN_FILE
timeout 5 "${WATTMARK_BIN:-wattmark}" mark-start --run "job-$SLURM_JOB_ID" ${SLURM_JOB_GPUS:+--gpus "$SLURM_JOB_GPUS"} \
	--timeout 3s --best-effort >/dev/null 2>&1
exit 0
