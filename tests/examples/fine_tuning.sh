#!/usr/bin/env bash
# Trained on text, then tuned: tuning starts from the trained model, resumes to the same bits, stands beside the published figures,
# and clear errors. Usage: fine_tuning.sh <program>
. "$(dirname "$0")/shared.sh"
program=$1
small=(--blocks 1 --width 16 --heads 2 --experts 4 --chosen 2 --length 16 --batch 8 --vocabulary 60 --steps 20 --epoch-steps 10
  --evaluation-rows 60 --warmup 5 --sentences 500 --threads 1 --seeds 2 --data "$work/data" --rows smoe,smoe-similarity)
tuned=(--tune-steps 12 --tune-batch 16 --tune-lr 3e-3)

# Two domains, and sentences of their words whose class is their first word's.
mkdir "$work/data"
for i in $(seq 600); do echo "The cat and its mats, $((i % 7)) of them"; done >"$work/data/cats.txt"
for i in $(seq 600); do echo "Dogs bark at cats and mats, $((i % 5)) times"; done >"$work/data/dogs.txt"
mkdir -p "$work/tasks/sst2"
for split in train dev; do
  { printf 'sentence\tlabel\n'; for i in $(seq 100); do [ $((i % 2)) = 0 ] && printf 'cats and mats\tyes\n' || printf 'dogs and mats\tno\n'; done; } >"$work/tasks/sst2/$split.tsv"
done
"$program" "${small[@]}" "${tuned[@]}" --tasks "$work/tasks" --out "$work/whole" >"$work/text" 2>"$work/err" || fail "$(cat "$work/err")"
grep -q "^| SMoE | .* (70.23) | " "$work/whole/table.md" || fail "no published figure"
grep -q "^| sst2: Similarity-inform SMoE − SMoE | +1.5 | " "$work/whole/table.md" || fail "the claim is not judged"
grep -q "^| topic: Similarity-inform SMoE − SMoE | more | " "$work/whole/table.md" || fail "no claim of the topic"
grep -q "^| sst2 | 90 / 100 | 2 | 50.0 |" "$work/whole/table.md" || fail "the task is not told"
python3 - "$work/whole" <<'END'
import json, sys
runs = {(r["row"], r["seed"]): r for r in json.load(open(sys.argv[1] + "/results.json"))["runs"]}
assert len(runs) == 12, list(runs)
# Tuning a head and 12 steps: the first word decides, as a model that sees the text before can tell.
assert runs["smoe:sst2", 0]["accuracy"] > 0.9, runs["smoe:sst2", 0]["accuracy"]
assert "accuracy" not in runs["smoe", 0]
END

# From where it was interrupted: the tuned runs of seed 1 are taken out, and come again to the same bits from the kept model.
cp -r "$work/whole" "$work/again"
python3 - "$work/again/results.json" <<'END'
import json, sys
results = json.load(open(sys.argv[1]))
results["runs"] = [r for r in results["runs"] if ":" not in r["row"] or r["seed"] == 0]
json.dump(results, open(sys.argv[1], "w"))
END
"$program" "${small[@]}" "${tuned[@]}" --tasks "$work/tasks" --out "$work/again" --resume >"$work/text" 2>"$work/err"
same "$work/whole" "$work/again"
cp "$work/again/checkpoints/model-smoe-0.safetensors" "$work/again/checkpoints/model-smoe-1.safetensors"
without() {
  python3 - "$work/again/results.json" "$1" <<'END'
import json, sys
results = json.load(open(sys.argv[1]))
results["runs"] = [r for r in results["runs"] if r["row"] != sys.argv[2]]
json.dump(results, open(sys.argv[1], "w"))
END
}
without smoe:sst2
"$program" "${small[@]}" "${tuned[@]}" --tasks "$work/tasks" --out "$work/again" --resume >"$work/text" 2>"$work/err"
python3 - "$work" <<'END' || fail "tuning does not start from the trained model"
import json, sys
first, again = ({(r["row"], r["seed"]): r["test"] for r in json.load(open(f"{sys.argv[1]}/{f}/results.json"))["runs"]} for f in ("whole", "again"))
assert first["smoe:sst2", 0] == again["smoe:sst2", 0] and first["smoe:sst2", 1] != again["smoe:sst2", 1]
END
rm "$work/again/checkpoints/model-smoe-0.safetensors"
without smoe:sst2
refuses "model-smoe-0.safetensors" "${small[@]}" "${tuned[@]}" --tasks "$work/tasks" --out "$work/again" --resume
refuses "resume with the same options" "${small[@]}" --tune-steps 13 --tasks "$work/tasks" --out "$work/whole" --resume
sed -i 's/mats/dogs/' "$work/tasks/sst2/train.tsv"
refuses "resume with the same options" "${small[@]}" "${tuned[@]}" --tasks "$work/tasks" --out "$work/whole" --resume
refuses "name the folder that holds sst2" "${small[@]}" --tasks "$work" --out "$work/none"
refuses "tune-steps" --tune-steps 0
refuses "rows" --rows moe
echo "tuned from what was trained"
