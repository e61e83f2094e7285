// quant_linear for AVX2. Two registers have a lane for each of 16 rows; vpmaddubsw adds two unsigned codes of a row times two signed codes of a
// token in 16 bits, which must not overflow:
//   codes up to 31    four such sums fit into 16 bits before they are widened
//   codes up to 127   one does
//   codes up to 255   none does: |w - 128| is the unsigned factor and x with its sign the signed one, and 128 sum(x) is added
#include "kernels/quant_linear/quant_linear.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <bit>
#include <cstring>

#include "kernels/quant_linear/panel.h"
#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c")

namespace quern::panels::avx2 {

extern const StripKernels strip_kernels;        // strip_avx2.cpp
extern const PanelKernel::Unpackers unpackers;  // panel_avx2.cpp

namespace {

constexpr int kTile = 2;    // tokens
constexpr int kHalves = 2;  // of 16 rows

enum class Codes { to_31, to_127, to_255 };

inline __m256i broadcast4(const int8_t* at) {
  int32_t four;
  std::memcpy(&four, at, sizeof four);
  return _mm256_set1_epi32(four);
}

inline __m256i widened(__m256i pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }

// sum[token][half] += four columns times `steps`, from `codes` and each token's x.
template <int count, Codes limit>
inline __attribute__((always_inline)) void add_columns(const uint8_t* codes, const Tokens& x, int64_t column,
                                                       __m256i (&sum)[count][kHalves]) {
  constexpr int kSteps = limit == Codes::to_31 ? 4 : 1;
  __m256i pairs[count][kHalves];
  for (int step = 0; step < kSteps; ++step)
    for (int h = 0; h < kHalves; ++h) {
      __m256i w = _mm256_load_si256(reinterpret_cast<const __m256i*>(codes + 64 * step + 32 * h)), size = w;
      if constexpr (limit == Codes::to_255) w = _mm256_xor_si256(w, _mm256_set1_epi8(-128)), size = _mm256_abs_epi8(w);
      for (int t = 0; t < count; ++t) {
        __m256i four = broadcast4(x.codes(t) + column + 4 * step);
        if constexpr (limit == Codes::to_255) four = _mm256_sign_epi8(four, w);
        const __m256i products = _mm256_maddubs_epi16(size, four);
        pairs[t][h] = step == 0 ? products : _mm256_add_epi16(pairs[t][h], products);
      }
    }
  for (int t = 0; t < count; ++t)
    for (int h = 0; h < kHalves; ++h) sum[t][h] = _mm256_add_epi32(sum[t][h], widened(pairs[t][h]));
}

template <int count, int group, bool offsets, Codes limit>
void multiply(const Panel& panel, int blocks, int code_offset, const Tokens& x, float* totals) {
  constexpr int kColumns = limit == Codes::to_31 ? 16 : 4;
  const int correction = (limit == Codes::to_255 ? 128 : 0) - code_offset;
  __m256 total[count][kHalves];
  for (int t = 0; t < count; ++t)
    for (int h = 0; h < kHalves; ++h) total[t][h] = _mm256_load_ps(totals + t * kRows + 8 * h);
  for (int g = 0; g < blocks * (kActivationBlock / group); ++g) {
    __m256i sum[count][kHalves];
    __m256 of_x[count];
    for (int t = 0; t < count; ++t) {
      const int16_t* sums = x.sums(t) + g * (group / 16);
      const int all = group == 16 ? sums[0] : sums[0] + sums[1];
      of_x[t] = _mm256_set1_ps(static_cast<float>(all));
      for (int h = 0; h < kHalves; ++h) sum[t][h] = _mm256_set1_epi32(correction * all);
    }
    for (int c = 0; c < group; c += kColumns)
      add_columns<count, limit>(panel.codes + (g * group + c) * kRows, x, g * group + c, sum);
    for (int t = 0; t < count; ++t) {
      const __m256 scale_x = _mm256_set1_ps(x.scales(t)[g * group / kActivationBlock]);
      for (int h = 0; h < kHalves; ++h) {
        __m256 part = _mm256_mul_ps(_mm256_load_ps(panel.scales[g] + 8 * h), _mm256_cvtepi32_ps(sum[t][h]));
        if constexpr (offsets) part = _mm256_fmadd_ps(_mm256_load_ps(panel.offsets[g] + 8 * h), of_x[t], part);
        total[t][h] = _mm256_fmadd_ps(scale_x, part, total[t][h]);
      }
    }
  }
  for (int t = 0; t < count; ++t)
    for (int h = 0; h < kHalves; ++h) _mm256_store_ps(totals + t * kRows + 8 * h, total[t][h]);
}

template <int group, bool offsets, Codes limit>
void multiply_all(const Panel& panel, int blocks, int code_offset, const Tokens& x, int64_t count, float* totals) {
  int64_t t = 0;
  for (; t + kTile <= count; t += kTile)
    multiply<kTile, group, offsets, limit>(panel, blocks, code_offset, x.from(t), totals + t * kRows);
  for (; t < count; ++t) multiply<1, group, offsets, limit>(panel, blocks, code_offset, x.from(t), totals + t * kRows);
}

template <Codes limit>
void multiply_codes(const PanelFormat& format, const Panel& panel, int blocks, const Tokens& x, int64_t count, float* totals) {
  if (format.has_offsets)
    multiply_all<32, true, limit>(panel, blocks, format.code_offset, x, count, totals);
  else if (format.group == 32)
    multiply_all<32, false, limit>(panel, blocks, format.code_offset, x, count, totals);
  else
    multiply_all<16, false, limit>(panel, blocks, format.code_offset, x, count, totals);
}

void multiply_panel(const PanelFormat& format, const Panel& panel, int blocks, const Tokens& x, int64_t count, float* totals) {
  if (format.code_limit <= 31)
    multiply_codes<Codes::to_31>(format, panel, blocks, x, count, totals);
  else if (format.code_limit <= 127)
    multiply_codes<Codes::to_127>(format, panel, blocks, x, count, totals);
  else
    multiply_codes<Codes::to_255>(format, panel, blocks, x, count, totals);
}

}  // namespace

const PanelKernel* panel_kernel() {
  static const PanelKernel kernel{unpackers, strip_kernels, multiply_panel};
  return &kernel;
}

}  // namespace quern::panels::avx2

