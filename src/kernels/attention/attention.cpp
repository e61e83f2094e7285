// The structure of the computation; the inner loops come in scalar, AVX2 and AVX-512 versions, and one of bf16 products (inner.h). With AMX
// all of it is another computation (tile_attention.h).
#include "kernels/attention/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/activations/activations.h"
#include "kernels/attention/inner.h"
#include "kernels/scratch.h"
#include "tensor/dtype.h"

namespace quern {
namespace {

size_t element_bytes(KvFormat format) { return format == KvFormat::f32 ? 4 : format == KvFormat::bf16 ? 2 : 1; }

// Where one vector of head_dim values lies in a page, and its scale.
struct Slot {
  std::byte* values;
  std::byte* scale;  // int8 only
};

Slot slot_of(KvFormat format, int64_t kv_heads, int64_t head_dim, const KvPage& page, KvPart part, int64_t slot, int64_t head) {
  const int64_t index = ((part == KvPart::value ? kv_heads : 0) + head) * kKvPagePositions + slot;
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

// One token's query heads of one kv head, so far: [group], [group], [group, head_dim].
template <class T>
struct PartialOf {
  T *highest, *sum, *out;
  PartialOf(const AttentionArgs& a, T* at) : highest(at), sum(at + a.group()), out(at + 2 * a.group()) {}
};
using Partial = PartialOf<float>;

// Tokens [begin, end) at the pages of a kv head, page by page, step by step for all of them, so that keys, then values, are read from the
// nearest cache.
class AtPages {
 public:
  AtPages(Isa isa, const AttentionArgs& args, int64_t begin, int64_t end, int64_t kv_head)
      : inner_(attention_inner(isa, args.format, args.head_dim)), a_(args), begin_(begin), end_(end), kv_head_(kv_head) {
    thread_local Scratch scores, factors, packed;
    const int64_t tokens = end - begin;
    scores_ = scores.grown<float>(tokens * AttentionInner::score_size(a_.group()));
    factors_ = factors.grown<float>(tokens * a_.group());
    if (!inner_.pack) return;
    packed_ = packed.grown<uint32_t>(tokens * packed_size());
    for (int64_t t = begin; t < end; ++t) inner_.pack(queries(t), a_.head_dim, packed_ + (t - begin) * packed_size());
  }

  // What they find in a block.
  void run_block(int64_t block, float* partials, int64_t stride) const {
    const auto partial = [&](int64_t t) { return Partial(a_, partials + (t - begin_) * stride); };
    for (int64_t t = begin_; t < end_; ++t) {
      std::fill_n(partial(t).highest, a_.group(), -std::numeric_limits<float>::infinity());
      std::fill_n(partial(t).sum, a_.group() * (1 + a_.head_dim), 0.0f);
    }
    constexpr int64_t kPages = AttentionArgs::kBlock / kKvPagePositions;
    for (int64_t page = block * kPages; page < (block + 1) * kPages && page * kKvPagePositions < a_.first_position + end_; ++page)
      run_page(page, partial);
    if (inner_.order)
      for (int64_t t = begin_; t < end_; ++t) inner_.order(partial(t).out, a_.group() * a_.head_dim);
  }

 private:
  template <class PartialOfToken>
  void run_page(int64_t page, const PartialOfToken& partial) const {
    KvVectors k = kv_vectors(a_, page, KvPart::key, kv_head_), v = kv_vectors(a_, page, KvPart::value, kv_head_);
    const int64_t first = page * kKvPagePositions;
    k.ahead = v.values;
    // Behind a block's last page, too: who has taken this block most likely takes the next.
    if (first + kKvPagePositions < a_.first_position + end_) v.ahead = kv_vectors(a_, page + 1, KvPart::key, kv_head_).values;
    const int64_t begin = std::max(begin_, first - a_.first_position);  // those before it do not see the page
    const auto count = [&](int64_t t) { return std::min(kKvPagePositions, a_.first_position + t + 1 - first); };
    const float scale = 1.0f / std::sqrt(static_cast<float>(a_.head_dim));
    for (int64_t t = begin; t < end_; ++t, k.ahead = nullptr)  // for the others it is there
      inner_.scores(k, count(t), queries(t), a_.head_dim, scale, scores(t));
    for (int64_t t = begin; t < end_; ++t)
      inner_.soften(count(t), a_.group(), scores(t), partial(t).highest, partial(t).sum, factors(t));
    for (int64_t t = begin; t < end_; ++t, v.ahead = nullptr)
      inner_.add_values(v, count(t), scores(t), factors(t), a_.group(), a_.head_dim, partial(t).out, a_.head_dim);
  }

  int64_t packed_size() const { return AttentionInner::packed_size(a_.group(), a_.head_dim); }
  Queries queries(int64_t t) const {
    return {.values = a_.q_gate + t * a_.q_stride + kv_head_ * a_.group() * 2 * a_.head_dim,
            .stride = 2 * a_.head_dim,
            .heads = a_.group(),
            .packed = packed_ ? packed_ + (t - begin_) * packed_size() : nullptr};
  }
  float* scores(int64_t t) const { return scores_ + (t - begin_) * AttentionInner::score_size(a_.group()); }
  float* factors(int64_t t) const { return factors_ + (t - begin_) * a_.group(); }

  const AttentionInner& inner_;
  const AttentionArgs& a_;
  int64_t begin_, end_, kv_head_;
  float *scores_, *factors_;
  uint32_t* packed_ = nullptr;
};

const AttentionTiles* tiles_of(Isa isa, const AttentionArgs& a) {
  return isa == Isa::amx && fits_tiles(a) ? &amx::attention_tiles : nullptr;
}

}  // namespace

bool fits_tiles(const AttentionArgs& a) { return a.format != KvFormat::f32 && a.head_dim % 32 == 0; }

KvVectors kv_vectors(const AttentionArgs& a, int64_t page, KvPart part, int64_t kv_head) {
  const Slot first = slot_of(a.format, a.kv_heads, a.head_dim, a.pages[static_cast<size_t>(page)], part, 0, kv_head);
  KvVectors vectors{
      .format = a.format, .values = first.values, .stride = a.head_dim * static_cast<int64_t>(element_bytes(a.format))};
  // Pages are allocated, and the scales lie behind a multiple of 128 elements: they are aligned.
  if (a.format == KvFormat::int8) vectors.scales = reinterpret_cast<const float*>(first.scale);
  return vectors;
}

size_t kv_page_bytes(KvFormat format, int64_t kv_heads, int64_t head_dim) {
  const int64_t vectors = 2 * kKvPagePositions * kv_heads;
  return static_cast<size_t>(vectors * head_dim) * element_bytes(format) +
         (format == KvFormat::int8 ? static_cast<size_t>(vectors) * 4 : 0);
}

void kv_store(KvFormat format, int64_t kv_heads, int64_t head_dim, const KvPage& page, int64_t slot, const float* k,
              const float* v) {
  for (int64_t h = 0; h < kv_heads; ++h) {
    store_vector(format, k + h * head_dim, head_dim, slot_of(format, kv_heads, head_dim, page, KvPart::key, slot, h));
    store_vector(format, v + h * head_dim, head_dim, slot_of(format, kv_heads, head_dim, page, KvPart::value, slot, h));
  }
}

void attention_block(Isa isa, const AttentionArgs& a, int64_t begin, int64_t end, int64_t kv_head, int64_t block, float* partials,
                     int64_t stride) {
  if (const AttentionTiles* tiles = tiles_of(isa, a)) return tiles->block(a, begin, end, kv_head, block, partials, stride);
  AtPages(isa, a, begin, end, kv_head).run_block(block, partials, stride);
}

void attention_join(Isa isa, const AttentionArgs& a, int64_t token, int64_t block, float* partial, const float* of_block) {
  if (const AttentionTiles* tiles = tiles_of(isa, a)) return tiles->join(a, token, block, partial, of_block);
  if (block * AttentionArgs::kBlock > a.first_position + token) return;
  const Partial all(a, partial);
  const PartialOf<const float> next(a, of_block);
  for (int64_t h = 0; h < a.group(); ++h) {
    if (next.highest[h] == -std::numeric_limits<float>::infinity()) continue;
    const float highest = std::max(all.highest[h], next.highest[h]), old_factor = std::exp(all.highest[h] - highest),
                factor = std::exp(next.highest[h] - highest);
    float* out = all.out + h * a.head_dim;
    const float* more = next.out + h * a.head_dim;
    for (int64_t i = 0; i < a.head_dim; ++i) out[i] = out[i] * old_factor + more[i] * factor;
    all.sum[h] = all.sum[h] * old_factor + next.sum[h] * factor;
    all.highest[h] = highest;
  }
}

void attention_finish(Isa isa, const AttentionArgs& a, int64_t token, int64_t kv_head, const float* partial) {
  const PartialOf<const float> all(a, partial);
  for (int64_t h = 0; h < a.group(); ++h)
    attention_output(isa, a, token, kv_head * a.group() + h, all.out + h * a.head_dim, all.sum[h]);
}

void attention_output(Isa isa, const AttentionArgs& a, int64_t token, int64_t head, const float* values, float sum) {
  float* out = a.out + token * a.out_stride + head * a.head_dim;
  std::copy_n(values, a.head_dim, out);
  const float* gate = a.q_gate + token * a.q_stride + head * 2 * a.head_dim + a.head_dim;
  sigmoid_mul(isa, out, 1.0f / sum, gate, a.head_dim);
}

int64_t attention_tokens(Isa isa, const AttentionArgs& a, int64_t workers) {
  // Tiles transpose values once for all that share them, and loops read keys and values from the nearest cache.
  constexpr int64_t kFew = 8, kLoops = 32, kTiles = 64;
  return std::clamp(a.tokens * a.kv_heads / std::max(workers, int64_t{1}) / kFew * kFew, kFew, tiles_of(isa, a) ? kTiles : kLoops);
}

void attention(Isa isa, const AttentionArgs& a, int64_t begin, int64_t end, int64_t kv_head) {
  if (const AttentionTiles* tiles = tiles_of(isa, a)) return tiles->attention(a, begin, end, kv_head);
  const int64_t size = a.partial_size();
  thread_local Scratch scratch;
  float *const all = scratch.grown<float>(2 * (end - begin) * size), *const next = all + (end - begin) * size;
  const AtPages at_pages(isa, a, begin, end, kv_head);
  at_pages.run_block(0, all, size);
  for (int64_t block = 1; block * AttentionArgs::kBlock < a.first_position + end; ++block) {
    at_pages.run_block(block, next, size);
    for (int64_t t = begin; t < end; ++t) attention_join(isa, a, t, block, all + (t - begin) * size, next + (t - begin) * size);
  }
  for (int64_t t = begin; t < end; ++t) attention_finish(isa, a, t, kv_head, all + (t - begin) * size);
}

}  // namespace quern
