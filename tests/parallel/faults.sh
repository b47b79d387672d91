#!/usr/bin/env bash
# Ranks that die, hang or disagree: every process ends in time, and a sentence names the rank.
# Trainings of which a rank is killed at random moments, again and again, end with the bits of one that is not.
# usage: faults.sh mpirun program [how often ranks are killed]
set -uo pipefail
mpirun=$1 program=$2 kills=${3:-20}
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
# kill_again file times: trains into the file, so often killed, until it is done.
kill_again() {
  local file=$1 times=$2 killed=0 starts launcher victim start failed=0
  for ((starts = 0; killed < times && starts < 3 * times; ++starts)); do
    "$mpirun" -n 2 "$program" train "$file" >"$file.log" 2>&1 &
    launcher=$!
    while kill -0 $launcher 2>/dev/null && [ "$(grep -c training "$file.log")" -lt 2 ]; do sleep 0.02; done
    sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
    victim=$(tr ' ' '\n' 2>/dev/null <"/proc/$launcher/task/$launcher/children" | grep . | shuf -n 1)
    start=$SECONDS
    [ -z "$victim" ] || kill -9 "$victim" 2>/dev/null
    if wait $launcher; then  # it had come to its end: the next one begins anew
      cmp "$folder/straight" "$file" || failed=1
      rm "$file"
    elif grep -qE "signal 9|process has ended" "$file.log"; then
      killed=$((killed + 1))
    else
      echo "train: expected a word on the killed rank, got:"
      cat "$file.log"
      failed=1
    fi
    [ $((SECONDS - start)) -le 10 ] || { echo "train: expected the other rank to end within 10 s"; failed=1; }
  done
  [ $killed -eq "$times" ] || { echo "train: expected $times killed ranks, got $killed in $starts trainings"; failed=1; }
  "$mpirun" -n 2 "$program" train "$file" || { echo "train: expected to go on, got status $?"; failed=1; }
  cmp "$folder/straight" "$file" || failed=1
  return $failed
}
lanes=()  # side by side: they wait most of the time
for lane in 1 2 3 4; do
  kill_again "$folder/$lane" $((kills / 4)) &
  lanes+=($!)
done
for lane in "${lanes[@]}"; do wait "$lane" || failed=1; done
exit $failed
