// short_conv for AVX2, kernels of four taps: eight channels run through all tokens with their weights and their last inputs in registers.
#include "kernels/short_conv/short_conv.h"

#if defined(__x86_64__)
#include <algorithm>

#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c")

#include "kernels/activations/avx2_math.h"

namespace quern::avx2 {
namespace {

// weight [8 channels][4 taps] to taps[4][8 channels].
inline void transpose_taps(const float* weight, __m256 (&taps)[4]) {
  const __m256 w0 = _mm256_loadu_ps(weight), w1 = _mm256_loadu_ps(weight + 8), w2 = _mm256_loadu_ps(weight + 16),
               w3 = _mm256_loadu_ps(weight + 24);
  const __m256 c04 = _mm256_permute2f128_ps(w0, w2, 0x20), c15 = _mm256_permute2f128_ps(w0, w2, 0x31),
               c26 = _mm256_permute2f128_ps(w1, w3, 0x20), c37 = _mm256_permute2f128_ps(w1, w3, 0x31);
  const __m256 low01 = _mm256_unpacklo_ps(c04, c15), high01 = _mm256_unpackhi_ps(c04, c15), low23 = _mm256_unpacklo_ps(c26, c37),
               high23 = _mm256_unpackhi_ps(c26, c37);
  taps[0] = _mm256_shuffle_ps(low01, low23, 0x44), taps[1] = _mm256_shuffle_ps(low01, low23, 0xEE);
  taps[2] = _mm256_shuffle_ps(high01, high23, 0x44), taps[3] = _mm256_shuffle_ps(high01, high23, 0xEE);
}

// Tokens [first, last) of channels c .. c + 7, of which store(at, values) keeps those that are wanted.
template <class Store>
inline void eight_channels(const ShortConvArgs& a, int64_t first, int64_t last, int64_t c, Store store) {
  __m256 taps[4];
  transpose_taps(a.weight + c * 4, taps);
  const auto input = [&](int64_t t) {
    return _mm256_loadu_ps((t < 0 ? a.history + (3 + t) * a.channels : a.input + t * a.channels) + c);
  };
  __m256 u0 = input(first - 3), u1 = input(first - 2), u2 = input(first - 1);
  for (int64_t t = first; t < last; ++t) {
    const __m256 u3 = _mm256_loadu_ps(a.input + t * a.channels + c);
    __m256 sum = _mm256_mul_ps(taps[0], u0);
    sum = _mm256_fmadd_ps(taps[1], u1, sum), sum = _mm256_fmadd_ps(taps[2], u2, sum), sum = _mm256_fmadd_ps(taps[3], u3, sum);
    store(a.out + t * a.channels + c, silu8(sum));
    u0 = u1, u1 = u2, u2 = u3;
  }
}

}  // namespace

// Which version a channel gets depends on the channel alone, not on the range: eights are counted from channel 0. Tokens come in blocks few
// enough for a line of theirs to be still in the first-level cache when its other channels are computed.
void short_conv(const ShortConvArgs& a, int64_t begin, int64_t end) {
  constexpr int64_t kTokens = 32;
  const int64_t eights = a.channels / 8 * 8;
  for (int64_t first = 0; first < a.tokens; first += kTokens) {
    const int64_t last = std::min(first + kTokens, a.tokens);
    for (int64_t c = begin / 8 * 8; c < std::min(end, eights); c += 8) {
      if (c >= begin && c + 8 <= end) {
        eight_channels(a, first, last, c, [](float* at, __m256 values) { _mm256_storeu_ps(at, values); });
        continue;
      }
      const __m256i lane = _mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(c)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
      const __m256i wanted = _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(begin)), lane),
                                                 _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(end)), lane));
      eight_channels(a, first, last, c, [&](float* at, __m256 values) { _mm256_maskstore_ps(at, wanted, values); });
    }
  }
  if (end > eights) scalar::short_conv(a, std::max(begin, eights), end);
}

}  // namespace quern::avx2

QUERN_TARGET_END

#else

namespace quern::avx2 {
void short_conv(const ShortConvArgs& args, int64_t begin, int64_t end) { scalar::short_conv(args, begin, end); }
}  // namespace quern::avx2

#endif
