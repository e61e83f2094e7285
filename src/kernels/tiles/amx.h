// Tiles as AMX has them, and sixteen lanes of AVX-512 beside them; emulated.h says what each function does. Included inside the
// brackets of an instruction set, after kernels/avx512.h.
//
// Tiles are named in the instruction itself. The compilers' intrinsics would do, but GCC 12's are macros that paste a literal number
// into the name, and its tileloadd does not say that it reads memory: stores before it could move behind it.
#pragma once

#include "base/cpu_features.h"
#include "kernels/avx512.h"

namespace quern {
namespace {

// Owns the thread's tiles: one at a time.
class AmxTiles {
 public:
  static constexpr Isa kIsa = Isa::amx;

  AmxTiles() {
    struct alignas(64) Configuration {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } configuration;
    static_assert(sizeof configuration == 64);
    asm volatile("ldtilecfg %0" ::"m"(configuration) : "memory");
  }
  ~AmxTiles() { asm volatile("tilerelease" ::: "memory"); }
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;

  template <int tile>
  void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(tile));
  }
  template <int tile>
  void load(const void* from, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(tile) : "memory");
  }
  template <int tile>
  void store(void* to, int64_t stride) const {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(tile) : "memory");
  }
  template <int sums, int a, int b>
  void dot_bf16() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sums), "i"(a), "i"(b));
  }

  using Lanes = __m512;
  using Counts = __m512i;
  static Lanes load_lanes(const float* from) { return _mm512_loadu_ps(from); }
  static void store_lanes(float* to, Lanes x) { _mm512_storeu_ps(to, x); }
  static Counts load_counts(const int32_t* from) { return _mm512_loadu_si512(from); }
  static Lanes all(float x) { return _mm512_set1_ps(x); }
  static Lanes add(Lanes a, Lanes b) { return _mm512_add_ps(a, b); }
  static Lanes subtract(Lanes a, Lanes b) { return _mm512_sub_ps(a, b); }
  static Lanes multiply(Lanes a, Lanes b) { return _mm512_mul_ps(a, b); }
  static Lanes multiply_add(Lanes a, Lanes b, Lanes c) { return _mm512_fmadd_ps(a, b, c); }
  static Lanes higher(Lanes a, Lanes b) { return _mm512_max_ps(a, b); }
  static Lanes nearest(Lanes x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static Lanes scaled(Lanes x, Lanes n, Lanes power) {
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(power, _mm512_set1_ps(-125.0f), _CMP_NLT_UQ), x, n);
  }
  static Lanes before(int32_t position, Counts limits, Lanes yes, Lanes no) {
    return _mm512_mask_blend_ps(_mm512_cmpgt_epi32_mask(limits, _mm512_set1_epi32(position)), no, yes);
  }
  static Lanes if_equal(Lanes a, Lanes b, Lanes yes, Lanes no) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ), no, yes);
  }

  static void pairs(Lanes even, Lanes odd, std::byte* to) {
    alignas(64) static constexpr int16_t kInTurn[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const auto both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd, even));
    _mm512_storeu_si512(to, _mm512_permutexvar_epi16(_mm512_load_si512(kInTurn), both));
  }
  static void round(const float* from, std::byte* to) {
    const auto both = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + 16), _mm512_loadu_ps(from));
    _mm512_storeu_si512(to, reinterpret_cast<__m512i>(both));
  }
  static void widen(const std::byte* codes, std::byte* to) {
    const __m512i words = _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
    const __m512 low = _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm512_castsi512_si256(words))),
                 high = _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(words, 1)));
    _mm512_storeu_si512(to, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
  }

  // Four pieces of 16 bytes, `stride` apart, are brought together by loads: shuffles across lanes would take the port that tiles take.
  static void transpose(const void* from, int64_t from_stride, void* to, int64_t to_stride) {
    for (int piece = 0; piece < 4; ++piece) {
      const std::byte* at = static_cast<const std::byte*>(from) + 16 * piece;
      const __m512i a = four_pieces(at, 4 * from_stride), b = four_pieces(at + from_stride, 4 * from_stride),
                    c = four_pieces(at + 2 * from_stride, 4 * from_stride), d = four_pieces(at + 3 * from_stride, 4 * from_stride);
      const __m512i ab = _mm512_unpacklo_epi32(a, b), cd = _mm512_unpacklo_epi32(c, d), ab_high = _mm512_unpackhi_epi32(a, b),
                    cd_high = _mm512_unpackhi_epi32(c, d);
      std::byte* row = static_cast<std::byte*>(to) + 4 * piece * to_stride;
      _mm512_storeu_si512(row, _mm512_unpacklo_epi64(ab, cd));
      _mm512_storeu_si512(row + to_stride, _mm512_unpackhi_epi64(ab, cd));
      _mm512_storeu_si512(row + 2 * to_stride, _mm512_unpacklo_epi64(ab_high, cd_high));
      _mm512_storeu_si512(row + 3 * to_stride, _mm512_unpackhi_epi64(ab_high, cd_high));
    }
  }
  static void transpose_halves(const std::byte* from, int64_t from_stride, std::byte* to) {
    __m512i rows[8], twos[8], fours[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) rows[i] = four_pieces(from + i * from_stride, 8 * from_stride);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      twos[i] = _mm512_unpacklo_epi16(rows[2 * i], rows[2 * i + 1]);
      twos[i + 4] = _mm512_unpackhi_epi16(rows[2 * i], rows[2 * i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {  // of rows 0-3 and 4-7: columns 0 1, 2 3, then 4 5, 6 7
      fours[2 * i] = _mm512_unpacklo_epi32(twos[2 * i], twos[2 * i + 1]);
      fours[2 * i + 1] = _mm512_unpackhi_epi32(twos[2 * i], twos[2 * i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const __m512i low = fours[i < 2 ? i : i + 2], high = fours[i < 2 ? i + 2 : i + 4];
      _mm512_storeu_si512(to + 64 * 2 * i, _mm512_unpacklo_epi64(low, high));
      _mm512_storeu_si512(to + 64 * (2 * i + 1), _mm512_unpackhi_epi64(low, high));
    }
  }

 private:
  static __m512i four_pieces(const std::byte* at, int64_t stride) {
    const auto piece = [&](int i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + i * stride)); };
    __m512i all = _mm512_castsi128_si512(piece(0));
    all = _mm512_inserti32x4(all, piece(1), 1);
    all = _mm512_inserti32x4(all, piece(2), 2);
    return _mm512_inserti32x4(all, piece(3), 3);
  }
};

}  // namespace
}  // namespace quern
