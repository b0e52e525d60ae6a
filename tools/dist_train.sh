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

node_rank=${NODE_RANK:-0}
address=${MASTER_ADDR:-127.0.0.1}
port=${PORT:-29500}
restarts=${MAX_RESTARTS:-0}
if [ "$restarts" = 0 ]; then
    meeting=(--master_addr="$address" --master_port="$port")
else
    # The processes meet in a store. torchrun would keep one store for all starts, and those that are started again would
    # find addresses in it of processes that are gone, and wait for them.
    meeting=(--rdzv_backend=c10d --rdzv_endpoint="$address:$port" --rdzv_conf="is_host=$((node_rank == 0))"
        --rdzv_id="$port")
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
fi

exec python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="$node_rank" \
    "${meeting[@]}" \
    --nproc_per_node="$processes" \
    --max_restarts="$restarts" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
