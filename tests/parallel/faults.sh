#!/usr/bin/env bash
# Ranks that die, hang or disagree: every process ends in time, and a sentence names the rank.
# usage: faults.sh mpirun program
set -uo pipefail
mpirun=$1 program=$2
failed=0

# check what seconds "text that must be printed"… : both ranks are gone after at most so many seconds.
check() {
  local what=$1 most=$2 start=$SECONDS output text
  shift 2
  output=$(timeout $((most + 10)) "$mpirun" -n 2 ${options:-} "$program" "$what" 2>&1)
  local status=$?
  if { [ $status -eq 0 ] && [ -z "${options:-}" ]; } || [ $((SECONDS - start)) -gt "$most" ]; then
    echo "$what: expected an error within $most s, got status $status after $((SECONDS - start)) s"
    failed=1
  fi
  for text in "$@"; do
    grep -qF -- "$text" <<<"$output" || { echo "$what: expected \"$text\", got:"; echo "$output"; failed=1; }
  done
}
check size 10 "all_reduce on rank 0 of 2: expected 16 bytes from rank 1, got"
check configuration 10 "one configuration on all ranks, got \"width 4\" on rank 0 and \"width 8\" on rank 1"
check exception 10 "rank 1: a label out of range"
check killed 10 "rank 1"
check hang 20 "all_reduce on rank 0 of 2: expected an answer from rank 1 (process" "within 2 s, got none"
# A launcher that lets the others live: the sentence comes from the rank that waits.
options=--enable-recovery check killed 10 "since that process has ended; see why it ended, and resume from the last checkpoint"
exit $failed
