// quant_linear for AVX-512 with VNNI and VBMI. A register has one lane for each of 16 rows; vpdpbusd adds four unsigned codes of each row times
// four signed codes of a token, which are broadcast from memory. Of eight tokens the sums of a block stay in registers, so that a register
// of weights is loaded once for all of them.
#include "kernels/quant_linear/quant_linear.h"

#if defined(__x86_64__)
#include <algorithm>
#include <bit>
#include <cstring>

#include "kernels/avx512.h"
#include "kernels/quant_linear/panel.h"
#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")

namespace quern::panels::avx512 {

extern const StripKernels strip_kernels;        // strip_avx512.cpp
extern const PanelKernel::Unpackers unpackers;  // panel_avx512.cpp

namespace {

constexpr int kTile = 8;  // tokens

inline __m512i broadcast4(const int8_t* at) {
  int32_t four;
  std::memcpy(&four, at, sizeof four);
  return _mm512_set1_epi32(four);
}

// totals [count tokens][16 rows] += panel times tokens, block by block.
template <int count, int group, bool offsets>
void multiply(const Panel& panel, int blocks, int code_offset, const Tokens& x, float* totals) {
  __m512 total[count];
  for (int t = 0; t < count; ++t) total[t] = _mm512_load_ps(totals + t * kRows);
  const uint8_t* codes = panel.codes;
  for (int g = 0; g < blocks * (kActivationBlock / group); ++g) {
    __m512i sum[count];
    __m512 of_x[count];
    for (int t = 0; t < count; ++t) {
      const int16_t* sums = x.sums(t) + g * (group / 16);
      const int all = group == 16 ? sums[0] : sums[0] + sums[1];
      sum[t] = offsets ? _mm512_setzero_si512() : _mm512_set1_epi32(-code_offset * all);
      if constexpr (offsets) of_x[t] = _mm512_set1_ps(static_cast<float>(all));
    }
    for (int d = 0; d < group / 4; ++d, codes += 4 * kRows) {
      const __m512i w = _mm512_load_si512(codes);
      for (int t = 0; t < count; ++t) sum[t] = _mm512_dpbusd_epi32(sum[t], w, broadcast4(x.codes(t) + g * group + 4 * d));
    }
    const __m512 scale = _mm512_load_ps(panel.scales[g]);
    for (int t = 0; t < count; ++t) {
      __m512 part = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(sum[t]));
      if constexpr (offsets) part = _mm512_fmadd_ps(_mm512_load_ps(panel.offsets[g]), of_x[t], part);
      total[t] = _mm512_fmadd_ps(_mm512_set1_ps(x.scales(t)[g * group / kActivationBlock]), part, total[t]);
    }
  }
  for (int t = 0; t < count; ++t) _mm512_store_ps(totals + t * kRows, total[t]);
}

// Tokens in as few tiles as they take, all nearly equal: a tile of one or two would wait for its own sums.
template <int group, bool offsets, int count = kTile>
void multiply_some(int64_t wanted, const Panel& panel, int blocks, int code_offset, const Tokens& x, float* totals) {
  if constexpr (count > 1)
    if (wanted < count) return multiply_some<group, offsets, count - 1>(wanted, panel, blocks, code_offset, x, totals);
  multiply<count, group, offsets>(panel, blocks, code_offset, x, totals);
}

template <int group, bool offsets>
void multiply_all(const Panel& panel, int blocks, int code_offset, const Tokens& x, int64_t count, float* totals) {
  for (int64_t t = 0; t < count;) {
    const int64_t left = count - t, tiles = (left + kTile - 1) / kTile, tile = (left + tiles - 1) / tiles;
    multiply_some<group, offsets>(tile, panel, blocks, code_offset, x.from(t), totals + t * kRows);
    t += tile;
  }
}

void multiply_panel(const PanelFormat& format, const Panel& panel, int blocks, const Tokens& x, int64_t count, float* totals) {
  if (format.has_offsets)
    multiply_all<32, true>(panel, blocks, format.code_offset, x, count, totals);
  else if (format.group == 32)
    multiply_all<32, false>(panel, blocks, format.code_offset, x, count, totals);
  else
    multiply_all<16, false>(panel, blocks, format.code_offset, x, count, totals);
}

}  // namespace

const PanelKernel* panel_kernel() {
  static const PanelKernel kernel{unpackers, strip_kernels, multiply_panel};
  return &kernel;
}

}  // namespace quern::panels::avx512

namespace quern::avx512 {

void quantize_activations(const float* x, CodeOrder order, Int8Activations& to, int64_t token) {
  const MutableInt8Row row = to.mutable_row(token);
  const __m512 top = _mm512_set1_ps(127), magic = _mm512_set1_ps(0x1.8p23f);
  for (int64_t b = 0; b < to.blocks(); ++b) {
    const int64_t left = to.cols() - b * kActivationBlock;
    const auto mask = left >= kActivationBlock ? 0xFFFFFFFFU : (1U << left) - 1;
    const float* at = x + b * kActivationBlock;
    const __m512 low = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), at),
                 high = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), at + 16);
    const __m512 low_size = _mm512_abs_ps(low), high_size = _mm512_abs_ps(high);
    // An infinity or a NaN has the largest magnitudes when they are compared as integers.
    const __m512i sizes = _mm512_max_epu32(_mm512_castps_si512(low_size), _mm512_castps_si512(high_size));
    const uint32_t bits = _mm512_reduce_max_epu32(sizes);
    const ActivationScale found = activation_scale(std::bit_cast<float>(bits));
    const float inverse = found.inverse;
    row.scales[b] = found.scale;
    const auto rounded = [&](__m512 values) {
      const __m512 scaled = _mm512_min_ps(
          top, _mm512_max_ps(_mm512_sub_ps(_mm512_setzero_ps(), top), _mm512_mul_ps(values, _mm512_set1_ps(inverse))));
      return _mm512_cvtps_epi32(_mm512_sub_ps(_mm512_add_ps(scaled, magic), magic));
    };
    const __m512i low_codes = inverse > 0 ? rounded(low) : _mm512_setzero_si512(),
                  high_codes = inverse > 0 ? rounded(high) : _mm512_setzero_si512();
    row.sums[2 * b] = static_cast<int16_t>(_mm512_reduce_add_epi32(low_codes));
    row.sums[2 * b + 1] = static_cast<int16_t>(_mm512_reduce_add_epi32(high_codes));
    __m256i codes = _mm256_set_m128i(_mm512_cvtepi32_epi8(high_codes), _mm512_cvtepi32_epi8(low_codes));
    if (order == CodeOrder::even_odd)
      codes = _mm256_shuffle_epi8(codes,
                                  _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(row.codes + b * kActivationBlock), codes);
  }
}

}  // namespace quern::avx512

QUERN_TARGET_END

#else

namespace quern::panels::avx512 {
const PanelKernel* panel_kernel() { return nullptr; }
}  // namespace quern::panels::avx512
namespace quern::avx512 {
void quantize_activations(const float* x, CodeOrder order, Int8Activations& to, int64_t token) { to.quantize(token, x, order); }
}  // namespace quern::avx512

#endif
