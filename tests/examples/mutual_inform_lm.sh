#!/usr/bin/env bash
# The second paper's tables, small: arms of rows train what they say, published figures stand beside them, claims are judged
# against a base whose load did not collapse, and clear errors. Usage: mutual_inform_lm.sh <program>
. "$(dirname "$0")/shared.sh"
program=$1
small=(--blocks 1 --width 16 --heads 2 --length 16 --batch 8 --vocabulary 60 --steps 12 --epoch-steps 6
  --evaluation-rows 100 --warmup 5 --sentences 100 --threads 1)

has() { grep -qF -- "$1" "$work/whole/table.md" || fail "the table lacks \"$1\""; }
# test folder row: the row's test loss.
loss() { python3 -c 'import json, sys; print([r["test"] for r in json.load(open(sys.argv[1]))["runs"] if r["row"] == sys.argv[2]][0])' "$work/$1/results.json" "$2"; }
# arm_is row option…: the row is the one without arms at these options.
arm_is() {
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
arm_is smoe@half --experts 4 --chosen 2
arm_is smoe@twice --experts 8 --chosen 1
arm_is smoe-similarity@0.1 --experts 4 --chosen 1 --tau 0.1
arm_is smoe-attention@2 --experts 4 --chosen 1 --sigma 2
arm_is smoe-similarity@root --experts 4 --chosen 1 --tau 4

# Swapped words, and figures 2 and 3, are judged and drawn from what the runs measured.
has "| Similarity-inform SMoE, balance loss − SMoE, balance loss, 20 % of words swapped | −0.088 |"
has "**Mutual-Inform SMoE, figure 2: routing, rows @loss**"
python3 - "$work/whole/results.json" <<'END'
import json, sys
results = json.load(open(sys.argv[1]))
runs = {(r["row"], r["seed"]): r for r in results["runs"]}
verdicts = {v["claim"]: v for v in results["verdicts"]}
charts = {f["title"]: f for f in results["figures"]}
mean = lambda values: sum(values) / len(values)
near = lambda a, b: abs(a - b) <= 1e-12 * max(abs(a), abs(b), 1e-3)
def measured(row, of):
    return [of(runs[row, s], runs["smoe@loss", s]) for s in range(2)]
def wants(claim, values):
    assert near(verdicts[claim]["ours"], mean(values)), (claim, verdicts[claim]["ours"], values)
def wants_line(title, name, values):
    lines = [s for s in charts["Mutual-Inform SMoE, figure 2: routing, rows @loss: " + title]["series"] if s["name"] == name]
    assert len(lines) == 1 and lines[0]["x"] == [1] and near(lines[0]["y"][0], mean(values)), (title, name, lines, values)
changed = lambda run: run["fluctuation"][0]
ratio = lambda run, base: run["layers"][0]["entropy"] / base["layers"][0]["entropy"]
base, fluctuation = "SMoE, balance loss", "fluctuation between the last two evaluations"
for row, own in (("smoe-similarity@loss", "Similarity-inform " + base), ("smoe-attention@loss", "Attention-inform " + base)):
    wants(f"{own} − {base}, 20 % of words swapped", measured(row, lambda r, b: r["attacked"] - b["attacked"]))
    wants(f"{own} − {base}: fluctuation, mean over layers", measured(row, lambda r, b: changed(r) - changed(b)))
    wants(f"{own} over {base}: entropy of the scores less 1, mean over layers", measured(row, lambda r, b: ratio(r, b) - 1))
    wants_line("entropy ratio", own, measured(row, ratio))
    wants_line(fluctuation, own, measured(row, lambda r, b: changed(r)))
    wants_line(fluctuation, base, measured(row, lambda r, b: changed(b)))
assert not any("X-MoE" in claim and "fluctuation" in claim for claim in verdicts), "the paper draws SMoE alone"
assert any(title.startswith("Mutual-Inform SMoE, figure 3: routing, M = 1") for title in charts), list(charts)
END
! command -v gnuplot >/dev/null || [ -s "$work/whole/layers_loss.svg" ] || fail "there is no layers_loss.svg"

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
