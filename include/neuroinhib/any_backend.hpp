#pragma once

/// Every policy, operation and training piece, for any backend. A front door adds a backend and its kernels:
/// neuroinhib.hpp those of the CPU, cuda.cuh those of the GPU. Data sets, files and analysis are opt-in:
/// neuroinhib/data, neuroinhib/io, neuroinhib/analysis.

#include <neuroinhib/autodiff/recording.hpp>
#include <neuroinhib/core/error.hpp>
#include <neuroinhib/core/parameters.hpp>
#include <neuroinhib/core/tensor.hpp>
#include <neuroinhib/experts/gated_mlp.hpp>
#include <neuroinhib/experts/mlp.hpp>
#include <neuroinhib/experts/spread.hpp>
#include <neuroinhib/inhibition/all_to_all.hpp>
#include <neuroinhib/inhibition/glu.hpp>
#include <neuroinhib/inhibition/none.hpp>
#include <neuroinhib/inhibition/posttext.hpp>
#include <neuroinhib/inhibition/pretext.hpp>
#include <neuroinhib/inhibition/random.hpp>
#include <neuroinhib/mix/balanced_top_m.hpp>
#include <neuroinhib/mix/expert_choice.hpp>
#include <neuroinhib/mix/noisy_top_k.hpp>
#include <neuroinhib/mix/scheduled_top_m.hpp>
#include <neuroinhib/mix/sigmoid_top_m.hpp>
#include <neuroinhib/mix/top_m.hpp>
#include <neuroinhib/mix/top_p.hpp>
#include <neuroinhib/moe/generate.hpp>
#include <neuroinhib/moe/language_model.hpp>
#include <neuroinhib/moe/moe_layer.hpp>
#include <neuroinhib/moe/transformer_block.hpp>
#include <neuroinhib/moe/vision_model.hpp>
#include <neuroinhib/nn/attention.hpp>
#include <neuroinhib/nn/conv2d.hpp>
#include <neuroinhib/nn/embedding.hpp>
#include <neuroinhib/nn/feed_forward.hpp>
#include <neuroinhib/nn/layer_norm.hpp>
#include <neuroinhib/nn/linear.hpp>
#include <neuroinhib/nn/span_attention.hpp>
#include <neuroinhib/ops/arithmetic/op.hpp>
#include <neuroinhib/optim/adam.hpp>
#include <neuroinhib/optim/backward.hpp>
#include <neuroinhib/optim/gradient.hpp>
#include <neuroinhib/optim/schedule.hpp>
#include <neuroinhib/optim/sgd.hpp>
#include <neuroinhib/routing/analysis.hpp>
#include <neuroinhib/routing/attention_inform.hpp>
#include <neuroinhib/routing/hash_router.hpp>
#include <neuroinhib/routing/linear_router.hpp>
#include <neuroinhib/routing/random_router.hpp>
#include <neuroinhib/routing/similarity_inform.hpp>
#include <neuroinhib/routing/two_layer_router.hpp>
#include <neuroinhib/routing/x_moe_router.hpp>
#include <neuroinhib/version.hpp>
