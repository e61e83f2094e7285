// Strips (quant/strips.h) with AVX-512: what is left to do is to take the bits of several columns apart. A strip becomes a panel chunk by chunk
// where several tokens share it; for a single token, decoding, the products are made as the strip is read.
#include "kernels/quant_linear/panel.h"
#include "quant/strips.h"

#if defined(__x86_64__)
#include <array>
#include <cstring>

#include "kernels/avx512.h"
#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")

#include "kernels/quant_linear/decode_avx512.h"

namespace quern::panels::avx512 {
namespace {

// How far ahead of the products of a single token a strip is asked for, in bytes. Measured, as a share of what plain reading reached in
// alternation, on Zen 4: into the second-level cache from 2 KB ahead 0.98, 4 KB 0.97, 16 KB 0.87, 64 KB 0.88; into the first, from 1 KB, 0.80.
constexpr int64_t kAhead = 2048;

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
  // What 32 columns take, from `ahead` bytes on.
  void prefetch(int64_t ahead) const {
    for (int i = 0; i < kWidths[0]; ++i) _mm_prefetch(reinterpret_cast<const char*>(low + ahead + 64 * i), _MM_HINT_T1);
    for (int i = 0; i < kWidths[1]; ++i) _mm_prefetch(reinterpret_cast<const char*>(high + ahead + 64 * i), _MM_HINT_T1);
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
  static constexpr int kBits = 4, kGroup = 32, kCodeOffset = 12;
  static constexpr bool kOffsets = false;
  using Value = E2m1;
  static __m512 scale(const QuantRow& strip, int64_t group) {
    return half_e8m0(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes_at(strip.scales) + group * kRows)));
  }
  static __m512 offset(const QuantRow&, int64_t) { return _mm512_setzero_ps(); }
};

template <int bits, int group>
struct Affine {
  static constexpr int kBits = bits, kGroup = group, kCodeOffset = 0;
  static constexpr bool kOffsets = true;
  using Value = AsIs;
  static __m512 scale(const QuantRow& strip, int64_t at) { return load_scales(strip.scale_type, strip.scales, at * kRows, kRows); }
  static __m512 offset(const QuantRow& strip, int64_t at) { return load_scales(strip.scale_type, strip.biases, at * kRows, kRows); }
};

// Those of the columns that come next.
template <class F>
inline void prefetch_scales(const StripSource& s, int64_t column, int count) {
  const int64_t size = scale_type_bytes(s.strip.scale_type) * kRows, from = column / F::kGroup * size,
                to = from + count / F::kGroup * size;
  for (int64_t at = from; at < to; at += 64) {
    _mm_prefetch(s.strip.scales + at, _MM_HINT_T0);
    if constexpr (F::kOffsets) _mm_prefetch(s.strip.biases + at, _MM_HINT_T0);
  }
}

template <class F>
void unpack(const StripSource& s, int64_t column, int count, Panel& panel) {
  Planes<F::kBits> planes(s, column);
  uint8_t* to = panel.codes;
  for (int c = 0; c < count; c += 32, planes.advance(), to += 32 * kRows) {
#pragma GCC unroll 8
    for (int k = 0; k < 8; ++k) _mm512_store_si512(to + k * 4 * kRows, typename F::Value()(planes.columns(k)));
  }
  for (int g = 0; g < count / F::kGroup; ++g) {
    const __m512 scale = F::scale(s.strip, column / F::kGroup + g), offset = F::offset(s.strip, column / F::kGroup + g);
    for (int i = g * (F::kGroup / 32); i < (g + 1) * (F::kGroup / 32); ++i) {
      _mm512_store_ps(panel.scales[i], scale);
      if constexpr (F::kOffsets) _mm512_store_ps(panel.offsets[i], offset);
    }
  }
  prefetch_scales<F>(s, column + count, count);
  const Planes<F::kBits> next(s, column + count);
  for (int i = 0; i < 2; ++i) {
    panel.ahead.at[i] = reinterpret_cast<const std::byte*>(i == 0 ? next.low : next.high);
    panel.ahead.lines[i] = Planes<F::kBits>::kWidths[static_cast<size_t>(i)];
  }
}

template <class F>
void dot(const StripSource& s, const Int8Row& x, float* out) {
  Planes<F::kBits> planes(s, 0);
  __m512 total = _mm512_setzero_ps();
  for (int64_t group = 0; group < s.cols / F::kGroup; ++group) {
    const __m512 scale = F::scale(s.strip, group), offset = F::offset(s.strip, group);
    for (int64_t block = group * (F::kGroup / 32); block < (group + 1) * (F::kGroup / 32); ++block, planes.advance()) {
      planes.prefetch(kAhead);
      const int all = x.sums[2 * block] + x.sums[2 * block + 1];
      __m512i sum = F::kOffsets ? _mm512_setzero_si512() : _mm512_set1_epi32(-F::kCodeOffset * all);
#pragma GCC unroll 8
      for (int k = 0; k < 8; ++k) {
        int32_t four;
        std::memcpy(&four, x.codes + 32 * block + 4 * k, sizeof four);
        sum = _mm512_dpbusd_epi32(sum, typename F::Value()(planes.columns(k)), _mm512_set1_epi32(four));
      }
      __m512 part = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(sum));
      if constexpr (F::kOffsets) part = _mm512_fmadd_ps(offset, _mm512_set1_ps(static_cast<float>(all)), part);
      total = _mm512_fmadd_ps(_mm512_set1_ps(x.scales[block]), part, total);
    }
  }
  _mm512_storeu_ps(out, total);
}

template <class F>
constexpr StripKernel kernel() {
  return {unpack<F>, dot<F>};
}
}  // namespace

extern const StripKernels strip_kernels;
constexpr StripKernels strip_kernels = {
    .mlx_mxfp4 = kernel<Mxfp4>(),
    .mlx_affine = for_affine<StripKernel>([]<int bits, int group>() { return kernel<Affine<bits, group>>(); })};

}  // namespace quern::panels::avx512

QUERN_TARGET_END

#endif
