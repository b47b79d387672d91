#!/usr/bin/env bash
# Choices of post-text inhibition, small: what evaluation sees leaves training as it is, pooling and start do not; each stands
# beside its row without choices. Usage: posttext_choices.sh <program>
. "$(dirname "$0")/shared.sh"
program=$1
small=(--blocks 1 --width 16 --heads 2 --experts 4 --chosen 2 --length 16 --batch 8 --vocabulary 60 --steps 18 --epoch-steps 9
  --evaluation-rows 50 --sentences 100 --threads 1 --seeds 2 --lr 1e-2)

"$program" "${small[@]}" --rows choices --out "$work/out" >"$work/text" 2>"$work/err" || fail "$(cat "$work/err")"
python3 - "$work/out/results.json" <<'END'
import json, sys
runs = {(r["row"], r["seed"]): r for r in json.load(open(sys.argv[1]))["runs"]}
assert len(runs) == 30, len(runs)
for kind in ("posttext", "global"):
    plain = runs[kind, 0]
    for arm in ("average", "previous", "off"):
        run = runs[f"{kind}@{arm}", 0]
        assert run["loss_curve"] == plain["loss_curve"], (kind, arm)
        assert run["test"] != plain["test"], (kind, arm)
    for arm in ("mean", "rows", "late"):
        assert runs[f"{kind}@{arm}", 0]["loss_curve"] != plain["loss_curve"], (kind, arm)
END
grep -q "^- Global Inhibition, late − Global Inhibition: " "$work/out/table.md" || fail "no comparison with the row without choices"
if "$program" --rows smoe --out "$work/none" >"$work/text" 2>&1; then fail "a row of the second paper is accepted"; fi
echo "pooling and start change training, evaluation does not"
