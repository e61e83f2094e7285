// Strips (quant/strips.h) with AVX-512: products are made as a strip is read, without panels. What is left to do is to take the bits of several
// columns apart, by operations for which a core has other units than for products: beside four tokens and more they cost nothing.
#include "kernels/quant_linear/panel.h"
#include "quant/strips.h"

#if defined(__x86_64__)
#include <array>
#include <cstring>
#include <utility>

#include "kernels/avx512.h"
#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")

#include "kernels/quant_linear/decode_avx512.h"

namespace quern::panels::avx512 {
namespace {

// For each token of a tile the sums of a block and those of all are in registers, 24 of 32.
static_assert(kTokenTile == 12);
constexpr int kTile = kTokenTile;
// How a strip is asked for ahead of the products. Measured on Zen 4:
//   several tokens: all of it. Five, billions of products a second: into the second level from 2 KB ahead 82, 4 KB 100, 8 KB 105; into the first
//     1 KB 95, 2 KB 105, 3 KB 110, 4 KB 104. Ten: 145, 142, 132; 136, 145, 145, 142
//   one token: the processor finds streams of codes by itself, and to ask for each line is in its way. Scales are read too slowly for it to run
//     far enough ahead. Of what 8 bits reached when all was asked for 2 KB ahead, MXFP4, one stream and matrices anywhere in memory: all of it
//     from 1.5, 2, 3 or 6 KB ahead 0.86 to 0.90 and 0.92 to 0.93; nothing 0.94, 0.93; scales 512 bytes ahead 0.94, 0.96, and one line of codes a
//     block with them, from far enough that it is another page 0.96, 0.98; 8 bits: scales 1.02, 1.04
constexpr int64_t kCodesAhead = 3072;
constexpr int64_t kScalesAhead = 512, kPagesAhead = 8192;

// Where the bit planes of a strip have a column.
template <int bits>
struct Planes {
  static constexpr std::array<int, 2> kWidths = strip_planes(bits);
  const uint8_t *low, *high;

  Planes(const StripSource& s, int64_t column)
      : low(bytes_at(s.strip.codes) + strip_plane_at(bits, 0, s.cols, column)),
        high(bytes_at(s.strip.codes) + strip_plane_at(bits, 1, s.cols, column)) {}
  // 32 columns on.
  void advance() { low += 64 * kWidths[0], high += 64 * kWidths[1]; }
  // What 32 columns take, so far ahead.
  void prefetch(int64_t ahead) const {
    for (int i = 0; i < kWidths[0]; ++i) __builtin_prefetch(low + ahead + 64 * i);
    for (int i = 0; i < kWidths[1]; ++i) __builtin_prefetch(high + ahead + 64 * i);
  }
  // The first plane's fields of columns 4k .. 4k + 3 in the lowest bits of their bytes; what is above them is anything.
  __m512i columns_and_more(int k) const {
    constexpr int kFields = 8 / kWidths[0];
    const __m512i word = _mm512_loadu_si512(low + k / kFields * 64);
    return k % kFields == 0 ? word : _mm512_srli_epi16(word, k % kFields * kWidths[0]);
  }
  // Codes of columns 4k .. 4k + 3, a row a lane.
  __m512i columns(int k) const {
    const __m512i codes = field<kWidths[0]>(low, k);
    if constexpr (kWidths[1] == 0)
      return codes;
    else
      return _mm512_or_si512(codes, _mm512_slli_epi16(field<kWidths[1]>(high, k), kWidths[0]));
  }

