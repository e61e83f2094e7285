// Causal grouped-query attention over a paged kv cache, and the cache's page format.
//   A page holds kKvPagePositions positions of one layer: K [positions, kv_heads, head_dim], then V likewise, in the page's format;
//   int8 pages end with the scales, f32, K [positions, kv_heads], then V: value = scale * code.
// Softmax in f32, in two passes over the positions in ascending order: a result depends on the query and the positions up to it alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/cpu_features.h"

namespace quern {

enum class KvFormat { f32, bf16, int8 };

inline constexpr int64_t kKvPagePositions = 64;

struct KvPage {
  std::byte* data = nullptr;
};

size_t kv_page_bytes(KvFormat format, int64_t kv_heads, int64_t head_dim);

// Stores k, v [kv_heads, head_dim] of one position.
void kv_store(KvFormat format, int64_t kv_heads, int64_t head_dim, const KvPage& page, int64_t slot, const float* k,
              const float* v);

struct AttentionArgs {
  int64_t tokens = 0, heads = 0, kv_heads = 0, head_dim = 0;
  const float* q_gate = nullptr;  // [tokens, heads, 2 * head_dim]: query, then output gate
  int64_t q_stride = 0;
  KvFormat format = KvFormat::f32;
  std::span<const KvPage> pages;
  int64_t first_position = 0;  // of the first token; token t attends to positions 0 .. first_position + t
  float* out = nullptr;        // [tokens, heads, head_dim] = sigmoid(gate) * attention
  int64_t out_stride = 0;

  int64_t items() const { return tokens * heads; }
};

// Items [begin, end) of tokens * heads. scratch: attention_scratch(args) floats, one per thread.
int64_t attention_scratch(const AttentionArgs& args);
void attention(Isa isa, const AttentionArgs& args, int64_t begin, int64_t end, float* scratch);

}  // namespace quern
