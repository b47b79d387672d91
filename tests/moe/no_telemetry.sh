#!/usr/bin/env bash
# A layer without telemetry has the machine code of one that knows none: the header with all that it says of telemetry
# taken out compiles to the same instructions. Usage: no_telemetry.sh <project> <compiler> <eigen's include folder>
set -euo pipefail
project=$1 compiler=$2 eigen=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/unit.cpp" <<'UNIT'
#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/inhibition/glu.hpp>
#include <neuroinhib/moe/moe_layer.hpp>
#include <neuroinhib/autodiff/recording.hpp>
namespace neuroinhib::ops {  // kernels are declared only
template <class B, class Op> void forward(B&, const Op&);
template <class B, class Op> void backward(B&, const Op&);
}
using namespace neuroinhib;
using Layer = MoeLayer<LinearRouter, GluInhibition>;
MoeOutput<float> infer(const Layer& layer, Cpu<float>& cpu, const Tensor<float>& x) { return layer.forward(cpu, x); }
MoeOutput<float> train(const Layer& layer, Recording<Cpu<float>>& ex, const Tensor<float>& x) {
  return layer.forward(ex, x);
}
Layer make(const Layer::Config& config) { return Layer(config); }
UNIT
mkdir -p "$work/without/neuroinhib/moe"
sed -e 's/, class Telemetry = NoTelemetry>/>/' -e '/static_assert(TelemetryPolicy/,/;$/d' \
  -e '/if constexpr (Telemetry::/,/;$/d' -e '/typename Telemetry::/d' -e '/<neuroinhib\/moe\/telemetry.hpp>/d' \
  "$project/include/neuroinhib/moe/moe_layer.hpp" >"$work/without/neuroinhib/moe/moe_layer.hpp"
if grep -n "Telemetry" "$work/without/neuroinhib/moe/moe_layer.hpp"; then echo "FAILED: that is left of telemetry" >&2; exit 1; fi

# Instructions and the functions that they call, by their names. The layer's name says what its policies are, and labels
# have the numbers of functions, of which one header declares more than the other.
instructions() {
  "$compiler" -std=c++20 -O2 -ffunction-sections -fno-asynchronous-unwind-tables "$@" -I"$project/include" -isystem "$eigen" \
    -S -o - "$work/unit.cpp" | c++filt | sed -e 's/, neuroinhib::NoTelemetry//g' -e 's/> >/>>/g' -e 's/\.L\(F[A-Z]*\|LSDA[A-Z]*\)[0-9]*/.L\1/g' \
    -e '/^\t\.\(file\|ident\|loc\|section\|size\|type\|weak\)/d'
}
instructions >"$work/with.s"
instructions -I"$work/without" >"$work/without.s"
diff "$work/without.s" "$work/with.s" >"$work/differences" ||
  { head -40 "$work/differences"; echo "FAILED: a layer without telemetry compiles to other instructions" >&2; exit 1; }
echo "$(grep -c $'^\t[a-z]' "$work/with.s") instructions, the same with and without"
