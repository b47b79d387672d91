# What the tests of the papers' programs share. A script sources it and sets `program`; $work is a folder that goes with the script.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "FAILED: $1" >&2; exit 1; }
# refuses words arguments…: the program fails with these words.
refuses() {
  local words=$1; shift
  if "${program[@]}" "$@" >"$work/out" 2>&1; then fail "accepted: $*"; fi
  grep -q -- "$words" "$work/out" || { cat "$work/out"; fail "$* does not say \"$words\""; }
}
# bits folder: its results.json without what may differ between two calls of the same runs: clocks and what table 7 makes of
# them, the machine, and the words of the call.
bits() {
  python3 - "$1/results.json" <<'END'
import json, re, sys

def lasting(value):
    if isinstance(value, list):
        return [lasting(element) for element in value]
    if not isinstance(value, dict):
        return value
    passing = "seconds|step_ms|pass_[a-z_]+|machine|command"
    if "table 7" in value.get("of", ""):
        passing += "|ours|half|seeds_needed|verdict"
    return {name: lasting(of) for name, of in value.items() if not re.fullmatch(passing, name)}

print(json.dumps(lasting(json.load(open(sys.argv[1]))), indent=1))
END
}
# same folder other: their results are the same bits.
same() {
  bits "$1" >"$work/bits" && bits "$2" | diff "$work/bits" - >"$work/differences" ||
    { head "$work/differences" >&2; fail "the results in $2 differ from those in $1"; }
}
