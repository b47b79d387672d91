#!/usr/bin/env bash
# The experiment from end to end, small: the same results on 1 and 2 threads and when resumed, runs that are those of
# mixed_numbers, neurons, verdicts and figures in the results, the pictures, and clear errors.
# Usage: inhibition_analysis.sh <inhibition_analysis> <mixed_numbers>
. "$(dirname "$0")/shared.sh"
program=$1
mixed_numbers=$2
options=(--rows glu,global --samples 400 --epochs 2)

# The test accuracies of a row in the order of the file.
tests() { grep -A99999 '"runs"' "$1/results.json" | grep -E '"(row|test)"' | grep -A1 "\"row\": \"$2\"" | grep '"test"'; }

"$program" "${options[@]}" --seeds 2 --threads 2 --out "$work/whole" >"$work/text" 2>"$work/err"
grep -q "NOT MNIST" "$work/whole/table.md" || fail "the table does not say what the data is"
[ "$(grep -c "figure [23]: .* | not decided |\|figure [23]: .* | holds |\|figure [23]: .* | excluded |" "$work/whole/table.md")" = 4 ] ||
  fail "the table lacks a verdict"
for entry in '"correlation"' '"correlation_after"' '"gate"' '"untrained"' '"digit_masks"' '"square_masks"'; do
  [ "$(grep -c "^   $entry" "$work/whole/results.json")" = 4 ] || fail "a run lacks $entry"
done
[ "$(grep -c '^    "[0-9a-f]\{256\}",\?$' "$work/whole/results.json")" = 160 ] || fail "a mask is not of 128 neurons"
[ "$(grep -c '"kind": "lines"' "$work/whole/results.json")" = 4 ] || fail "a figure is missing in results.json"

"$program" "${options[@]}" --seeds 1 --threads 1 --out "$work/resumed" >/dev/null 2>"$work/err"
grep -q "not decided" "$work/resumed/table.md" || fail "a single seed decides"
"$program" "${options[@]}" --seeds 2 --threads 1 --out "$work/resumed" --resume >/dev/null 2>"$work/err"
same "$work/whole" "$work/resumed"

# Measuring the neurons does not change the training.
"$mixed_numbers" --rows glu --samples 400 --epochs 2 --seeds 2 --threads 1 --out "$work/mixed" >/dev/null 2>"$work/err"
[ -n "$(tests "$work/mixed" glu)" ] && diff <(tests "$work/mixed" glu | tr -d ' ,') <(tests "$work/whole" glu | tr -d ' ,') ||
  fail "not the runs of mixed_numbers"
refuses "expected inhibition_analysis, .* got mixed_numbers, .*resume with the same options" --rows glu --samples 400 --epochs 2 \
  --out "$work/mixed" --resume

if command -v gnuplot >/dev/null; then
  for picture in figure1 figure2 figure3 masks; do
    for ending in png svg; do [ -s "$work/whole/$picture.$ending" ] || fail "there is no $picture.$ending"; done
    ! grep -q "$work" "$work/whole/$picture.gnuplot" "$work/whole/$picture.svg" || fail "$picture shows a path"
    grep -q "400 samples, 2 epochs" "$work/whole/$picture.svg" || fail "$picture does not say what it shows"
  done
fi
"$program" "${options[@]}" --rows glu --seeds 1 --samples 40 --out "$work/whole" --overwrite >/dev/null 2>"$work/err" &&
  fail "--rows given twice is accepted"
refuses "fingerprint" --rows glu --samples 40 --epochs 2 --seeds 1 --out "$work/whole" --resume
refuses "rows: expected all, glu, pretext, posttext or global" --rows moe
refuses "an even number" --samples 1 --out "$work/none"
echo "neurons, verdicts and figures, the same on any number of threads"
