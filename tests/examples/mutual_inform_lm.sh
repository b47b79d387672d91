#!/usr/bin/env bash
# The second paper's tables, small: arms of rows train what they say, published figures stand beside them, claims are judged
# against a base whose load did not collapse, and clear errors. Usage: mutual_inform_lm.sh <program>
set -euo pipefail
program=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
small=(--blocks 1 --width 16 --heads 2 --length 16 --batch 8 --vocabulary 60 --steps 12 --epoch-steps 6
  --evaluation-rows 100 --warmup 5 --sentences 100 --threads 1)

fail() { echo "FAILED: $1" >&2; exit 1; }
refuses() {
  local words=$1; shift
  if "$program" "$@" >"$work/out" 2>&1; then fail "accepted: $*"; fi
  grep -q -- "$words" "$work/out" || { cat "$work/out"; fail "$* does not say \"$words\""; }
}
has() { grep -qF -- "$1" "$work/whole/table.md" || fail "the table lacks \"$1\""; }
# test folder row: the row's test loss.
loss() { python3 -c 'import json, sys; print([r["test"] for r in json.load(open(sys.argv[1]))["runs"] if r["row"] == sys.argv[2]][0])' "$work/$1/results.json" "$2"; }
# same row option…: the row is the one without arms at these options.
same() {
  "$program" "${small[@]}" --rows "${1%%@*}" --seeds 1 --out "$work/alone" --overwrite "${@:2}" >"$work/text" 2>"$work/err"
  [ "$(loss whole "$1")" = "$(loss alone "${1%%@*}")" ] || fail "$1 is not ${*:2}"
}

"$program" "${small[@]}" --experts 4 --chosen 1 --rows table8,table6,table5,table3@loss,smoe@bias --attack 0.2,.5 --seeds 2 --out "$work/whole" >"$work/text" 2>"$work/err"
has "| Similarity-inform SMoE, τ = 0.1 | 32.79 / 34.01 |"
has "| Attention-inform SMoE, σ = √D | 31.62 / 32.90 |"
has "| SMoE | 33.29 / 34.84; 41.75 / 43.59 |"
has "| SMoE, K doubled | 31.82 / 33.41; 39.9 / 41.79 |"
has "| Attention-inform SMoE, large | 27.26 / 28.69; 34.69 / 36.37 |"
has "| Similarity-inform X-MoE, balance loss | 31.83 / 33.06; 39.92 / 41.28 |"
has "table 6: M = K / 2"
has "balance loss, weight 0.01"
has "Balance: none"
has "Balance: a bias that each step moves by 0.001"
has "| Row | 20 % | 50 % |"
has "| Similarity-inform SMoE, balance loss | 1.048 / 1.008 |"
has "| Attention-inform X-MoE, balance loss | 1.038 / 1.060 |"
has "| Similarity-inform SMoE, large | – |"
grep -q "^| Attention-inform SMoE, balance loss: time of a forward pass | +0.070 | [+−].* ± " "$work/whole/table.md" || fail "table 7 is not judged"
! grep -q '"pass_ms": 0.0,' "$work/whole/results.json" || fail "a pass takes no time"
[ "$(loss whole smoe)" != "$(loss whole smoe@bias)" ] || fail "the balance bias does nothing"
has "2 of 4 experts"
has "1 of 8 experts"
[ "$(loss whole smoe)" != "$(loss whole smoe@loss)" ] || fail "the balance loss does nothing"
same smoe@half --experts 4 --chosen 2
same smoe@twice --experts 8 --chosen 1
same smoe-similarity@0.1 --experts 4 --chosen 1 --tau 0.1
same smoe-attention@2 --experts 4 --chosen 1 --sigma 2
same smoe-similarity@root --experts 4 --chosen 1 --tau 4

# Without a base whose load is even enough there is no verdict. One expert serves all slots of row smoe here.
has "| Similarity-inform SMoE, τ = 0.1 − SMoE | −0.024 |"
python3 - "$work/whole/results.json" <<'END'
import json, sys
with open(sys.argv[1]) as file: results = json.load(file)
for run in results["runs"]:
    if run["row"] == "smoe":
        for layer in run["layers"]: layer["load"] = [1, 0, 0, 0]
with open(sys.argv[1], "w") as file: json.dump(results, file)
END
"$program" "${small[@]}" --experts 4 --chosen 1 --rows smoe --attack 0.2,.5 --seeds 2 --out "$work/whole" --resume >"$work/text" 2>"$work/err"
! grep -q "τ = 0.1 − SMoE | −0.024 |" "$work/whole/table.md" || fail "a claim is judged against a collapsed base"
has "- SMoE: 1.0 of 4"

# The recipe of the public code: words see those of the blocks before, whatever the order of --rows.
published=smoe@published,smoe-similarity@published,smoe-attention@published@loss,dropout@published@large
"$program" "${small[@]}" --experts 4 --rows "$published" --seeds 1 --out "$work/published" >"$work/text" 2>"$work/err"
grep -qF "next-word prediction, published recipe, with a balance loss" "$work/published/table.md" || fail "no table of the published recipe"
grep -qF "a word sees the 32 words before it, by relative positions, and not itself" "$work/published/table.md" || fail "the span is not told"
grep -qF "| SMoE, published recipe | 33.29 / 34.84" "$work/published/table.md" || fail "no published figures"
refuses "the CPU: relative positions have no kernels of a GPU, got a GPU" --rows smoe@published --device cuda:0
refuses "one of a kind" --rows smoe-attention@published@all

refuses "@0.1 behind a row whose routing looks at other words" --rows smoe@0.1
refuses "rows: expected smoe, .*or INHIBITION+ROW" --rows moe
refuses "one of a kind" --rows smoe@one@half
refuses "each row once" --rows table1,table1
refuses "at most the number of experts" --experts 1 --rows smoe
echo "arms, published figures and verdicts as they should be"
