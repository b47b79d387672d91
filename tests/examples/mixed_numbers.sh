#!/usr/bin/env bash
# The experiment from end to end, small: the same results on 1 and 2 threads, after kill -9 and after Ctrl-C, and clear
# errors. Usage: mixed_numbers.sh <program>
set -euo pipefail
program=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
options=(--rows moe,global --samples 400 --epochs 4 --seeds 1 --recipe paper --save-seconds 0)

fail() { echo "FAILED: $1" >&2; exit 1; }
# What must not differ between two calls: everything but clocks and the machine.
bits() { grep -vE '"(seconds|step_ms|machine|threads)"' "$1/results.json"; }
same() { diff <(bits "$work/whole") <(bits "$work/$1") || fail "$1 differs from the uninterrupted run"; }
# Waits for the first checkpoint of a program in the background.
await_checkpoint() {
  for _ in $(seq 600); do
    compgen -G "$work/$1/*.safetensors" >/dev/null && return
    sleep 0.05
  done
  fail "no checkpoint in $1"
}
refuses() {
  local words=$1; shift
  if "$program" "$@" >"$work/out" 2>&1; then fail "accepted: $*"; fi
  grep -q -- "$words" "$work/out" || { cat "$work/out"; fail "$* does not say \"$words\""; }
}

"$program" "${options[@]}" --threads 2 --out "$work/whole" >"$work/text" 2>"$work/err"
grep -q "NOT MNIST" "$work/text" || fail "built-in digits are not labelled"
grep -q "NOT MNIST" "$work/whole/table.md" || fail "the table does not say what the data is"
grep -q "92.3 ± 5.6" "$work/whole/table.md" || fail "the table lacks the published figure"

"$program" "${options[@]}" --threads 1 --out "$work/one_thread" >/dev/null 2>"$work/err"
same one_thread

"$program" "${options[@]}" --threads 2 --out "$work/killed" >/dev/null 2>&1 &
await_checkpoint killed
kill -9 $! && wait $! 2>/dev/null || true
"$program" "${options[@]}" --threads 2 --out "$work/killed" --resume >/dev/null 2>"$work/err"
same killed

"$program" "${options[@]}" --threads 2 --out "$work/interrupted" >/dev/null 2>"$work/err" &
await_checkpoint interrupted
kill -TERM $!
status=0; wait $! || status=$?
[ "$status" = 143 ] || [ "$status" = 0 ] || fail "an interrupt ends with status $status"
"$program" "${options[@]}" --threads 2 --out "$work/interrupted" --resume >/dev/null 2>"$work/err"
same interrupted

"$program" --rows moe,global --samples 40 --epochs 1 --seeds 2 --out "$work/two_seeds" >/dev/null 2>"$work/err"
grep -q "^- Global Inhibition − MoE: [+-]" "$work/two_seeds/table.md" || fail "the table does not compare rows by seed"

refuses "rows: expected all, baseline" --rows moe,everything
refuses "output folder /proc/nothing" --samples 20 --out /proc/nothing/here
refuses "resume with the same options" "${options[@]}" --lr 1e-3 --out "$work/whole" --resume
refuses "train-images-idx3-ubyte" --data "$work" --out "$work/none"
refuses "twice the digits\|2 to" --samples 1 --out "$work/none"
echo "$(wc -l <"$work/whole/results.json") lines of results, the same after every interruption"
