#!/usr/bin/env bash
# A unit that includes the front door of the GPU and runs nothing compiles no kernel: whoever has ten units does not wait
# for every kernel ten times. Usage: no_kernels.sh <object file>…, of which main.cu's is such a unit
set -euo pipefail
for object in "$@"; do
  [[ $object == */main.cu.o ]] || continue
  nm "$object" >/dev/null
  if nm -C "$object" | grep ' [tTW] .*neuroinhib::.*_kernel'; then echo "FAILED: $object holds these kernels" >&2; exit 1; fi
  exit 0
done
echo "FAILED: no main.cu.o among $*" >&2
exit 1
