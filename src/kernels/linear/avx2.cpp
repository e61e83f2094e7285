// linear for AVX2 + FMA + F16C. Every element is one chain of eight lanes over k, then a fixed reduction, then the tail of k one by one:
// the same whatever tile it is computed in. Tiles: 8 rows x 1 token (decode: eight chains hide the FMA latency, eight streams of weights
// keep memory busy) and 3 rows x 4 tokens (prefill: a converted weight vector serves four tokens, and twelve chains fill the registers). Tokens
// come in blocks that stay in the second-level cache while all rows pass: 512 tokens at once had been read from the third level for each two.
#include "kernels/linear/linear.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>

#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c")

namespace quern::avx2 {
namespace {

template <DType dtype>
inline __m256 load8(const std::byte* row, int64_t k) {
  if constexpr (dtype == DType::f32) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(row + 4 * k));
  } else {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + 2 * k));
    if constexpr (dtype == DType::f16)
      return _mm256_cvtph_ps(half);
    else
      return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
  }
}

inline float reduce(__m256 v) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

template <DType dtype, int kRows, int kTokens>
void tile(const PlainLinearArgs& a, int64_t n, int64_t t) {
  constexpr auto kSize = static_cast<int64_t>(dtype_size(dtype));
  const std::byte* rows[kRows];
  const float* tokens[kTokens];
  for (int r = 0; r < kRows; ++r) rows[r] = a.weight + (n + r) * a.k * kSize;
  for (int u = 0; u < kTokens; ++u) tokens[u] = a.x + (t + u) * a.x_stride;
  __m256 sums[kRows][kTokens];
  for (int r = 0; r < kRows; ++r)
    for (int u = 0; u < kTokens; ++u) sums[r][u] = _mm256_setzero_ps();
  const int64_t whole = a.k / 8 * 8;
  for (int64_t k = 0; k < whole; k += 8) {
    __m256 x[kTokens];
    for (int u = 0; u < kTokens; ++u) x[u] = _mm256_loadu_ps(tokens[u] + k);
    for (int r = 0; r < kRows; ++r) {
      const __m256 w = load8<dtype>(rows[r], k);
      for (int u = 0; u < kTokens; ++u) sums[r][u] = _mm256_fmadd_ps(x[u], w, sums[r][u]);
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int u = 0; u < kTokens; ++u) {
      float sum = reduce(sums[r][u]);
      for (int64_t k = whole; k < a.k; ++k) sum += tokens[u][k] * load_f32(dtype, rows[r], k);
      a.out[(t + u) * a.out_stride + n + r] = sum;
    }
}

template <DType dtype, int kRows>
void rows_of(const PlainLinearArgs& a, int64_t n) {
  int64_t t = 0;
  if constexpr (kRows <= 3)
    for (; t + 4 <= a.tokens; t += 4) tile<dtype, kRows, 4>(a, n, t);
  for (; t < a.tokens; ++t) tile<dtype, kRows, 1>(a, n, t);
}

template <DType dtype>
void linear_of(PlainLinearArgs a, int64_t begin, int64_t end) {
  constexpr int64_t kTokens = 32;
  for (int64_t left = a.tokens; left > 0; left -= kTokens) {
    a.tokens = std::min(left, kTokens);
    int64_t n = begin;
    if (a.tokens < 4)
      for (; n + 8 <= end; n += 8) rows_of<dtype, 8>(a, n);
    for (; n + 3 <= end; n += 3) rows_of<dtype, 3>(a, n);
    for (; n < end; ++n) rows_of<dtype, 1>(a, n);
    a.x += kTokens * a.x_stride, a.out += kTokens * a.out_stride;
  }
}

}  // namespace

void linear(const PlainLinearArgs& a, int64_t begin, int64_t end) {
  switch (a.dtype) {
    case DType::bf16:
      return linear_of<DType::bf16>(a, begin, end);
    case DType::f16:
      return linear_of<DType::f16>(a, begin, end);
    case DType::f32:
      return linear_of<DType::f32>(a, begin, end);
  }
}

}  // namespace quern::avx2

QUERN_TARGET_END

#else

namespace quern::avx2 {
void linear(const PlainLinearArgs& a, int64_t begin, int64_t end) { scalar::linear(a, begin, end); }
}  // namespace quern::avx2

#endif
