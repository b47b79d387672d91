#pragma once

/// Compiles the kernels of the library's operations once for all of this project's programs, instead of in each unit
/// that runs them. NEUROINHIB_…_KERNELS(prefix, B, T) declares their instantiations for the backend B<T>, with `extern`
/// as the prefix, or makes them; within namespace neuroinhib::detail. An operation that is not listed is compiled where
/// it is used.
#define NEUROINHIB_FORWARD(prefix, B, T, Op) \
  prefix template void run_forward<B<T>, ops::Op<T>>(B<T>&, const ops::Op<T>&);
#define NEUROINHIB_KERNEL(prefix, B, T, Op) \
  NEUROINHIB_FORWARD(prefix, B, T, Op)      \
  prefix template void run_backward<B<T>, ops::Op<T>>(B<T>&, const ops::Op<T>&);

#define NEUROINHIB_PRODUCT_KERNELS(prefix, B, T) \
  NEUROINHIB_KERNEL(prefix, B, T, Conv2d)        \
  NEUROINHIB_KERNEL(prefix, B, T, GroupedLinear) \
  NEUROINHIB_KERNEL(prefix, B, T, Linear)

#define NEUROINHIB_ATTENTION_KERNELS(prefix, B, T) \
  NEUROINHIB_KERNEL(prefix, B, T, Attention)       \
  NEUROINHIB_KERNEL(prefix, B, T, AttentionInform) \
  NEUROINHIB_KERNEL(prefix, B, T, ProjectedCrossEntropy)

#define NEUROINHIB_OTHER_KERNELS(prefix, B, T)  \
  NEUROINHIB_KERNEL(prefix, B, T, Activate)     \
  NEUROINHIB_KERNEL(prefix, B, T, AddNoise)     \
  NEUROINHIB_KERNEL(prefix, B, T, Append)       \
  NEUROINHIB_KERNEL(prefix, B, T, BalanceBias)  \
  NEUROINHIB_KERNEL(prefix, B, T, BalanceLoss)  \
  NEUROINHIB_KERNEL(prefix, B, T, BatchPool)    \
  NEUROINHIB_KERNEL(prefix, B, T, Combine)      \
  NEUROINHIB_KERNEL(prefix, B, T, CountTokens)  \
  NEUROINHIB_KERNEL(prefix, B, T, CrossEntropy) \
  NEUROINHIB_KERNEL(prefix, B, T, CvSquared)    \
  NEUROINHIB_KERNEL(prefix, B, T, Dropout)      \
  NEUROINHIB_KERNEL(prefix, B, T, Embedding)    \
  NEUROINHIB_KERNEL(prefix, B, T, EveryExpert)  \
  NEUROINHIB_KERNEL(prefix, B, T, LearnedScale) \
  NEUROINHIB_KERNEL(prefix, B, T, ExpertChoice) \
  NEUROINHIB_KERNEL(prefix, B, T, ExpertLoad)   \
  NEUROINHIB_KERNEL(prefix, B, T, Gate)         \
  NEUROINHIB_KERNEL(prefix, B, T, HashScores)   \
  NEUROINHIB_KERNEL(prefix, B, T, Importance)   \
  NEUROINHIB_KERNEL(prefix, B, T, L2Normalise)  \
  NEUROINHIB_KERNEL(prefix, B, T, LayerNorm)    \
  NEUROINHIB_KERNEL(prefix, B, T, LowestHead)   \
  NEUROINHIB_KERNEL(prefix, B, T, MaxPool2d)    \
  NEUROINHIB_KERNEL(prefix, B, T, MeanEntropy)  \
  NEUROINHIB_KERNEL(prefix, B, T, MoveRows)     \
  NEUROINHIB_KERNEL(prefix, B, T, Normalise)    \
  NEUROINHIB_KERNEL(prefix, B, T, Nucleus)      \
  NEUROINHIB_KERNEL(prefix, B, T, Patches)      \
  NEUROINHIB_KERNEL(prefix, B, T, Recall)       \
  NEUROINHIB_KERNEL(prefix, B, T, Remember)     \
  NEUROINHIB_KERNEL(prefix, B, T, Scale)        \
  NEUROINHIB_KERNEL(prefix, B, T, SlotRows)     \
  NEUROINHIB_KERNEL(prefix, B, T, SmoothLoad)   \
  NEUROINHIB_KERNEL(prefix, B, T, Softmax)      \
  NEUROINHIB_KERNEL(prefix, B, T, SortSlots)    \
  NEUROINHIB_KERNEL(prefix, B, T, StridedRows)  \
  NEUROINHIB_KERNEL(prefix, B, T, Sum)          \
  NEUROINHIB_KERNEL(prefix, B, T, TakeSlots)    \
  NEUROINHIB_KERNEL(prefix, B, T, TopM)         \
  NEUROINHIB_KERNEL(prefix, B, T, ZLoss)        \
  NEUROINHIB_FORWARD(prefix, B, T, AdamUpdate)  \
  NEUROINHIB_FORWARD(prefix, B, T, ClipNorm)    \
  NEUROINHIB_FORWARD(prefix, B, T, SgdUpdate)

/// Gated experts in one operation, for backends that have it.
#define NEUROINHIB_GATED_KERNEL(prefix, B, kind)                                                                     \
  prefix template void run_forward<B<float>, ops::GatedExperts<float, kind>>(B<float>&,                              \
                                                                             const ops::GatedExperts<float, kind>&); \
  prefix template void run_backward<B<float>, ops::GatedExperts<float, kind>>(B<float>&,                             \
                                                                              const ops::GatedExperts<float, kind>&);
#define NEUROINHIB_GATED_KERNELS(prefix, B)            \
  NEUROINHIB_GATED_KERNEL(prefix, B, Activation::silu) \
  NEUROINHIB_GATED_KERNEL(prefix, B, Activation::gelu)

/// All of them, declared for float and double.
#define NEUROINHIB_DECLARE_KERNELS(B)             \
  NEUROINHIB_PRODUCT_KERNELS(extern, B, float)    \
  NEUROINHIB_PRODUCT_KERNELS(extern, B, double)   \
  NEUROINHIB_ATTENTION_KERNELS(extern, B, float)  \
  NEUROINHIB_ATTENTION_KERNELS(extern, B, double) \
  NEUROINHIB_OTHER_KERNELS(extern, B, float)      \
  NEUROINHIB_OTHER_KERNELS(extern, B, double)
