// Strips (quant/strips.h) with AVX-512: products are made as a strip is read, without panels. What is left to do is to take the bits of several
// columns apart, by operations for which a core has other units than for products: beside four tokens and more they cost nothing. Tokens are
// packed first, so that what a block needs of them lies in one piece.
#include "kernels/quant_linear/panel.h"
#include "quant/strips.h"

#if defined(__x86_64__)
#include <array>
#include <cstring>
#include <type_traits>
#include <vector>

#include "kernels/avx512.h"
#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")

#include "kernels/quant_linear/decode_avx512.h"

namespace quern::panels::avx512 {
namespace {

// Tokens that share a reading of a strip: for each the sums of a block and those of all are in registers, 24 of 32.
constexpr int kTile = 12;
// How a strip is asked for ahead of the products, for a single token, which waits for memory alone, and for several. Measured on Zen 4:
//   one token, as a share of what plain reading reached in alternation: into the second-level cache from 2 KB ahead 0.98, 4 KB 0.97,
//     16 KB 0.87, 64 KB 0.88; into the first, from 1 KB, 0.80
//   five tokens, billions of products a second: into the second level from 2 KB ahead 82, 4 KB 100, 8 KB 105; into the first 1 KB 95,
//     2 KB 105, 3 KB 110, 4 KB 104. Ten: 145, 142, 132; 136, 145, 145, 142
template <int tokens>
struct Ahead {
  static constexpr int64_t kBytes = tokens == 1 ? 2048 : 3072;
  static constexpr int kLocality = tokens == 1 ? 2 : 3;  // of __builtin_prefetch: the second-level cache, the first
};

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
  template <class To>
  void prefetch() const {
    for (int i = 0; i < kWidths[0]; ++i) __builtin_prefetch(low + To::kBytes + 64 * i, 0, To::kLocality);
    for (int i = 0; i < kWidths[1]; ++i) __builtin_prefetch(high + To::kBytes + 64 * i, 0, To::kLocality);
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

// What 32 columns of a tile's tokens are, for a format.
template <class F, int count>
struct PackedBlock {
  int32_t codes[count][8];  // four columns each
  float scales[count];
  std::conditional_t<F::kOffsets, float, int32_t> sums[count];  // of the codes; without offsets what that of the codes brings

  void set(int t, const Int8Row& x, int64_t block) {
    std::memcpy(codes[t], x.codes + 32 * block, sizeof codes[t]);
    scales[t] = x.scales[block];
    const int all = x.sums[2 * block] + x.sums[2 * block + 1];
    if constexpr (F::kOffsets)
      sums[t] = static_cast<float>(all);
    else
      sums[t] = -F::kCodeOffset * all;
  }
};

// out [count tokens][16 rows]
template <class F, int count>
void multiply_strip(const StripSource& s, const PackedBlock<F, count>* x, float* out, int64_t out_stride) {
  Planes<F::kBits> planes(s, 0);
  __m512 total[count];
  for (__m512& of_token : total) of_token = _mm512_setzero_ps();
  for (int64_t block = 0; block < s.cols / 32; ++block, ++x, planes.advance()) {
    planes.template prefetch<Ahead<count>>();
    __m512i sum[count];
    for (int t = 0; t < count; ++t) {
      if constexpr (F::kOffsets)
        sum[t] = _mm512_setzero_si512();
      else
        sum[t] = _mm512_set1_epi32(x->sums[t]);
    }
#pragma GCC unroll 8
    for (int k = 0; k < 8; ++k) {
      const __m512i codes = typename F::Value()(planes.columns(k));
      for (int t = 0; t < count; ++t) sum[t] = _mm512_dpbusd_epi32(sum[t], codes, _mm512_set1_epi32(x->codes[t][k]));
    }
    const __m512 scale = F::scale(s.strip, block * 32 / F::kGroup), offset = F::offset(s.strip, block * 32 / F::kGroup);
    for (int t = 0; t < count; ++t) {
      __m512 part = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(sum[t]));
      if constexpr (F::kOffsets) part = _mm512_fmadd_ps(offset, _mm512_set1_ps(x->sums[t]), part);
      total[t] = _mm512_fmadd_ps(_mm512_set1_ps(x->scales[t]), part, total[t]);
    }
  }
  for (int t = 0; t < count; ++t) _mm512_storeu_ps(out + t * out_stride, total[t]);
}

// A thread's own memory, which it keeps.
void* scratch(size_t bytes) {
  thread_local std::vector<std::byte> memory;
  if (memory.size() < bytes) memory.resize(bytes);
  return memory.data();
}

template <class F, int count = kTile>
void multiply_tile(int64_t wanted, const QuantMatrix& weight, int64_t begin, int64_t end, const Tokens& x, float* out,
                   int64_t out_stride) {
  if constexpr (count > 1)
    if (wanted < count) return multiply_tile<F, count - 1>(wanted, weight, begin, end, x, out, out_stride);
  using Block = PackedBlock<F, count>;
  const int64_t cols = weight.cols(), blocks = cols / 32;
  auto* const packed = static_cast<Block*>(scratch(static_cast<size_t>(blocks) * sizeof(Block)));
  for (int64_t block = 0; block < blocks; ++block)
    for (int t = 0; t < count; ++t) packed[block].set(t, x.from(t).first, block);
  for (int64_t strip = begin; strip < end; ++strip)
    multiply_strip<F, count>({weight.strip(strip), cols}, packed, out + strip * kRows, out_stride);
}

// Tokens in as few tiles as they take, all nearly equal.
template <class F>
void multiply(const QuantMatrix& weight, int64_t begin, int64_t end, const Tokens& x, int64_t tokens, float* out,
              int64_t out_stride) {
  const int64_t tiles = (tokens + kTile - 1) / kTile;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t first = tile * tokens / tiles, count = (tile + 1) * tokens / tiles - first;
    multiply_tile<F>(count, weight, begin, end, x.from(first), out + first * out_stride, out_stride);
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
