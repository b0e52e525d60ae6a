#!/usr/bin/env bash
# Train on several GPUs, or without a GPU in several processes: tools/dist_train.sh CONFIG PROCESSES [OPTIONS OF train.py]
# On several machines set NNODES, NODE_RANK and MASTER_ADDR on each.
set -eu

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG PROCESSES [OPTIONS OF train.py]" >&2
    exit 2
fi
config=$1
processes=$2
shift 2

exec python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$processes" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
