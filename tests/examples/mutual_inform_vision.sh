#!/usr/bin/env bash
# The experiment from end to end, small: the same results on 1 and 2 threads and when resumed, on MNIST's files, on mixed
# numbers and on pictures of our own, tables, verdicts and pictures, and clear errors.
# Usage: mutual_inform_vision.sh <program>
. "$(dirname "$0")/shared.sh"
program=$1
small=(--blocks 2 --experts-in 0,1 --width 16 --hidden 16 --heads 2 --experts 4 --patch 7 --batch 8 --steps 6 --epoch-steps 3
  --warmup 2 --samples 200 --test-images 20 --attacked-images 5)

"$program" "${small[@]}" --seeds 2 --threads 2 --out "$work/whole" >"$work/text" 2>"$work/err"
for words in "NOT MNIST" "73.21 / 36.58 / 5.60 / 50.45" "glass_blur" "halftone" "effective number of experts" "not decided" \
  "Ours, scaled down: 2 blocks × 16"; do
  grep -q "$words" "$work/whole/table.md" || fail "the table lacks \"$words\""
done
[ "$(grep -c '"load": ' "$work/whole/results.json")" = 16 ] || fail "a load is missing"
if command -v gnuplot >/dev/null; then
  for picture in load severities; do
    for ending in png svg; do [ -s "$work/whole/$picture.$ending" ] || fail "there is no $picture.$ending"; done
    ! grep -q "$work" "$work/whole/$picture.gnuplot" || fail "$picture names a folder"
  done
fi

"$program" "${small[@]}" --seeds 1 --threads 1 --out "$work/resumed" >/dev/null 2>"$work/err"
"$program" "${small[@]}" --seeds 2 --threads 1 --out "$work/resumed" --resume >/dev/null 2>"$work/err"
same "$work/whole" "$work/resumed"
# A killed run goes on from its checkpoint.
"$program" "${small[@]}" --seeds 2 --save-seconds 0 --out "$work/killed" >/dev/null 2>"$work/err" &
until [ -e "$work/killed/checkpoints/baseline-0.safetensors" ]; do kill -0 $! 2>/dev/null || break; sleep .01; done
kill -INT $! 2>/dev/null || true
wait $! || true
"$program" "${small[@]}" --seeds 2 --out "$work/killed" --resume >/dev/null 2>"$work/err"
same "$work/whole" "$work/killed"

"$program" "${small[@]}" --set mixed --rows baseline --seeds 1 --out "$work/mixed" >"$work/text" 2>"$work/err"
grep -q "and squares" "$work/mixed/table.md" || fail "the table does not say that squares are among the images"
grep -q "rectangles, up to 32" "$work/mixed/table.md" || fail "the table does not say what the outliers are"

refuses "rows: expected all, baseline, similarity, attention or alternating" --rows moe
refuses "each row once" --rows all,baseline
refuses "divides the width" --width 16 --heads 3
refuses "at most the number of experts, 4" --experts 4 --chosen 5
refuses "from 0 to 1" "${small[@]:0:2}" --experts-in 2
refuses "divides 28 × 28 pixels" --patch 5 --samples 200 --test-images 20 --out "$work/none"
refuses "none of them" --data "$work" --out "$work/none"
refuses "resume with the same options" "${small[@]}" --lr 1e-4 --seeds 1 --out "$work/whole" --resume
mkdir -p "$work/pictures/train/cat" "$work/pictures/val/cat"
refuses "an empty class" --data "$work/pictures" --out "$work/none"
echo "GIF89a" >"$work/pictures/train/cat/a.png"
refuses "begins with 47 49 46 38" --data "$work/pictures" --out "$work/none"
echo "table 2, figure 4 and verdicts, the same on any number of threads"
