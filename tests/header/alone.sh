#!/usr/bin/env bash
# Every header compiles alone. mpi.hpp does where there is an MPI, whose wrapper then compiles it.
# Usage: alone.sh <include folder> <compiler> <Eigen's include folder>
set -euo pipefail
cd "$1"
mapfile -t headers < <(find neuroinhib -name '*.hpp' ! -path neuroinhib/parallel/mpi.hpp | sort)
[ ${#headers[@]} -gt 0 ] || { echo "FAILED: no header in $1" >&2; exit 1; }
parse=("-std=c++20" -fsyntax-only -I. -isystem "$3" -x c++ /dev/null -include)
printf '%s\n' "${headers[@]}" | xargs -P "$(nproc)" -n 1 "$2" "${parse[@]}"
if command -v mpicxx >/dev/null; then OMPI_CXX=$2 mpicxx "${parse[@]}" neuroinhib/parallel/mpi.hpp; fi
echo "${#headers[@]} headers"
