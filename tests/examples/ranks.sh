#!/usr/bin/env bash
# Runs of which two ranks train each a part of every batch: the losses of one process, results and checkpoints from the first
# rank alone; a rank that dies ends the other, and the run goes on on one; ranks that disagree are told.
# Usage: ranks.sh <mpirun> <mixed_numbers> <language_model> <fine_tuning>
. "$(dirname "$0")/shared.sh"
mpirun=$1 mixed=$2 text=$3 tuning=$4
images=(--rows moe,random50,global --samples 400 --epochs 2 --seeds 1 --threads 1)
words=(--blocks 1 --width 16 --heads 2 --experts 4 --chosen 2 --length 16 --batch 8 --vocabulary 60 --steps 30 --epoch-steps 10
  --evaluation-rows 16 --warmup 5 --dropout .1 --sentences 100 --seeds 1 --threads 1 --rows random,global,smoe@loss,smoe-similarity)

fail() { echo "FAILED: $1" >&2; cat "$work/err" >&2; exit 1; }
on_ranks() { "$mpirun" -n 2 "$@" --ranks 2 >"$work/text" 2>"$work/err"; }
program=() # refuses() is given it
# The losses of each run, one a line.
losses() { awk '/"(loss_curve|attacks)": / {on = 1; next} /\]/ {on = 0} on' "$1/results.json" | tr -d ' ,'; }
# alike name: the losses are those of one process, up to rounding.
alike() {
  paste <(losses "$work/$1") <(losses "$work/whole_$1") | awk -v least="$2" '
    { d = $1 - $2; if (NF != 2 || d * d > 1e-10 * $2 * $2) { print; bad = 1 } } END { exit bad || NR < least }' ||
    fail "$1: other losses on two ranks than on one"
}

"$mixed" "${images[@]}" --out "$work/whole_images" >/dev/null 2>"$work/err"
on_ranks "$mixed" "${images[@]}" --out "$work/images" || fail "mixed_numbers on two ranks"
alike images 6
grep -q '2 ranks"' "$work/images/results.json" || fail "the machine does not name the ranks"
[ "$(grep -c '^moe  *seed\|^moe ' "$work/text")" -le 1 ] || fail "more than one rank prints"
[ ! -e "$work/images/checkpoints" ] || fail "checkpoints are left"

"$text" "${words[@]}" --out "$work/whole_words" >/dev/null 2>"$work/err"
on_ranks "$text" "${words[@]}" --out "$work/words" || fail "language_model on two ranks"
alike words 16

# Texts that go on from batch to batch, with what words see of them and what experts drop.
spans=("${words[@]/random*/smoe@published,smoe-attention@published@loss}")
"$text" "${spans[@]}" --out "$work/whole_spans" >/dev/null 2>"$work/err"
on_ranks "$text" "${spans[@]}" --out "$work/spans" || fail "texts that go on, on two ranks"
alike spans 8

# A model that ranks have trained together is tuned by them.
tuned=("${words[@]/random*/smoe,smoe-similarity}" --tune-steps 12 --tune-batch 16 --tune-lr 3e-3)
"$tuning" "${tuned[@]}" --out "$work/whole_tuned" >/dev/null 2>"$work/err"
on_ranks "$tuning" "${tuned[@]}" --out "$work/tuned" || fail "tuning on two ranks"
alike tuned 16

# A rank is killed; the call that resumes gives the digits of one that was not interrupted, and one process goes on too.
long=(--blocks 1 --width 16 --heads 2 --experts 4 --length 16 --batch 8 --vocabulary 60 --steps 450 --epoch-steps 150
  --evaluation-rows 16 --sentences 100 --seeds 1 --threads 1 --rows global)
on_ranks "$text" "${long[@]}" --out "$work/long" || fail "a longer run on two ranks"
: >"$work/err"
"$mpirun" -n 2 "$text" "${long[@]}" --ranks 2 --save-seconds 0 --out "$work/killed" >"$work/text" 2>"$work/err" &
launcher=$!
until grep -q "step 150/450" "$work/err"; do kill -0 $launcher || fail "it ended"; sleep 0.02; done
kill -9 "$(tr ' ' '\n' <"/proc/$launcher/task/$launcher/children" | sed -n 2p)"
if wait $launcher; then fail "a killed rank is not told"; fi
grep -qE "rank 1 with PID|rank 1 \(process" "$work/err" || fail "no word on the killed rank"
[ -n "$(find "$work/killed/checkpoints" -name '*.safetensors')" ] || fail "no checkpoint"
cp -r "$work/killed" "$work/alone"
on_ranks "$text" "${long[@]}" --out "$work/killed" --resume || fail "resuming on two ranks"
same "$work/long" "$work/killed"
"$text" "${long[@]}" --out "$work/alone" --resume >/dev/null 2>"$work/err" || fail "resuming on one process"
[ "$(losses "$work/alone" | wc -l)" -eq 4 ] || fail "the run that went on on one process lacks an epoch"

refuses "expected 2 processes, got 1; start them with mpirun -n 2" "$text" "${words[@]}" --ranks 2 --out "$work/none"
refuses "one configuration on all ranks" "$mpirun" -n 1 "$text" "${words[@]}" --ranks 2 --out "$work/none" : \
  -n 1 "$text" "${words[@]}" --ranks 2 --lr 1e-3 --out "$work/none"
refuses "a batch of 1 of the rows that train" "$mpirun" -n 2 "$text" "${words[@]/#8/1}" --ranks 2 --out "$work/none"
refuses "leave one of them out" "$text" --ranks 2 --telemetry 10
refuses "a divisor of the 9 texts" "$mpirun" -n 2 "$text" "${spans[@]/#8/9}" --ranks 2 --out "$work/none"
refuses "research's Global" "$mixed" --recipe research --ranks 2
