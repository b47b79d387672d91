#pragma once

// All CPU kernels.
#include <neuroinhib/ops/activation/cpu.hpp>
#include <neuroinhib/ops/auxiliary/cpu.hpp>
#include <neuroinhib/ops/batch_pool/cpu.hpp>
#include <neuroinhib/ops/combine/cpu.hpp>
#include <neuroinhib/ops/conv2d/cpu.hpp>
#include <neuroinhib/ops/cross_entropy/cpu.hpp>
#include <neuroinhib/ops/dropout/cpu.hpp>
#include <neuroinhib/ops/elementwise/cpu.hpp>
#include <neuroinhib/ops/gate/cpu.hpp>
#include <neuroinhib/ops/grouped_linear/cpu.hpp>
#include <neuroinhib/ops/layer_norm/cpu.hpp>
#include <neuroinhib/ops/linear/cpu.hpp>
#include <neuroinhib/ops/max_pool2d/cpu.hpp>
#include <neuroinhib/ops/memory/cpu.hpp>
#include <neuroinhib/ops/normalise/cpu.hpp>
#include <neuroinhib/ops/routing_plan/cpu.hpp>
#include <neuroinhib/ops/softmax/cpu.hpp>
#include <neuroinhib/ops/update/cpu.hpp>
