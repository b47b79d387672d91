// expect: TopM<M> chooses at least one expert: M >= 1
#include <neuroinhib/neuroinhib.hpp>
neuroinhib::MoeLayer<neuroinhib::LinearRouter, neuroinhib::NoInhibition, neuroinhib::TopM<0>> layer({.width = 1});
