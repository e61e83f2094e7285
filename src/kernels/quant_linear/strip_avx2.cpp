// Strips (quant/strips.h) with AVX2: the bits of several columns are taken apart into a panel.
#include "kernels/quant_linear/panel.h"
#include "quant/strips.h"

#if defined(__x86_64__)
#include <array>

#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c")

#include "kernels/quant_linear/block_rows.h"
#include "kernels/quant_linear/decode_avx2.h"

namespace quern::panels::avx2 {
namespace {

// How far ahead of the loads a strip is asked for, in bytes: enough for the time that a thread spends multiplying a panel.
constexpr int64_t kAhead = 16384;

// Columns 4k .. 4k + 3 after those of the word at `plane`, in a plane of p bits; eight rows.
template <int p>
inline __m256i field(const uint8_t* plane, int k) {
  const __m256i word = load32(plane + k / (8 / p) * 64);
  if constexpr (p == 8)
    return word;
  else
    return _mm256_and_si256(_mm256_srli_epi16(word, k % (8 / p) * p), _mm256_set1_epi8((1 << p) - 1));
}

template <int bits, class Value>
inline void codes(const StripSource& s, int64_t column, int count, Panel& panel, Value value) {
  constexpr std::array<int, 2> planes = strip_planes(bits);
  const uint8_t *low = bytes_at(s.strip.codes) + strip_plane_at(bits, 0, s.cols, column),
                *high = bytes_at(s.strip.codes) + strip_plane_at(bits, 1, s.cols, column);
  uint8_t* to = panel.codes;
  for (int c = 0; c < count; c += 32, low += 64 * planes[0], high += 64 * planes[1], to += 32 * kRows) {
    for (int i = 0; i < planes[0]; ++i) _mm_prefetch(reinterpret_cast<const char*>(low + kAhead + 64 * i), _MM_HINT_T1);
    for (int i = 0; i < planes[1]; ++i) _mm_prefetch(reinterpret_cast<const char*>(high + kAhead + 64 * i), _MM_HINT_T1);
#pragma GCC unroll 8
    for (int k = 0; k < 8; ++k)
      for (int half = 0; half < 64; half += 32) {
        __m256i columns = field<planes[0]>(low + half, k);
        if constexpr (planes[1] > 0)
          columns = _mm256_or_si256(columns, _mm256_slli_epi16(field<planes[1]>(high + half, k), planes[0]));
        store32(to + k * 4 * kRows + half, value(columns));
      }
  }
}

struct AsIs {
  __m256i operator()(__m256i codes) const { return codes; }
};
struct E2m1 {
  __m256i operator()(__m256i nibbles) const { return e2m1(nibbles); }
};

void mxfp4(const StripSource& s, int64_t column, int count, Panel& panel) {
  codes<4>(s, column, count, panel, E2m1());
  const uint8_t* scales = bytes_at(s.strip.scales) + column / 32 * kRows;
  for (int g = 0; g < count / 32; ++g)
    for (int r = 0; r < kRows; ++r) panel.scales[g][r] = half_e8m0(scales[g * kRows + r]);
}

template <int bits, int group>
void affine(const StripSource& s, int64_t column, int count, Panel& panel) {
  codes<bits>(s, column, count, panel, AsIs());
  for (int g = 0; g < count / group; ++g) {
    const int first = g * (group / 32);
    for (int r = 0; r < kRows; ++r) {
      const int64_t at = (column / group + g) * kRows + r;
      panel.scales[first][r] = scale_at(s.strip.scale_type, s.strip.scales, at);
      panel.offsets[first][r] = scale_at(s.strip.scale_type, s.strip.biases, at);
    }
    for (int i = 1; i < group / 32; ++i) {
      std::memcpy(panel.scales[first + i], panel.scales[first], sizeof panel.scales[first]);
      std::memcpy(panel.offsets[first + i], panel.offsets[first], sizeof panel.offsets[first]);
    }
  }
}

}  // namespace

extern const StripKernels strip_kernels;
constexpr StripKernels strip_kernels = {
    .mlx_mxfp4 = {.unpack = mxfp4},
    .mlx_affine = for_affine<StripKernel>([]<int bits, int group>() { return StripKernel{.unpack = affine<bits, group>}; })};

}  // namespace quern::panels::avx2

QUERN_TARGET_END

#endif
