// expect: telemetry needs kWatches and a default-constructible Config; see docs/report.md
#include <neuroinhib/neuroinhib.hpp>
using namespace neuroinhib;
struct Watch {
  struct Config {};
};
MoeLayer<LinearRouter, NoInhibition, TopM<1>, Mlp<Relu>, Cpu<float>, Watch> layer({.width = 1, .experts = 1});
