// The structure of the computation; the three inner loops (dot, axpy, unpack) come in scalar and AVX2 versions (inner.h).
#include "kernels/attention/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/activations/activations.h"
#include "kernels/attention/inner.h"
#include "tensor/dtype.h"

namespace quern {
namespace {

size_t element_bytes(KvFormat format) { return format == KvFormat::f32 ? 4 : format == KvFormat::bf16 ? 2 : 1; }

// Where one vector of head_dim values lies in a page, and its scale.
struct Slot {
  std::byte* values;
  std::byte* scale;  // int8 only
};
enum class Part { key, value };

Slot slot_of(KvFormat format, int64_t kv_heads, int64_t head_dim, const KvPage& page, Part part, int64_t slot, int64_t head) {
  const int64_t index = ((part == Part::value ? kKvPagePositions : 0) + slot) * kv_heads + head;
  const auto size = static_cast<int64_t>(element_bytes(format));
  return {page.data + index * head_dim * size, page.data + 2 * kKvPagePositions * kv_heads * head_dim * size + index * 4};
}

void store_vector(KvFormat format, const float* x, int64_t n, const Slot& to) {
  if (format == KvFormat::f32) {
    std::memcpy(to.values, x, static_cast<size_t>(n) * 4);
  } else if (format == KvFormat::bf16) {
    for (int64_t i = 0; i < n; ++i) {
      const uint16_t bits = f32_to_bf16(x[i]);
      std::memcpy(to.values + 2 * i, &bits, 2);
    }
  } else {
    float highest = 0;
    for (int64_t i = 0; i < n; ++i) highest = std::max(highest, std::abs(x[i]));
    const float scale = highest / 127.0f;
    std::memcpy(to.scale, &scale, 4);
    // A scale among the subnormals was rounded by up to a third: the quotient passes 127, and clamped it keeps its sign.
    const auto code = [&](float value) { return static_cast<int8_t>(std::lrint(std::clamp(value / scale, -127.0f, 127.0f))); };
    for (int64_t i = 0; i < n; ++i) to.values[i] = static_cast<std::byte>(scale > 0 ? code(x[i]) : 0);
  }
}

// The vector as f32: in place for f32 pages, else unpacked into `buffer`.
const float* unpack(const AttentionInner& inner, KvFormat format, const Slot& from, int64_t n, float* buffer) {
  if (format == KvFormat::f32) return reinterpret_cast<const float*>(from.values);  // pages are allocated, hence aligned
  if (format == KvFormat::bf16)
    inner.unpack_bf16(from.values, n, buffer);
  else {
    float scale;
    std::memcpy(&scale, from.scale, 4);
    inner.unpack_int8(from.values, scale, n, buffer);
  }
  return buffer;
}

}  // namespace

size_t kv_page_bytes(KvFormat format, int64_t kv_heads, int64_t head_dim) {
  const int64_t vectors = 2 * kKvPagePositions * kv_heads;
  return static_cast<size_t>(vectors * head_dim) * element_bytes(format) +
         (format == KvFormat::int8 ? static_cast<size_t>(vectors) * 4 : 0);
}

void kv_store(KvFormat format, int64_t kv_heads, int64_t head_dim, const KvPage& page, int64_t slot, const float* k,
              const float* v) {
  for (int64_t h = 0; h < kv_heads; ++h) {
    store_vector(format, k + h * head_dim, head_dim, slot_of(format, kv_heads, head_dim, page, Part::key, slot, h));
    store_vector(format, v + h * head_dim, head_dim, slot_of(format, kv_heads, head_dim, page, Part::value, slot, h));
  }
}

int64_t attention_scratch(const AttentionArgs& a) { return a.first_position + a.tokens + a.head_dim; }

void attention(Isa isa, const AttentionArgs& a, int64_t begin, int64_t end, float* scratch) {
  const AttentionInner& inner = attention_inner(isa);
  const float scale = 1.0f / std::sqrt(static_cast<float>(a.head_dim));
  float* scores = scratch + a.head_dim;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t t = item / a.heads, h = item % a.heads, kv_head = h / (a.heads / a.kv_heads), count = a.first_position + t + 1;
    const float* q = a.q_gate + t * a.q_stride + h * 2 * a.head_dim;
    const float* gate = q + a.head_dim;
    float* out = a.out + t * a.out_stride + h * a.head_dim;
    const auto vector_at = [&](Part part, int64_t position) {
      const Slot slot = slot_of(a.format, a.kv_heads, a.head_dim, a.pages[static_cast<size_t>(position / kKvPagePositions)], part,
                                position % kKvPagePositions, kv_head);
      return unpack(inner, a.format, slot, a.head_dim, scratch);
    };
    float highest = -INFINITY;
    for (int64_t s = 0; s < count; ++s) {
      scores[s] = inner.dot(q, vector_at(Part::key, s), a.head_dim) * scale;
      highest = std::max(highest, scores[s]);
    }
    double sum = 0;
    for (int64_t s = 0; s < count; ++s) {
      scores[s] = std::exp(scores[s] - highest);
      sum += static_cast<double>(scores[s]);
    }
    std::fill(out, out + a.head_dim, 0.0f);
    for (int64_t s = 0; s < count; ++s) inner.axpy(scores[s], vector_at(Part::value, s), a.head_dim, out);
    const auto inverse = static_cast<float>(1.0 / sum);
    for (int64_t i = 0; i < a.head_dim; ++i) out[i] = out[i] * inverse * sigmoid(gate[i]);
  }
}

}  // namespace quern
