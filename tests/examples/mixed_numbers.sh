#!/usr/bin/env bash
# The experiment from end to end, small: the same results on 1 and 2 threads, results that are never lost unasked, the
# pictures, and clear errors. Usage: mixed_numbers.sh <program>
. "$(dirname "$0")/shared.sh"
program=$1
options=(--rows moe,global --samples 400 --epochs 4 --seeds 1 --recipe paper)

"$program" "${options[@]}" --threads 2 --out "$work/whole" >"$work/text" 2>"$work/err"
grep -q "NOT MNIST" "$work/text" || fail "built-in digits are not labelled"
grep -q "NOT MNIST" "$work/whole/table.md" || fail "the table does not say what the data is"
grep -q "92.3 ± 5.6" "$work/whole/table.md" || fail "the table lacks the published figure"

"$program" "${options[@]}" --threads 1 --out "$work/one_thread" >/dev/null 2>"$work/err"
same "$work/whole" "$work/one_thread"

# Files of MNIST's format, 40 images of noise. Results are neither lost nor mixed up: a second call says what to do with
# them, and a run tells where it was made.
noise() {
  mkdir -p "$1"
  { printf '\0\0\10\3\0\0\0\50\0\0\0\34\0\0\0\34' && head -c 31360 /dev/urandom; } >"$1/train-images-idx3-ubyte"
  { printf '\0\0\10\1\0\0\0\50' && printf '\3%.0s' $(seq 40); } >"$1/train-labels-idx1-ubyte"
}
noise "$work/noise"
noise "$work/other/noise"
options=(--rows moe,global --samples 40 --epochs 1 --out "$work/two_seeds")
"$program" "${options[@]}" --data "$work/noise" --seeds 1 --threads 1 >/dev/null 2>"$work/err"
refuses "add --resume to continue it, add --overwrite" "${options[@]}" --data "$work/noise" --seeds 2
refuses "fingerprint" "${options[@]}" --data "$work/other/noise" --seeds 2 --resume
refuses "resume with the same options" "${options[@]}" --data "$work/noise" --lr 1e-3 --resume
"$program" "${options[@]}" --data "$work/noise" --seeds 2 --threads 2 --resume >/dev/null 2>"$work/err"
for threads in "1 thread" "2 threads"; do
  [ "$(grep -c "\"machine\": \"cpu.* $threads" "$work/two_seeds/results.json")" = 2 ] || fail "a run does not tell where it was made"
done
grep -q "^| Global Inhibition − MoE 3/5 experts | +4.4 ± 7.0 | [+−]" "$work/two_seeds/table.md" || fail "the table does not compare rows by seed"
grep -q '"claim": "Global Inhibition − MoE 3/5 experts"' "$work/two_seeds/results.json" || fail "the results have no verdicts"
grep -q "published" "$work/two_seeds/test.gnuplot" || fail "the picture lacks the published values"
rows=$({ "$program" --rows=nonsense 2>&1 || true; } | sed -E 's/.*expected //; s/,? got.*//; s/,| or / /g' | wc -w)
[ "$rows" -gt 5 ] && [ "$(sed -n 's/^colours = //p' "$work/two_seeds/curves.gnuplot" | wc -w)" -ge "$rows" ] ||
  fail "not every row has a colour of its own"
! grep -q "$work" "$work"/two_seeds/*.gnuplot || fail "a picture shows a path"
if command -v gnuplot >/dev/null; then
  for picture in {test,curves,numbers}.{png,svg}; do
    [ -s "$work/two_seeds/$picture" ] || fail "there is no $picture"
  done
  ! grep -q "$work" "$work"/two_seeds/*.svg || fail "a picture shows a path"
  grep -q "noise + squares, 40 samples, 1 epoch" "$work/two_seeds/test.svg" || fail "a picture does not say what it shows"
fi
"$program" "${options[@]}" --seeds 1 --overwrite >/dev/null 2>"$work/err"
[ "$(grep -c '"machine": ' "$work/two_seeds/results.json")" = 2 ] || fail "--overwrite keeps earlier runs"

# The research code's recipe: two drawings of the data, each seed with its own; the same bits on any number of threads.
research=(--recipe research --rows posttext,global --samples 400 --epochs 2 --seeds 2 --drawings 2)
for threads in 1 2; do
  "$program" "${research[@]}" --threads $threads --out "$work/research_$threads" >/dev/null 2>"$work/err"
done
same "$work/research_1" "$work/research_2"
grep -q "drawings 2" "$work/research_1/table.md" || fail "the table does not say how many drawings"
grep -q "^- Post-text Inhibition − \|^| Post-text Inhibition *|  *– |" "$work/research_1/table.md" || fail "post-text is no row"

refuses "rows: expected all, baseline" --rows moe,everything
refuses "output folder /proc/nothing" --samples 20 --out /proc/nothing/here
refuses "train-images-idx3-ubyte" --data "$work" --out "$work/none"
refuses "an even number" --samples 1 --out "$work/none"
echo "$(wc -l <"$work/whole/results.json") lines of results, the same on any number of threads"
