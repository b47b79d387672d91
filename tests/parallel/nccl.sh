#!/usr/bin/env bash
# Starts ranks with the variables that torchrun sets. Usage: nccl.sh ranks program [argument…]
set -uo pipefail
ranks=$1; shift
export WORLD_SIZE=$ranks MASTER_ADDR=127.0.0.1 MASTER_PORT=$((20000 + $$ % 30000))
pids=()
for ((rank = 0; rank < ranks; ++rank)); do
  RANK=$rank LOCAL_RANK=$rank "$@" &
  pids+=($!)
done
status=0
for pid in "${pids[@]}"; do wait "$pid" || status=$?; done
exit $status
