#!/usr/bin/env bash
# Runs one fuzz target: run.sh <folder of the built targets> <target> <seconds>
# What it learns stays in <folder>/corpus/<target>, what it finds in <folder>/findings/<target>.
set -euo pipefail
folder=$1 target=$2 seconds=$3
corpus=$folder/corpus/$target findings=$folder/findings/$target
mkdir -p "$corpus" "$findings"
known=$(find "$findings" -type f | sort)
# Entropic schedules cost more than they bring to targets that write files.
if "$folder/fuzz_$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2500 -entropic=0 -print_final_stats=1 \
    -artifact_prefix="$findings/" "$corpus" "$folder/seeds/$target" >"$findings.log" 2>&1; then
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$findings.log")
  echo "$target: $runs inputs in $seconds s, no finding"
else
  tail -n 40 "$findings.log" >&2
  comm -13 <(echo "$known") <(find "$findings" -type f | sort) | while read -r finding; do
    echo "$target: a finding is kept; $folder/fuzz_$target $finding shows it again" >&2
  done
  exit 1
fi
