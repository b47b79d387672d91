#pragma once

/// Names the instruction set that a unit is compiled for. The CPU backend and its kernels live in an inline namespace
/// of that name, so that units of one program may be compiled with different flags: a linker keeps one of two functions
/// of the same name, and these then have different names.
#if defined(__AVX512F__)
#define NEUROINHIB_TARGET avx512
#elif defined(__AVX2__) && defined(__FMA__)
#define NEUROINHIB_TARGET avx2
#elif defined(__AVX__)
#define NEUROINHIB_TARGET avx
#elif defined(__SSE2__)
#define NEUROINHIB_TARGET sse2
#elif defined(__ARM_NEON)
#define NEUROINHIB_TARGET neon
#else
#define NEUROINHIB_TARGET scalar
#endif
