#!/usr/bin/env bash
# scripts/replicate without building: the tools that it would call are stand-ins that note their calls.
# Usage: replicate.sh <repository> [<program>…]; the programs tell whether the script knows all
# their options and rows.
set -euo pipefail
repository=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $1" >&2; cat "$work/out" >&2; exit 1; }

mkdir -p "$work/bin" "$work/repo/examples" "$work/caller" "$work/digits/mnist" "$work/text"
cp -r "$repository/scripts" "$work/repo"
cp -r "$repository/examples/papers" "$work/repo/examples"
stand_in() { printf '#!/bin/sh\n%s\n' "$2" >"$1"; chmod +x "$1"; }
for tool in cmake curl apt-get sudo; do stand_in "$work/bin/$tool" "echo $tool \"\$@\" >>$work/calls; [ $tool = cmake ]"; done
stand_in "$work/bin/nvcc" true
stand_in "$work/bin/dpkg-query" "echo install ok installed"
while read -r experiment; do
  folder=$(dirname "$experiment")
  name=$(basename "$folder")
  mkdir -p "$work/repo/build/examples/examples/papers/$folder"
  stand_in "$work/repo/build/examples/examples/papers/$folder/$name" "echo ran $name \"\$@\" ."
done < <(cd "$repository/examples/papers" && find . -name experiment.txt)
mkdir -p "$work/repo/build/examples/examples/report"
stand_in "$work/repo/build/examples/examples/report/neuroinhib-report" 'echo reported "$@" .'
touch "$work"/digits/mnist/{train,t10k}-images-idx3-ubyte.gz "$work"/digits/mnist/{train,t10k}-labels-idx1-ubyte
touch "$work/text/cats.txt"
mkdir -p "$work/cifar/cifar-100-binary" "$work/pictures/train" "$work/pictures/val"
touch "$work/cifar/cifar-100-binary/train.bin"

call() { rm -f "$work/calls"; (cd "$work/caller" && PATH=$work/bin:$PATH "$work/repo/scripts/replicate" "$@") >"$work/out" 2>&1; }
# runs words… -- arguments…: the program is called with all these words, each followed by a blank or =.
runs() {
  local words=()
  while [ "$1" != -- ]; do words+=("$1"); shift; done
  shift
  call "$@" || fail "refused: $*"
  for word in "${words[@]}"; do
    grep -qE -- "^ran .*${word/ /[ =]} " "$work/out" || fail "$*: not called with $word"
  done
}
# refuses words arguments…: with these words, and before anything is called.
refuses() {
  local words=$1; shift
  if call "$@"; then fail "accepted: $*"; fi
  grep -qE -- "$words" "$work/out" || fail "$*: does not say $words"
  [ ! -e "$work/calls" ] || fail "$*: refused only after $(cat "$work/calls")"
}
cuda() { grep -q -- "-DNEUROINHIB_CUDA=$1" "$work/calls" || fail "built with other than CUDA=$1"; }

# The order of options does not matter, nor whether = or a blank is behind the name.
for options in "--rows moe --data $work/digits" "--data $work/digits --rows moe" "--rows=moe --data=$work/digits"; do
  runs "mixed_numbers" "--rows moe" "--data $work/digits" --quick -- $options
  ! grep -q curl "$work/calls" || fail "$options: MNIST is downloaded though a folder was named"
  cuda OFF
done
for options in "--full --rows moe" "--rows moe --full"; do
  runs "--rows moe" -- mixed-numbers $options --data "$work/digits"
  ! grep -q -- --quick "$work/out" || fail "$options: the small profile"
done
runs "--data $work/text" "language_model --quick" -- --data "$work/text" language-model
for options in "--device cuda:0" "--device=cuda:0" "--rows moe --device=cuda:1"; do
  runs -- language-model $options
  cuda ON
done
runs "--data $work/caller/../text" "--out $work/caller/here" -- language-model --data ../text --out here
grep -q "^reported --title language-model --out $work/caller/here/report.html $work/caller/here \.$" "$work/out" || fail "no page of the results"
runs "--tasks $work/caller/../text" "--tune-lr 1e-3" -- fine-tuning --tasks ../text --tune-lr 1e-3
NEUROINHIB_DATA=$work/digits runs "--data $work/digits" -- --rows moe
runs -- --rows moe
grep -q "curl" "$work/calls" && grep -q "NOT MNIST" "$work/out" || fail "no word of the built-in digits"

