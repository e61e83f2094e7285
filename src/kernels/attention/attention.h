// Causal grouped-query attention over a paged kv cache, and the cache's page format.
//   A page holds kKvPagePositions positions of one layer: K [kv_heads, positions, head_dim], then V likewise, in the page's format;
//   int8 pages end with the scales, f32, K [kv_heads, positions], then V: value = scale * code. What is read for one head
//   lies together, which took a quarter off one token's time at a depth of 32,768.
//
// Positions are taken in blocks of kBlock. A block is attended to page by page with a running maximum (the online softmax of Milakov and
// Gimelshein, arXiv 1805.02867; Dao et al., arXiv 2205.14135), all query heads of a kv head together, so that a page is read once for all
// of them. The blocks' results are then joined in order. Blocks and pages begin at fixed positions: a result depends on the query and the
// positions up to it alone, neither on the tokens beside it nor on which thread took which block.
//
// With Isa::amx, bf16 or int8 pages and a head_dim that is a multiple of 32, a block is two products of matrices instead, over all of its
// pages at once (tile_attention.h). What a block found is then another thing: every function of a call must be given the same Isa.
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
  // Positions: few enough that a decoded token has work for several threads, many beside what joining a block costs (less than 1 %).
  static constexpr int64_t kBlock = 512;

  int64_t tokens = 0, heads = 0, kv_heads = 0, head_dim = 0;
  const float* q_gate = nullptr;  // [tokens, heads, 2 * head_dim]: query, then output gate
  int64_t q_stride = 0;
  KvFormat format = KvFormat::f32;
  std::span<const KvPage> pages;
  int64_t first_position = 0;  // of the first token; token t attends to positions 0 .. first_position + t
  float* out = nullptr;        // [tokens, heads, head_dim] = sigmoid(gate) * attention
  int64_t out_stride = 0;

  int64_t group() const { return heads / kv_heads; }  // query heads of a kv head
  int64_t blocks() const { return (first_position + tokens + kBlock - 1) / kBlock; }
  // Of what one token's query heads of one kv head find in one block: for each head its maximum and sum, then its output.
  int64_t partial_size() const { return group() * (2 + head_dim); }
};

// Tokens that should share a reading of the pages, where `workers` threads are to have a part of the call each.
int64_t attention_tokens(Isa isa, const AttentionArgs& args, int64_t workers);

// Tokens [begin, end), query heads of one kv head: all of it.
void attention(Isa isa, const AttentionArgs& args, int64_t begin, int64_t end, int64_t kv_head);

// The same by parts, for few tokens behind many positions; bit for bit what attention() computes.
// What tokens [begin, end) find in `block`: token t's at partials + (t - begin) * stride. A token before the block finds nothing.
void attention_block(Isa isa, const AttentionArgs& args, int64_t begin, int64_t end, int64_t kv_head, int64_t block,
                     float* partials, int64_t stride);
// Adds what one token found in `block` to what it found in those before.
void attention_join(Isa isa, const AttentionArgs& args, int64_t token, int64_t block, float* partial, const float* of_block);
// What one token found in all blocks, to its output.
void attention_finish(Isa isa, const AttentionArgs& args, int64_t token, int64_t kv_head, const float* partial);

}  // namespace quern
