#!/bin/bash
# A benchmark on several nodes, with the energy of all their GPUs in its aggregate. Submit it where the results are to
# be: sbatch --nodes=2 --gpus-per-node=8 --export=ALL,DEPLOY=/path/to/deploy/slurm job.sh ./server ./client
# server runs on all nodes; client, on the first one, leaves $RESULT.json and perhaps agg_$RESULT.json.
#SBATCH --job-name=bench
#SBATCH --ntasks-per-node=1
set -euo pipefail
server=$1 client=$2
RESULT=${RESULT:-job$SLURM_JOB_ID}
export RESULT

# shellcheck source-path=SCRIPTDIR source=wattmark.sh
source "$DEPLOY/wattmark.sh"
wattmark_start --quiet || echo "no energy of this job will be valid" >&2

srun --overlap "$server" &
serving=$!

# --best-effort: without energy it is still a benchmark. Away with it where energy is what the job is for.
wattmark mark-start --run "$RESULT" --best-effort
"$client"
aggregate=()
[ ! -f "agg_$RESULT.json" ] || aggregate=(--agg-result "agg_$RESULT.json")
wattmark mark-end --run "$RESULT" --benchmark-result "$RESULT.json" "${aggregate[@]}" --best-effort >"energy_$RESULT.json"

kill "$serving"
wait "$serving" || true
wattmark_stop
