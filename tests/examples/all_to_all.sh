#!/usr/bin/env bash
# All-to-all inhibition on mixed numbers, small: it learns otherwise than the rows beside it, which are compared with it, the same on
# any number of threads, and Table 1 goes without it. Usage: all_to_all.sh <program>
. "$(dirname "$0")/shared.sh"
program=$1
options=(--rows moe,all-to-all --samples 200 --epochs 1 --batch 16 --lr 1e-3 --seeds 2)

"$program" "${options[@]}" --threads 2 --out "$work/two" >"$work/text" 2>"$work/err" || fail "$(cat "$work/err")"
"$program" "${options[@]}" --threads 1 --out "$work/one" >"$work/text" 2>"$work/err"
same "$work/two" "$work/one"
grep -q "^| All-to-all Inhibition " "$work/one/table.md" || fail "the table lacks the row"
grep -q "^- All-to-all Inhibition − MoE 3/5 experts: " "$work/one/table.md" || fail "no comparison with MoE"
python3 - "$work/one/results.json" <<'END'
import json, sys
runs = {(r["row"], r["seed"]): r for r in json.load(open(sys.argv[1]))["runs"]}
assert runs["all-to-all", 0]["loss_curve"] != runs["moe", 0]["loss_curve"]
assert runs["all-to-all", 0]["loss_curve"] != runs["all-to-all", 1]["loss_curve"]
END
if "$program" --rows pretext --out "$work/none" >"$work/text" 2>&1; then fail "a row of another experiment is accepted"; fi
grep -q "expected all, moe, glu, global or all-to-all" "$work/text" || fail "$(cat "$work/text")"
echo "all-to-all inhibition stands beside MoE"