 private:
  template <int p>
  static __m512i field(const uint8_t* plane, int k) {
    const __m512i word = _mm512_loadu_si512(plane + k / (8 / p) * 64);
    if constexpr (p == 8)
      return word;
    else
      return _mm512_and_si512(_mm512_srli_epi16(word, k % (8 / p) * p), _mm512_set1_epi8((1 << p) - 1));
  }
};

// A format: how its codes become a panel's, and its scales.

struct Mxfp4 {
  static constexpr int kBits = 4, kGroup = 32;
  static constexpr bool kOffsets = false;
  // As E2m1 does; vpermb looks at six bits of an index, so that its table has the values four times and nothing need be cut off.
  static __m512i codes(const Planes<4>& planes, int k) {
    const __m512i values = _mm512_broadcast_i32x4(_mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
    return _mm512_permutexvar_epi8(planes.columns_and_more(k), values);
  }
  // Half of it is a matter of the exponent, but for the two smallest and NaN.
  static __m512 scale(const QuantRow& strip, int64_t group) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes_at(strip.scales) + group * kRows));
    if (_mm_cmpgt_epu8_mask(_mm_sub_epi8(bytes, _mm_set1_epi8(2)), _mm_set1_epi8(static_cast<char>(252))) != 0)
      return half_e8m0(bytes);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu8_epi32(_mm_sub_epi8(bytes, _mm_set1_epi8(1))), 23));
  }
  static __m512 offset(const QuantRow&, int64_t) { return _mm512_setzero_ps(); }
};

template <int bits, int group>
struct Affine {
  static constexpr int kBits = bits, kGroup = group;
  static constexpr bool kOffsets = true;
  static __m512i codes(const Planes<bits>& planes, int k) { return planes.columns(k); }
  static __m512 scale(const QuantRow& strip, int64_t at) { return load_scales(strip.scale_type, strip.scales, at * kRows, kRows); }
  static __m512 offset(const QuantRow& strip, int64_t at) { return load_scales(strip.scale_type, strip.biases, at * kRows, kRows); }
};

// What 32 columns of a tile's tokens are (packed_tokens.h).
template <int count>
struct PackedBlock {
  int32_t codes[count][8];
  float scales[count];
  int32_t sums[count];
};
static_assert(sizeof(PackedBlock<1>) == PackedTokens::kBytes);

// total[t] += the block's products, of integer sums.
template <class F, int count>
inline __attribute__((always_inline)) void add_block(const QuantRow& strip, int64_t block, const PackedBlock<count>& x,
                                                     const __m512i (&sum)[count], __m512 (&total)[count]) {
  const __m512 scale = F::scale(strip, block * 32 / F::kGroup), offset = F::offset(strip, block * 32 / F::kGroup);
  for (int t = 0; t < count; ++t) {
    __m512 part = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(sum[t]));
    if constexpr (F::kOffsets) part = _mm512_fmadd_ps(offset, _mm512_castsi512_ps(_mm512_set1_epi32(x.sums[t])), part);
    total[t] = _mm512_fmadd_ps(_mm512_set1_ps(x.scales[t]), part, total[t]);
  }
}

// The same for MXFP4 and plain scales (packed_tokens.h): powers of two are added to the exponents of the tokens' scales, which gives the same
// bits with one multiplication less. False where a scale of the strip is too large or too small for that: nothing is done then.
template <int count>
inline __attribute__((always_inline)) bool add_powers(const QuantRow& strip, int64_t block, const PackedBlock<count>& x,
                                                      const __m512i (&sum)[count], __m512 (&total)[count]) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes_at(strip.scales) + block * kRows));
  constexpr int kOne = 128;  // the byte of scale 1, because codes are doubled
  constexpr auto kLeast = static_cast<char>(kOne - PackedTokens::kMostExponent);
  const __m128i from_least = _mm_sub_epi8(bytes, _mm_set1_epi8(kLeast));
  if (_mm_cmpgt_epu8_mask(from_least, _mm_set1_epi8(2 * PackedTokens::kMostExponent)) != 0) return false;
  const __m512i exponents = _mm512_slli_epi32(_mm512_sub_epi32(_mm512_cvtepu8_epi32(bytes), _mm512_set1_epi32(kOne)), 23);
  for (int t = 0; t < count; ++t) {
    int32_t scale;
    std::memcpy(&scale, &x.scales[t], sizeof scale);
    const __m512 both = _mm512_castsi512_ps(_mm512_add_epi32(exponents, _mm512_set1_epi32(scale)));
    total[t] = _mm512_fmadd_ps(both, _mm512_cvtepi32_ps(sum[t]), total[t]);
  }
  return true;
}

