#!/usr/bin/env bash
# Inhibitions by routers, small: places, means and what both do together are as computed here from the runs, the picture has
# every place, runs side by side have the bits they have alone, and clear errors. Usage: cross_product.sh <program>
. "$(dirname "$0")/shared.sh"
program=$1
small=(--blocks 2 --width 16 --heads 2 --experts 4 --chosen 2 --length 16 --batch 8 --vocabulary 60 --steps 6 --epoch-steps 3
  --evaluation-rows 50 --warmup 5 --sentences 100 --threads 1 --seeds 2)
rows=smoe@loss,smoe-attention@loss,glam@loss,glam-attention@loss,xmoe-similarity@loss
rows=$rows,global+smoe@loss,global+smoe-attention@loss,global+glam@loss,global+glam-attention@loss,pretext+dropout@loss,posttext+smoe@loss

"$program" "${small[@]}" --rows $rows --out "$work/whole" >"$work/text" 2>"$work/err"
"$program" "${small[@]}" --rows $rows --replicas 3 --out "$work/beside" >"$work/text" 2>"$work/err"
same "$work/whole" "$work/beside"

python3 - "$work/whole" <<'END'
import json, sys
results = json.load(open(sys.argv[1] + "/results.json"))
table = open(sys.argv[1] + "/table.md").read()
def mean(weights):
    seeds = []
    for seed in (0, 1):
        losses = {r["row"].removesuffix("@loss"): r["test"] for r in results["runs"] if r["seed"] == seed}
        seeds.append(sum(w * losses[row] for row, w in weights.items()))
    return sum(seeds) / 2
def wants(line, value):
    found = [l for l in table.splitlines() if l.startswith(line)]
    text = ("%+.4f" % value).replace("-", "−")
    assert len(found) == 1 and text in found[0], (line, text, found)
wants("| Attention-inform GLaM | ", mean({"global+glam-attention": 1, "glam": -1}))
wants("| inhibition global − none, mean over routers | less |",
      mean({"global+" + r: 1 / 4 for r in ("smoe", "smoe-attention", "glam", "glam-attention")}
           | {r: -1 / 4 for r in ("smoe", "smoe-attention", "glam", "glam-attention")}))
wants("| attention-inform − none, mean over inhibitions and routers | less |",
      mean({i + r + "-attention": 1 / 4 for i in ("", "global+") for r in ("smoe", "glam")}
           | {i + r: -1 / 4 for i in ("", "global+") for r in ("smoe", "glam")}))
wants("- GLaM − SMoE: ", mean({i + "glam" + a: 1 / 4 for i in ("", "global+") for a in ("", "-attention")}
                              | {i + "smoe" + a: -1 / 4 for i in ("", "global+") for a in ("", "-attention")}))
wants("- global with attention-inform: ",
      mean({"global+" + r + "-attention": 1 / 2 for r in ("smoe", "glam")} | {r + "-attention": -1 / 2 for r in ("smoe", "glam")}
           | {"global+" + r: -1 / 2 for r in ("smoe", "glam")} | {r: 1 / 2 for r in ("smoe", "glam")}))
kinds = [figure["kind"] for figure in results["figures"]]
assert kinds == ["lines", "lines", "ranges", "heat"], kinds
END
[ "$(grep -cE '^[0-3] [0-4] ' "$work/whole/heat_loss.gnuplot")" -eq 7 ] || fail "the picture lacks a place"

"$program" "${small[@]}" --rows smoe,smoe-attention --out "$work/line" >"$work/text" 2>"$work/err"
! grep -q "Inhibitions by routers" "$work/line/table.md" || fail "a single line is no grid"
refuses "INHIBITION+ROW" --rows glu+moe
refuses "INHIBITION+ROW" --rows none+smoe
refuses "INHIBITION+ROW" --rows glu+glu+smoe
refuses "replicas" --replicas 0
echo "places, means and sums as computed from the runs"
