#pragma once

/// Names what a unit is compiled for: its instruction set, and whether it has OpenMP. The CPU backend and its kernels
/// live in an inline namespace of that name, so that units of one program may be compiled with different flags: a
/// linker keeps one of two functions of the same name, and these then have different names.
#if defined(__AVX512F__)
#define NEUROINHIB_INSTRUCTIONS avx512
#elif defined(__AVX2__) && defined(__FMA__)
#define NEUROINHIB_INSTRUCTIONS avx2
#elif defined(__AVX__)
#define NEUROINHIB_INSTRUCTIONS avx
#elif defined(__SSE2__)
#define NEUROINHIB_INSTRUCTIONS sse2
#elif defined(__ARM_NEON)
#define NEUROINHIB_INSTRUCTIONS neon
#else
#define NEUROINHIB_INSTRUCTIONS scalar
#endif

#if defined(_OPENMP)
#define NEUROINHIB_THREADS threads
#else
#define NEUROINHIB_THREADS one_thread
#endif

#define NEUROINHIB_JOIN_NAMES(a, b) a##_##b
#define NEUROINHIB_JOIN(a, b) NEUROINHIB_JOIN_NAMES(a, b)
#define NEUROINHIB_TARGET NEUROINHIB_JOIN(NEUROINHIB_INSTRUCTIONS, NEUROINHIB_THREADS)
