#!/usr/bin/env bash
# Ranks that die, hang or disagree: every process ends in time, and a sentence names the rank.
# A training that is killed again and again ends with the bits of one that is not.
# usage: faults.sh mpirun program [how often ranks are killed]
set -uo pipefail
mpirun=$1 program=$2 kills=${3:-4}
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
# Whichever rank is first: the launcher ends the other.
check size 10 "all_reduce on rank " " of 2: expected " " bytes from rank " "have all ranks call the same operations in the same order"
check configuration 10 "one configuration on all ranks, got \"width 4\" on rank 0 and \"width 8\" on rank 1"
check exception 10 "rank 1: a label out of range"
check killed 10 "rank 1"
check hang 20 "all_reduce on rank 0 of 2: expected an answer from rank 1 (process" "within 2 s, got none"
# A launcher that lets the others live: the sentence comes from the rank that waits.
options=--enable-recovery check killed 10 "since that process has ended; see why it ended, and resume from the last checkpoint"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$mpirun" -n 2 "$program" train "$folder/straight" || { echo "train: expected success, got status $?"; failed=1; }
killed=0
for ((kill = 0; kill < kills; ++kill)); do
  "$mpirun" -n 2 "$program" train "$folder/killed" >"$folder/log" 2>&1 &
  launcher=$!
  sleep "0.$((3 + RANDOM % 7))"
  victim=$(tr ' ' '\n' 2>/dev/null <"/proc/$launcher/task/$launcher/children" | grep . | shuf -n 1)
  [ -z "$victim" ] || { command kill -9 "$victim" 2>/dev/null && killed=$((killed + 1)); }
  start=$SECONDS
  wait $launcher
  [ $((SECONDS - start)) -le 10 ] || { echo "train: expected the other rank to end within 10 s"; failed=1; }
done
"$mpirun" -n 2 "$program" train "$folder/killed" || { echo "train: expected to go on, got status $?"; failed=1; }
[ "$killed" -gt 0 ] || { echo "train: expected ranks to kill, got none in $kills trainings"; failed=1; }
cmp "$folder/straight" "$folder/killed" || failed=1
exit $failed
