#pragma once

#include <cstdint>
#include <type_traits>

#include <neuroinhib/ops/gemm/cuda_wgmma.cuh>

/// The matrix unit's instruction in all its widths: sums [64, N] (+)= a [64, 16] b [16, N], N = 8, 16, … 256, factors
/// in
/// __nv_bfloat16 or __half. Where a factor's numbers lie side by side, along the depth or along its lines (m, n), is
/// its Major. b lies in shared memory; a lies there too, or in registers. Where `add` is false the sums begin anew.
namespace neuroinhib::ops::wgmma {

/// The axis along which a factor's numbers lie side by side in shared memory.
enum class Major { depth, lines };

#ifdef NEUROINHIB_WGMMA

// The first n registers of the sums, in the instruction's text and as its operands.
#define NEUROINHIB_TEXT_4 "%0,%1,%2,%3"
#define NEUROINHIB_SUMS_4 "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
#define NEUROINHIB_TEXT_8 NEUROINHIB_TEXT_4 ",%4,%5,%6,%7"
#define NEUROINHIB_SUMS_8 NEUROINHIB_SUMS_4, "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7])
#define NEUROINHIB_TEXT_12 NEUROINHIB_TEXT_8 ",%8,%9,%10,%11"
#define NEUROINHIB_SUMS_12 NEUROINHIB_SUMS_8, "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11])
#define NEUROINHIB_TEXT_16 NEUROINHIB_TEXT_12 ",%12,%13,%14,%15"
#define NEUROINHIB_SUMS_16 NEUROINHIB_SUMS_12, "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15])
#define NEUROINHIB_TEXT_20 NEUROINHIB_TEXT_16 ",%16,%17,%18,%19"
#define NEUROINHIB_SUMS_20 NEUROINHIB_SUMS_16, "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19])
#define NEUROINHIB_TEXT_24 NEUROINHIB_TEXT_20 ",%20,%21,%22,%23"
#define NEUROINHIB_SUMS_24 NEUROINHIB_SUMS_20, "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23])
#define NEUROINHIB_TEXT_28 NEUROINHIB_TEXT_24 ",%24,%25,%26,%27"
#define NEUROINHIB_SUMS_28 NEUROINHIB_SUMS_24, "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27])
#define NEUROINHIB_TEXT_32 NEUROINHIB_TEXT_28 ",%28,%29,%30,%31"
#define NEUROINHIB_SUMS_32 NEUROINHIB_SUMS_28, "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
#define NEUROINHIB_TEXT_36 NEUROINHIB_TEXT_32 ",%32,%33,%34,%35"
#define NEUROINHIB_SUMS_36 NEUROINHIB_SUMS_32, "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35])
#define NEUROINHIB_TEXT_40 NEUROINHIB_TEXT_36 ",%36,%37,%38,%39"
#define NEUROINHIB_SUMS_40 NEUROINHIB_SUMS_36, "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39])
#define NEUROINHIB_TEXT_44 NEUROINHIB_TEXT_40 ",%40,%41,%42,%43"
#define NEUROINHIB_SUMS_44 NEUROINHIB_SUMS_40, "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43])
#define NEUROINHIB_TEXT_48 NEUROINHIB_TEXT_44 ",%44,%45,%46,%47"
#define NEUROINHIB_SUMS_48 NEUROINHIB_SUMS_44, "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47])
#define NEUROINHIB_TEXT_52 NEUROINHIB_TEXT_48 ",%48,%49,%50,%51"
#define NEUROINHIB_SUMS_52 NEUROINHIB_SUMS_48, "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51])
#define NEUROINHIB_TEXT_56 NEUROINHIB_TEXT_52 ",%52,%53,%54,%55"
#define NEUROINHIB_SUMS_56 NEUROINHIB_SUMS_52, "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55])
#define NEUROINHIB_TEXT_60 NEUROINHIB_TEXT_56 ",%56,%57,%58,%59"
#define NEUROINHIB_SUMS_60 NEUROINHIB_SUMS_56, "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59])
#define NEUROINHIB_TEXT_64 NEUROINHIB_TEXT_60 ",%60,%61,%62,%63"
#define NEUROINHIB_SUMS_64 NEUROINHIB_SUMS_60, "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
#define NEUROINHIB_TEXT_68 NEUROINHIB_TEXT_64 ",%64,%65,%66,%67"
#define NEUROINHIB_SUMS_68 NEUROINHIB_SUMS_64, "+f"(d[64]), "+f"(d[65]), "+f"(d[66]), "+f"(d[67])
#define NEUROINHIB_TEXT_72 NEUROINHIB_TEXT_68 ",%68,%69,%70,%71"
#define NEUROINHIB_SUMS_72 NEUROINHIB_SUMS_68, "+f"(d[68]), "+f"(d[69]), "+f"(d[70]), "+f"(d[71])
#define NEUROINHIB_TEXT_76 NEUROINHIB_TEXT_72 ",%72,%73,%74,%75"
#define NEUROINHIB_SUMS_76 NEUROINHIB_SUMS_72, "+f"(d[72]), "+f"(d[73]), "+f"(d[74]), "+f"(d[75])
#define NEUROINHIB_TEXT_80 NEUROINHIB_TEXT_76 ",%76,%77,%78,%79"
#define NEUROINHIB_SUMS_80 NEUROINHIB_SUMS_76, "+f"(d[76]), "+f"(d[77]), "+f"(d[78]), "+f"(d[79])
#define NEUROINHIB_TEXT_84 NEUROINHIB_TEXT_80 ",%80,%81,%82,%83"
#define NEUROINHIB_SUMS_84 NEUROINHIB_SUMS_80, "+f"(d[80]), "+f"(d[81]), "+f"(d[82]), "+f"(d[83])
#define NEUROINHIB_TEXT_88 NEUROINHIB_TEXT_84 ",%84,%85,%86,%87"
#define NEUROINHIB_SUMS_88 NEUROINHIB_SUMS_84, "+f"(d[84]), "+f"(d[85]), "+f"(d[86]), "+f"(d[87])
#define NEUROINHIB_TEXT_92 NEUROINHIB_TEXT_88 ",%88,%89,%90,%91"
#define NEUROINHIB_SUMS_92 NEUROINHIB_SUMS_88, "+f"(d[88]), "+f"(d[89]), "+f"(d[90]), "+f"(d[91])
#define NEUROINHIB_TEXT_96 NEUROINHIB_TEXT_92 ",%92,%93,%94,%95"
#define NEUROINHIB_SUMS_96 NEUROINHIB_SUMS_92, "+f"(d[92]), "+f"(d[93]), "+f"(d[94]), "+f"(d[95])
#define NEUROINHIB_TEXT_100 NEUROINHIB_TEXT_96 ",%96,%97,%98,%99"
#define NEUROINHIB_SUMS_100 NEUROINHIB_SUMS_96, "+f"(d[96]), "+f"(d[97]), "+f"(d[98]), "+f"(d[99])
#define NEUROINHIB_TEXT_104 NEUROINHIB_TEXT_100 ",%100,%101,%102,%103"
#define NEUROINHIB_SUMS_104 NEUROINHIB_SUMS_100, "+f"(d[100]), "+f"(d[101]), "+f"(d[102]), "+f"(d[103])
#define NEUROINHIB_TEXT_108 NEUROINHIB_TEXT_104 ",%104,%105,%106,%107"
#define NEUROINHIB_SUMS_108 NEUROINHIB_SUMS_104, "+f"(d[104]), "+f"(d[105]), "+f"(d[106]), "+f"(d[107])
#define NEUROINHIB_TEXT_112 NEUROINHIB_TEXT_108 ",%108,%109,%110,%111"
#define NEUROINHIB_SUMS_112 NEUROINHIB_SUMS_108, "+f"(d[108]), "+f"(d[109]), "+f"(d[110]), "+f"(d[111])
#define NEUROINHIB_TEXT_116 NEUROINHIB_TEXT_112 ",%112,%113,%114,%115"
#define NEUROINHIB_SUMS_116 NEUROINHIB_SUMS_112, "+f"(d[112]), "+f"(d[113]), "+f"(d[114]), "+f"(d[115])
#define NEUROINHIB_TEXT_120 NEUROINHIB_TEXT_116 ",%116,%117,%118,%119"
#define NEUROINHIB_SUMS_120 NEUROINHIB_SUMS_116, "+f"(d[116]), "+f"(d[117]), "+f"(d[118]), "+f"(d[119])
#define NEUROINHIB_TEXT_124 NEUROINHIB_TEXT_120 ",%120,%121,%122,%123"
#define NEUROINHIB_SUMS_124 NEUROINHIB_SUMS_120, "+f"(d[120]), "+f"(d[121]), "+f"(d[122]), "+f"(d[123])
#define NEUROINHIB_TEXT_128 NEUROINHIB_TEXT_124 ",%124,%125,%126,%127"
#define NEUROINHIB_SUMS_128 NEUROINHIB_SUMS_124, "+f"(d[124]), "+f"(d[125]), "+f"(d[126]), "+f"(d[127])

// One width: its N, its registers, and the numbers of the operands behind them. In shared memory: a, b, add, majors of
// a and b; in registers: four of a, b, add, major of b.
#define NEUROINHIB_WGMMA_SHARED(N, REGISTERS, TYPE, A, B, ADD, MAJOR_A, MAJOR_B)                                \
  asm volatile("{ .reg .pred add; setp.ne.b32 add, %" #ADD                                                      \
               ", 0;\n"                                                                                         \
               "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE " {" NEUROINHIB_TEXT_##REGISTERS \
               "}, %" #A ", %" #B ", add, 1, 1, %" #MAJOR_A ", %" #MAJOR_B "; }"                                \
               : NEUROINHIB_SUMS_##REGISTERS                                                                    \
               : "l"(a), "l"(b), "r"(static_cast<int>(add)), "n"(A_ == Major::lines), "n"(B_ == Major::lines))
#define NEUROINHIB_WGMMA_REGISTERS(N, REGISTERS, TYPE, A0, A1, A2, A3, B, ADD, MAJOR_B)                         \
  asm volatile("{ .reg .pred add; setp.ne.b32 add, %" #ADD                                                      \
               ", 0;\n"                                                                                         \
               "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE " {" NEUROINHIB_TEXT_##REGISTERS \
               "}, {%" #A0 ",%" #A1 ",%" #A2 ",%" #A3 "}, %" #B ", add, 1, 1, %" #MAJOR_B "; }"                 \
               : NEUROINHIB_SUMS_##REGISTERS                                                                    \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)),                \
                 "n"(B_ == Major::lines))
#define NEUROINHIB_WGMMA_WIDTH(N, REGISTERS, P0, P1, P2, P3, P4, P5, P6)                                       \
  template <class Number, Major A_, Major B_>                                                                  \
  __device__ __forceinline__ void multiply(float(&d)[REGISTERS], std::uint64_t a, std::uint64_t b, bool add) { \
    if constexpr (std::is_same_v<Number, __half>)                                                              \
      NEUROINHIB_WGMMA_SHARED(N, REGISTERS, "f16", P0, P1, P2, P3, P4);                                        \
    else                                                                                                       \
      NEUROINHIB_WGMMA_SHARED(N, REGISTERS, "bf16", P0, P1, P2, P3, P4);                                       \
  }                                                                                                            \
  template <class Number, Major B_>                                                                            \
  __device__ __forceinline__ void multiply(float(&d)[REGISTERS], const std::uint32_t(&a)[4], std::uint64_t b,  \
                                           bool add) {                                                         \
    if constexpr (std::is_same_v<Number, __half>)                                                              \
      NEUROINHIB_WGMMA_REGISTERS(N, REGISTERS, "f16", P0, P1, P2, P3, P4, P5, P6);                             \
    else                                                                                                       \
      NEUROINHIB_WGMMA_REGISTERS(N, REGISTERS, "bf16", P0, P1, P2, P3, P4, P5, P6);                            \
  }

NEUROINHIB_WGMMA_WIDTH(8, 4, 4, 5, 6, 7, 8, 9, 10)
NEUROINHIB_WGMMA_WIDTH(16, 8, 8, 9, 10, 11, 12, 13, 14)
NEUROINHIB_WGMMA_WIDTH(24, 12, 12, 13, 14, 15, 16, 17, 18)
NEUROINHIB_WGMMA_WIDTH(32, 16, 16, 17, 18, 19, 20, 21, 22)
NEUROINHIB_WGMMA_WIDTH(40, 20, 20, 21, 22, 23, 24, 25, 26)
NEUROINHIB_WGMMA_WIDTH(48, 24, 24, 25, 26, 27, 28, 29, 30)
NEUROINHIB_WGMMA_WIDTH(56, 28, 28, 29, 30, 31, 32, 33, 34)
NEUROINHIB_WGMMA_WIDTH(64, 32, 32, 33, 34, 35, 36, 37, 38)
NEUROINHIB_WGMMA_WIDTH(72, 36, 36, 37, 38, 39, 40, 41, 42)
NEUROINHIB_WGMMA_WIDTH(80, 40, 40, 41, 42, 43, 44, 45, 46)
NEUROINHIB_WGMMA_WIDTH(88, 44, 44, 45, 46, 47, 48, 49, 50)
NEUROINHIB_WGMMA_WIDTH(96, 48, 48, 49, 50, 51, 52, 53, 54)
NEUROINHIB_WGMMA_WIDTH(104, 52, 52, 53, 54, 55, 56, 57, 58)
NEUROINHIB_WGMMA_WIDTH(112, 56, 56, 57, 58, 59, 60, 61, 62)
NEUROINHIB_WGMMA_WIDTH(120, 60, 60, 61, 62, 63, 64, 65, 66)
NEUROINHIB_WGMMA_WIDTH(128, 64, 64, 65, 66, 67, 68, 69, 70)
NEUROINHIB_WGMMA_WIDTH(136, 68, 68, 69, 70, 71, 72, 73, 74)
NEUROINHIB_WGMMA_WIDTH(144, 72, 72, 73, 74, 75, 76, 77, 78)
NEUROINHIB_WGMMA_WIDTH(152, 76, 76, 77, 78, 79, 80, 81, 82)
NEUROINHIB_WGMMA_WIDTH(160, 80, 80, 81, 82, 83, 84, 85, 86)
NEUROINHIB_WGMMA_WIDTH(168, 84, 84, 85, 86, 87, 88, 89, 90)
NEUROINHIB_WGMMA_WIDTH(176, 88, 88, 89, 90, 91, 92, 93, 94)
NEUROINHIB_WGMMA_WIDTH(184, 92, 92, 93, 94, 95, 96, 97, 98)
NEUROINHIB_WGMMA_WIDTH(192, 96, 96, 97, 98, 99, 100, 101, 102)
NEUROINHIB_WGMMA_WIDTH(200, 100, 100, 101, 102, 103, 104, 105, 106)
NEUROINHIB_WGMMA_WIDTH(208, 104, 104, 105, 106, 107, 108, 109, 110)
NEUROINHIB_WGMMA_WIDTH(216, 108, 108, 109, 110, 111, 112, 113, 114)
NEUROINHIB_WGMMA_WIDTH(224, 112, 112, 113, 114, 115, 116, 117, 118)
NEUROINHIB_WGMMA_WIDTH(232, 116, 116, 117, 118, 119, 120, 121, 122)
NEUROINHIB_WGMMA_WIDTH(240, 120, 120, 121, 122, 123, 124, 125, 126)
NEUROINHIB_WGMMA_WIDTH(248, 124, 124, 125, 126, 127, 128, 129, 130)
NEUROINHIB_WGMMA_WIDTH(256, 128, 128, 129, 130, 131, 132, 133, 134)

#undef NEUROINHIB_WGMMA_WIDTH
#undef NEUROINHIB_WGMMA_REGISTERS
#undef NEUROINHIB_WGMMA_SHARED
#endif

}  // namespace neuroinhib::ops::wgmma