for images in digits cifar pictures; do
  runs "mutual_inform_vision --quick" "--data $work/$images" -- mutual-inform-vision --data "$work/$images"
done
refuses "MNIST's IDX files, the binary version of CIFAR" mutual-inform-vision --data "$work/text"
refuses "rows of mutual-inform-vision" mutual-inform-vision --rows moe
refuses "did you mean --rows" --row moe
refuses "did you mean language-model" language-modle
refuses "did you mean global" --rows moe,globl
refuses "rows of language-model" language-model --rows everything
refuses "rows of language-model" language-model --rows glu+nothing
refuses "option of mixed-numbers" --tau 2
refuses "twice" --out a --out b
refuses "twice" --out=a --rows moe --out b
refuses "a value" --data
refuses "a value" --data --full
refuses "no value" --full=yes
refuses "both" --quick --rows moe --full
refuses "both" --resume --overwrite
refuses "train-images-idx3-ubyte" --rows moe --data "$work/text"
refuses "train-images-idx3-ubyte" --data nowhere
refuses ".txt or .txt.gz" language-model --rows moe --data "$work/digits"
refuses "nothing that can be read" language-model --data nowhere.txt
refuses "cpu or cuda:N" --device gpu
refuses "number from 0 to 255, got .300" --device cuda:300
for value in abc 0 10001 -1 1.5 3x 1e3 0x10; do refuses "epochs: expected a whole number from 1 to 10000, got .$value" --epochs="$value"; done
for value in abc 5 nan -1 0 1e-400; do refuses "lr: expected a number from 1e-12 to 1, got .$value" language-model --lr="$value"; done
refuses "steps: expected a whole number from 1" --steps few language-model
refuses "recipe: expected one of paper clean research, got .papr.; did you mean paper" --recipe papr
refuses "one of small medium, got .large" language-model --size large
runs "--epochs 7" "--lr 1e-3" "--save-seconds 0.5" "--recipe clean" -- --epochs 7 --lr=1e-3 --save-seconds 0.5 --recipe clean --data "$work/digits"
runs "--attack .3" "--compare raw" "--tau 2" -- language-model --attack .3 --compare raw --tau 2
touch "$work/file"
refuses "a folder to write to" --out "$work/file"
refuses "a folder to write to" --out "$work/file/below"
refuses "a folder to write to" --out /proc/nothing/here
mkdir "$work/held" && touch "$work/held/results.json"
refuses "resume.*overwrite" --data "$work/digits" --out "$work/held"
runs "--resume" "--out $work/held" -- --data "$work/digits" --resume --out "$work/held"

call --explain --rows moe --device=cuda:0 --data "$work/digits" || fail "no explanation"
[ ! -e "$work/calls" ] || fail "--explain does something"
grep -q "CUDA ON" "$work/out" && grep -q "then: .*mixed_numbers --quick.* --rows=moe" "$work/out" || fail "an explanation that lacks something"

# A folder with experiment.txt is an experiment.
mkdir "$work/repo/examples/papers/guess_ages"
printf 'about Ages.\nreads text\n\n--ages names young old\n  whose\n--years whole 1 150\n  at most\n--data path\n  texts\n--quick flag\n  few\n' >"$work/repo/examples/papers/guess_ages/experiment.txt"
mkdir -p "$work/repo/build/examples/examples/papers/guess_ages"
stand_in "$work/repo/build/examples/examples/papers/guess_ages/guess_ages" 'echo ran guess_ages "$@" .; exit "${AGES_EXIT:-0}"'
runs guess_ages "--ages young,old" "--years 7" --quick -- guess-ages --ages young,old --years 7
grep -q -- "--target guess_ages neuroinhib-report" "$work/calls" || fail "another program is built"
refuses "did you mean guess-ages" gues-ages
refuses "ages of guess-ages: young old, got .odl.; did you mean old" guess-ages --ages odl
refuses "whole number from 1 to 150" guess-ages --years 151
refuses "option of mixed-numbers" --years 7

