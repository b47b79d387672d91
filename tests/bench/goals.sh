#!/usr/bin/env bash
# bench/gpu_all's table of goals from recorded outputs of its sections: one section is missing, two have rows that did not run.
#   goals.sh PROJECT
set -euo pipefail
project=$1 folder=$(dirname "$0")
diff "$folder/goals.md" <("$project/bench/gpu_all" --goals "$folder/recorded")
# In an empty folder nothing was measured; one that is not there is refused.
empty=$(mktemp -d)
trap 'rmdir "$empty"' EXIT
"$project/bench/gpu_all" --goals "$empty" | grep -q "^0 reached, 0 not reached, 35 not measured$"
! "$project/bench/gpu_all" --goals "$empty/none" 2> /dev/null
