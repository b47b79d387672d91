// expect: such as TopM, or set kTakesProbabilities = true in your own
#include <neuroinhib/neuroinhib.hpp>
using namespace neuroinhib;
struct Router : LinearRouter {
  static constexpr ScoreKind kScoreKind = ScoreKind::probabilities;
};
MoeLayer<Router, NoInhibition, SoftmaxOfTopM<2>> layer({.width = 1, .experts = 2});