// Asks for what a block of some tokens takes, ahead of it.
template <class F, int count>
inline __attribute__((always_inline)) void ask_ahead(const QuantRow& strip, int64_t block, const Planes<F::kBits>& planes) {
  if constexpr (count > 1) return planes.prefetch(kCodesAhead);
  constexpr int64_t kScaleBytes = F::kOffsets ? 2 : 1;  // of the format's own type
  const int64_t scales = block * 32 / F::kGroup * kRows * kScaleBytes + kScalesAhead;
  __builtin_prefetch(strip.scales + scales);
  if constexpr (F::kOffsets) __builtin_prefetch(strip.biases + scales);
  __builtin_prefetch(planes.low + kPagesAhead, 0, 2);
}

// out [count tokens][16 rows]
template <class F, int count, bool plain>
void multiply_strip(const StripSource& s, const PackedBlock<count>* x, float* out, int64_t out_stride) {
  Planes<F::kBits> planes(s, 0);
  __m512 total[count];
  for (__m512& of_token : total) of_token = _mm512_setzero_ps();
  for (int64_t block = 0; block < s.cols / 32; ++block, ++x, planes.advance()) {
    ask_ahead<F, count>(s.strip, block, planes);
    __m512i sum[count];
    for (int t = 0; t < count; ++t) sum[t] = F::kOffsets ? _mm512_setzero_si512() : _mm512_set1_epi32(x->sums[t]);
#pragma GCC unroll 8
    for (int k = 0; k < 8; ++k) {
      const __m512i codes = F::codes(planes, k);
      for (int t = 0; t < count; ++t) sum[t] = _mm512_dpbusd_epi32(sum[t], codes, _mm512_set1_epi32(x->codes[t][k]));
    }
    if constexpr (plain)
      if (add_powers<count>(s.strip, block, *x, sum, total)) continue;
    add_block<F, count>(s.strip, block, *x, sum, total);
  }
  for (int t = 0; t < count; ++t) _mm512_storeu_ps(out + t * out_stride, total[t]);
}

template <class F, int count>
void multiply_tile(const QuantMatrix& weight, int64_t begin, int64_t end, const PackedTokens& x, int64_t token, float* out,
                   int64_t out_stride) {
  const auto* const packed = reinterpret_cast<const PackedBlock<count>*>(x.tile(token));
  // A single token waits for memory: its scales are not looked at before they are needed.
  const bool plain = !F::kOffsets && count > 1 && x.has_plain_scales(token);
  for (int64_t strip = begin; strip < end; ++strip, out += kRows) {
    const StripSource source{weight.strip(strip), weight.cols()};
    if constexpr (!F::kOffsets && count > 1)
      if (plain) {
        multiply_strip<F, count, true>(source, packed, out, out_stride);
        continue;
      }
    multiply_strip<F, count, false>(source, packed, out, out_stride);
  }
}

template <class F>
void multiply(const QuantMatrix& weight, int64_t begin, int64_t end, const PackedTokens& x, int64_t first_token, int64_t tokens,
              float* out, int64_t out_stride) {
  using Tile = decltype(&multiply_tile<F, 1>);
  constexpr auto kTiles = []<int... i>(std::integer_sequence<int, i...>) {
    return std::array<Tile, kTile>{multiply_tile<F, i + 1>...};
  }(std::make_integer_sequence<int, kTile>());
  for (int64_t i = 0; i < token_tiles(tokens); ++i) {
    const TokenTile tile = token_tile(first_token, tokens, i);
    kTiles[static_cast<size_t>(tile.count - 1)](weight, begin, end, x, tile.first, out + begin * kRows, out_stride);
    out += tile.count * out_stride;
  }
}

template <class F>
constexpr StripKernel kernel() {
  return {.multiply = multiply<F>};
}
}  // namespace

extern const StripKernels strip_kernels;
constexpr StripKernels strip_kernels = {
    .mlx_mxfp4 = kernel<Mxfp4>(),
    .mlx_affine = for_affine<StripKernel>([]<int bits, int group>() { return kernel<Affine<bits, group>>(); })};

}  // namespace quern::panels::avx512

QUERN_TARGET_END

#endif
