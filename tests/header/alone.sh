#!/usr/bin/env bash
# Every header compiles alone. mpi.hpp does where there is an MPI, whose wrapper then compiles it.
# Most headers include one of two bases. They are compiled behind it, so that it is parsed once for all of them: what they
# would lack alone they lack there too.
# Usage: alone.sh <include folder> <compiler> <Eigen's include folder>
set -euo pipefail
cd "$1"
compiler=$2
options=(-std=c++20 -I. -isystem "$3")
parsed=$(mktemp -d)
trap 'rm -rf "$parsed"' EXIT
mapfile -t headers < <(find neuroinhib -name '*.hpp' ! -path neuroinhib/parallel/mpi.hpp | sort)
[ ${#headers[@]} -gt 0 ] || { echo "FAILED: no header in $1" >&2; exit 1; }

# usage: compile_each option… <names of headers
compile_each() { xargs -r -P "$(nproc)" -I HEADER "$compiler" "${options[@]}" -fsyntax-only "$@" -include HEADER -x c++ /dev/null; }
# usage: including base header…; those that include the base, themselves or through others
including() {
  awk -v base="$1" '
    sub(/^#include <neuroinhib/, "neuroinhib") && sub(/>.*/, "") { includes[FILENAME] = includes[FILENAME] " " $0 }
    END {
      reaches[base]
      do {
        more = 0
        for (header in includes) {
          count = split(includes[header], names, " ")
          for (i = 1; i <= count; ++i)
            if (!(header in reaches) && names[i] in reaches) { reaches[header]; more = 1; print header }
        }
      } while (more)
    }' "${@:2}"
}

left=("${headers[@]}")
for base in neuroinhib/backend/cpu.hpp neuroinhib/core/tensor.hpp; do
  echo "#include <$base>" >"$parsed/base.hpp"
  "$compiler" "${options[@]}" -x c++-header "$parsed/base.hpp" -o "$parsed/base.hpp.gch"
  mapfile -t behind < <(including "$base" "${left[@]}")
  [ ${#behind[@]} -gt 0 ] || { echo "FAILED: no header includes $base" >&2; exit 1; }
  printf '%s\n' "${behind[@]}" | compile_each -include "$parsed/base.hpp"
  mapfile -t left < <(printf '%s\n' "${left[@]}" | grep -vxF "$(printf '%s\n' "${behind[@]}")")
done
printf '%s\n' "${left[@]}" | compile_each
echo neuroinhib/any_backend.hpp | (options=(-std=c++20 -I.); compile_each)  # without Eigen
if command -v mpicxx >/dev/null; then
  echo neuroinhib/parallel/mpi.hpp | (compiler=mpicxx; export OMPI_CXX=$2; compile_each)
fi
echo "${#headers[@]} headers"
