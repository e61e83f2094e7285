// The inner loops of attention over vectors of any width. Included inside the brackets of an instruction set (kernels/target.h), so that
// each has a copy of its own. V has
//   Register, kLanes, zero, broadcast, load, store, fma (a b + c), mul, sum (in an order that is always the same)
//   converted<format>(at, i)      kLanes elements from i on of the vector at `at`, int8 without their scale
//   kScoreHeads                   query heads whose scores stay in registers while a pair of keys is loaded and converted once for all
//   kValueHeads, kValueVectors    heads, and registers of each, whose outputs stay in registers over a page of values
// A head's result does not depend on which heads are beside it.
#pragma once

#include "kernels/attention/inner.h"
#include "kernels/attention/inner_groups.h"

namespace quern {
namespace {

inline float scaled(const KvVectors& from, int64_t p, float factor) { return from.scales ? factor * from.scales[p] : factor; }

// `heads` queries and `positions` keys, every product in a register of its own.
template <class V, KvFormat format, int heads, int positions>
inline void score_tile(const KvVectors& k, int64_t p, const float* q, int64_t q_stride, int64_t head_dim, float scale,
                       float* scores) {
  typename V::Register sums[heads][positions];
  for (auto& of_head : sums)
    for (auto& sum : of_head) sum = V::zero();
  for (int64_t i = 0; i < head_dim; i += V::kLanes) {
    typename V::Register keys[positions];
    for (int j = 0; j < positions; ++j) keys[j] = V::template converted<format>(k.values + (p + j) * k.stride, i);
    for (int h = 0; h < heads; ++h) {
      const auto query = V::load(q + h * q_stride + i);
      for (int j = 0; j < positions; ++j) sums[h][j] = V::fma(query, keys[j], sums[h][j]);
    }
  }
  for (int h = 0; h < heads; ++h)
    for (int j = 0; j < positions; ++j) scores[h * kKvPagePositions + p + j] = V::sum(sums[h][j]) * scaled(k, p + j, scale);
}

template <class V, KvFormat format, int heads>
void score_heads(const KvVectors& k, int64_t count, const float* q, int64_t q_stride, int64_t head_dim, float scale,
                 float* scores) {
  int64_t p = 0;
  for (; p + 2 <= count; p += 2) score_tile<V, format, heads, 2>(k, p, q, q_stride, head_dim, scale, scores);
  if (p < count) score_tile<V, format, heads, 1>(k, p, q, q_stride, head_dim, scale, scores);
}

// kLanes * vectors dimensions from i on.
template <class V, KvFormat format, int heads, int vectors>
inline void value_tile(const KvVectors& v, int64_t count, const float* weights, const float* factors, int64_t i, float* out,
                       int64_t out_stride) {
  typename V::Register sums[heads][vectors];
  for (int h = 0; h < heads; ++h)
    for (int j = 0; j < vectors; ++j)
      sums[h][j] = V::mul(V::load(out + h * out_stride + i + V::kLanes * j), V::broadcast(factors[h]));
  for (int64_t p = 0; p < count; ++p) {
    typename V::Register values[vectors];
    for (int j = 0; j < vectors; ++j) values[j] = V::template converted<format>(v.values + p * v.stride, i + V::kLanes * j);
    for (int h = 0; h < heads; ++h) {
      const auto weight = V::broadcast(weights[h * kKvPagePositions + p]);
      for (int j = 0; j < vectors; ++j) sums[h][j] = V::fma(weight, values[j], sums[h][j]);
    }
  }
  for (int h = 0; h < heads; ++h)
    for (int j = 0; j < vectors; ++j) V::store(out + h * out_stride + i + V::kLanes * j, sums[h][j]);
}

template <class V, KvFormat format, int heads>
void value_heads(const KvVectors& v, int64_t count, const float* weights, const float* factors, int64_t head_dim, float* out,
                 int64_t out_stride) {
  float with_scales[heads * kKvPagePositions];
  if (v.scales) {
    for (int h = 0; h < heads; ++h)
      for (int64_t p = 0; p < count; ++p) with_scales[h * kKvPagePositions + p] = scaled(v, p, weights[h * kKvPagePositions + p]);
    weights = with_scales;
  }
  constexpr int kStep = V::kLanes * V::kValueVectors;
  int64_t i = 0;
  for (; i + kStep <= head_dim; i += kStep)
    value_tile<V, format, heads, V::kValueVectors>(v, count, weights, factors, i, out, out_stride);
  for (; i < head_dim; i += V::kLanes) value_tile<V, format, heads, 1>(v, count, weights, factors, i, out, out_stride);
}

template <class V, KvFormat format>
void scores_of(const KvVectors& k, int64_t count, const Queries& q, int64_t head_dim, float scale, float* scores) {
  in_groups<V::kScoreHeads>(q.heads, 0, [&]<int some>(int64_t h) {
    score_heads<V, format, some>(k, count, q.values + h * q.stride, q.stride, head_dim, scale, scores + h * kKvPagePositions);
  });
}
template <class V, KvFormat format>
void values_of(const KvVectors& v, int64_t count, const float* weights, const float* factors, int64_t heads, int64_t head_dim,
               float* out, int64_t out_stride) {
  in_groups<V::kValueHeads>(heads, 0, [&]<int some>(int64_t h) {
    value_heads<V, format, some>(v, count, weights + h * kKvPagePositions, factors + h, head_dim, out + h * out_stride, out_stride);
  });
}

template <class V>
void scores_by(const KvVectors& k, int64_t count, const Queries& q, int64_t head_dim, float scale, float* scores) {
  const auto of = k.format == KvFormat::f32    ? scores_of<V, KvFormat::f32>
                  : k.format == KvFormat::bf16 ? scores_of<V, KvFormat::bf16>
                                               : scores_of<V, KvFormat::int8>;
  of(k, count, q, head_dim, scale, scores);
}
template <class V>
void add_values_by(const KvVectors& v, int64_t count, const float* weights, const float* factors, int64_t heads, int64_t head_dim,
                   float* out, int64_t out_stride) {
  const auto of = v.format == KvFormat::f32    ? values_of<V, KvFormat::f32>
                  : v.format == KvFormat::bf16 ? values_of<V, KvFormat::bf16>
                                               : values_of<V, KvFormat::int8>;
  of(v, count, weights, factors, heads, head_dim, out, out_stride);
}

}  // namespace
}  // namespace quern