namespace quern::avx2 {
namespace {

inline int sum_of(__m256i v) {
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  const __m128i two = _mm_add_epi32(four, _mm_srli_si128(four, 8));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_srli_si128(two, 4)));
}

// The largest of |x| of 32 values as bits: an infinity or a NaN has the largest.
inline uint32_t largest_bits(const __m256 (&x)[4]) {
  const __m256i size = _mm256_set1_epi32(0x7FFFFFFF);
  __m256i most = _mm256_setzero_si256();
  for (const __m256& part : x) most = _mm256_max_epu32(most, _mm256_and_si256(_mm256_castps_si256(part), size));
  __m128i four = _mm_max_epu32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
  four = _mm_max_epu32(four, _mm_srli_si128(four, 8));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_max_epu32(four, _mm_srli_si128(four, 4))));
}

}  // namespace

void quantize_activations(const float* x, CodeOrder order, Int8Activations& to, int64_t token) {
  const MutableInt8Row row = to.mutable_row(token);
  const __m256 top = _mm256_set1_ps(127), bottom = _mm256_set1_ps(-127), magic = _mm256_set1_ps(0x1.8p23f);
  const __m128i evens = order == CodeOrder::even_odd ? _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15)
                                                     : _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (int64_t b = 0; b < to.blocks(); ++b) {
    const int64_t left = to.cols() - b * kActivationBlock;
    const float* at = x + b * kActivationBlock;
    alignas(32) float padded[kActivationBlock] = {};
    if (left < kActivationBlock) std::memcpy(padded, at, static_cast<size_t>(left) * 4), at = padded;
    __m256 values[4];
    for (int i = 0; i < 4; ++i) values[i] = _mm256_loadu_ps(at + 8 * i);
    const auto [scale, inverse] = activation_scale(std::bit_cast<float>(largest_bits(values)));
    row.scales[b] = scale;
    __m256i codes[4];
    for (int i = 0; i < 4; ++i) {
      const __m256 scaled = _mm256_min_ps(top, _mm256_max_ps(bottom, _mm256_mul_ps(values[i], _mm256_set1_ps(inverse))));
      codes[i] = _mm256_cvtps_epi32(_mm256_sub_ps(_mm256_add_ps(scaled, magic), magic));
      if (inverse == 0) codes[i] = _mm256_setzero_si256();
    }
    row.sums[2 * b] = static_cast<int16_t>(sum_of(_mm256_add_epi32(codes[0], codes[1])));
    row.sums[2 * b + 1] = static_cast<int16_t>(sum_of(_mm256_add_epi32(codes[2], codes[3])));
    const __m256i words = _mm256_packs_epi16(_mm256_packs_epi32(codes[0], codes[1]), _mm256_packs_epi32(codes[2], codes[3]));
    const __m256i bytes = _mm256_permutevar8x32_epi32(words, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(row.codes + b * kActivationBlock),
                        _mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(evens)));
  }
}

}  // namespace quern::avx2

QUERN_TARGET_END

#else

namespace quern::panels::avx2 {
const PanelKernel* panel_kernel() { return nullptr; }
}  // namespace quern::panels::avx2
namespace quern::avx2 {
void quantize_activations(const float* x, CodeOrder order, Int8Activations& to, int64_t token) { to.quantize(token, x, order); }
}  // namespace quern::avx2

#endif
