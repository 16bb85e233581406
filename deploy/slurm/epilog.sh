#!/bin/sh
# Slurm's Epilog, the other half of prolog.sh. It never fails either.
# shellcheck source=/dev/null
[ ! -r /etc/default/wattmark-slurm ] || . /etc/default/wattmark-slurm
export WATTMARK_ADDR WATTMARK_TOKEN_FILE
timeout 5 "${WATTMARK_BIN:-wattmark}" mark-end --run "job-$SLURM_JOB_ID" --timeout 3s --best-effort >/dev/null 2>&1
exit 0