# No page after an error; a signal goes to the program, which saves.
! AGES_EXIT=3 call guess-ages && ! grep -q "^reported" "$work/out" || fail "a report after an error"
for signal in INT TERM; do
  stand_in "$work/saving" "trap 'echo saved after $signal; exit 40' $signal; echo ready; while :; do sleep .1; done"
  cp "$work/saving" "$work/repo/build/examples/examples/papers/guess_ages/guess_ages"
  : >"$work/out"  # no "ready" of the signal before
  (cd "$work/caller" && PATH=$work/bin:$PATH exec setsid "$work/repo/scripts/replicate" guess-ages) >"$work/out" 2>&1 &
  for i in $(seq 300); do ! grep -q ready "$work/out" || break; sleep .1; done
  kill -$signal $! # the script alone
  if wait $!; then fail "$signal does not end the run"; elif [ $? -ne 40 ]; then fail "$signal: another status than the program's"; fi
  grep -q "saved after $signal" "$work/out" && ! grep -q "^reported" "$work/out" || fail "$signal does not reach the program"
done
stand_in "$work/repo/build/examples/examples/papers/guess_ages/guess_ages" 'echo ran guess_ages "$@" .; exit "${AGES_EXIT:-0}"'

# All of them, one after the other, each in its own folder; what one refuses is refused before any is run.
mkdir -p "$work/both" && ln -s "$work/digits/mnist" "$work/text" "$work/both"
runs "guess_ages --quick --out=$work/caller/o/guess_ages --data=$work/both/text --seeds=3" \
  "language_model --quick --out=$work/caller/o/language_model --data=$work/both/text --seeds=3" \
  "mixed_numbers --quick --out=$work/caller/o/mixed_numbers --data=$work/both --seeds=3" -- --all --seeds 3 --data "$work/both" --out o
touch "$work"/caller/o/{guess_ages,mixed_numbers}/results.json
runs -- --all --resume --data "$work/both" --out o
grep -q "^reported .*--out $work/caller/o/report.html $work/caller/o/guess_ages $work/caller/o/mixed_numbers \.$" "$work/out" || fail "no page of all results"
refuses "one of another experiment" --all --years 7
refuses "number from 1 to 1000" --all --seeds 0
refuses "all and language-model" --all language-model
refuses "train-images-idx3-ubyte" --all --data "$work/text"
call --all --explain || fail "no explanation of all"
[ "$(grep -c "^then: " "$work/out")" = "$(find "$work/repo/examples/papers" -name experiment.txt | wc -l)" ] && [ ! -e "$work/calls" ] || fail "not every experiment is explained, and no more"
! AGES_EXIT=1 call --all --data "$work/both" && grep -q "ran mixed_numbers" "$work/out" && grep -q "got an error in guess-ages" "$work/out" ||
  fail "an error in one experiment hinders the others, or is not told"
! AGES_EXIT=130 call --all --data "$work/both" && ! grep -q "ran mixed_numbers" "$work/out" || fail "Ctrl-C leads to the next experiment"

# Every option and every row of the programs is known, and the programs know every row.
for program in "${@:2}"; do
  target=$(basename "$program" | tr _ -)
  for name in $("$program" --help | grep -oE '^  --[a-z-]+'); do
    call --explain "$target" "$name=1" || ! grep -qE "expected options|other experiment" "$work/out" || fail "$name is not known"
  done
  for name in $("$program" --help | grep -oE '^  --[a-z-]+ N$' | cut -d' ' -f3); do
    if call --explain "$target" "$name=x"; then fail "$name=x of $program is found out only after the build"; fi
  done
  for row in $("$program" --rows=nonsense 2>&1 | sed -E 's/.*expected //; s/,? (got|or INHIB).*//; s/,| or / /g'); do
    call --explain "$target" "--rows=$row" || fail "row $row of $program is not known"
  done
  for row in $(grep -h "^--rows " "$repository/examples/papers"{,/*}/"${target//-/_}/experiment.txt" 2>/dev/null | cut -d' ' -f3-); do
    [[ $row == *[\(]* ]] || "$program" "--rows=$row" --help >"$work/out" 2>&1 || fail "row $row is not one of $program"
  done
done
echo "every call as it should be"
