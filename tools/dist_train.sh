#!/usr/bin/env bash
# Train on several GPUs, or without a GPU in several processes: tools/dist_train.sh CONFIG PROCESSES [OPTIONS OF train.py]
# On several machines set NNODES, NODE_RANK and MASTER_ADDR on each. With MAX_RESTARTS=3 and the option --resume all
# processes are started again, up to three times, where one is killed, and go on from the last checkpoint.
set -eu

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG PROCESSES [OPTIONS OF train.py]" >&2
    exit 2
fi
config=$1
processes=$2
shift 2

# The processes meet through a store that is new at each start: what an earlier start left in a static one would let
# those that are started again wait for processes that are gone.
node_rank=${NODE_RANK:-0}
exec python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="$node_rank" \
    --rdzv_backend=c10d \
    --rdzv_endpoint="${MASTER_ADDR:-127.0.0.1}:${PORT:-29500}" \
    --rdzv_conf="is_host=$((node_rank == 0))" \
    --rdzv_id="${PORT:-29500}" \
    --nproc_per_node="$processes" \
    --max_restarts="${MAX_RESTARTS:-0}" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
