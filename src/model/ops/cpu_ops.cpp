#include "model/ops/cpu_ops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include "base/check.h"
#include "kernels/activations/activations.h"
#include "kernels/attention/attention.h"
#include "kernels/gated_delta/gated_delta.h"
#include "kernels/linear/linear.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rope/rope.h"
#include "kernels/router/router.h"
#include "kernels/short_conv/short_conv.h"

namespace quern {
namespace {

// Rows that one task takes of `matrices` equally large matrices. Four tasks for each thread, between five microseconds, which is far above
// the cost of handing one out, and some forty; of large matrices more, thirty-two for each thread: at the start of each, memory is waited for.
int64_t linear_grain(int64_t rows, int64_t k, int64_t tokens, int threads, int64_t matrices = 1) {
  static_assert(kQuantLinearRows == 16);
  const int64_t strips = (rows + 15) / 16, all = strips * matrices,
                work = 16 * std::max<int64_t>(1, k) * std::clamp<int64_t>(tokens, 1, 8);
  const auto least = [&](int64_t products) { return std::clamp<int64_t>(products / work, 1, 128); };
  const int64_t shared_out = std::clamp(all / (4 * threads), least(65536), least(524288));
  return 16 * std::max(shared_out, all / (32 * threads));
}

void check_product(Tensor x, const Weight& weight, Tensor out) {
  QUERN_CHECK(x.cols == weight.cols() && out.cols == weight.rows() && x.rows == out.rows, x.rows, x.cols, weight.rows(),
              weight.cols(), out.rows, out.cols);
}

LinearArgs linear_args(Tensor x, const Weight& weight, Tensor out) {
  check_product(x, weight, out);
  return {.x = x.data, .tokens = x.rows, .x_stride = x.stride, .weight = &weight, .out = out.data, .out_stride = out.stride};
}

}  // namespace

int64_t CpuOps::row_grain(int64_t rows, int64_t most) const { return std::clamp<int64_t>(rows / (2 * pool_.size()), 1, most); }

void CpuOps::embed(std::span<const int32_t> ids, const Weight& table, Tensor out) {
  QUERN_CHECK(out.cols == table.cols() && out.rows == static_cast<int64_t>(ids.size()), out.rows, out.cols, table.cols());
  pool_.parallel_for(out.rows, row_grain(out.rows, 16), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t id = ids[static_cast<size_t>(t)];
      QUERN_CHECK(0 <= id && id < table.rows(), id, table.rows());
      table.decode_row(id, out.row(t));
    }
  });
}

void CpuOps::rms_norm(Tensor x, const Vector& weight, float eps, Tensor out) {
  QUERN_CHECK(x.cols == static_cast<int64_t>(weight.size()) && x.rows == out.rows, x.cols, weight.size());
  pool_.parallel_for(x.rows, row_grain(x.rows, 8), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) quern::rms_norm(isa_, x.row(t), weight.data(), eps, x.cols, out.row(t));
  });
}

void CpuOps::add(Tensor residual, Tensor x) {
  pool_.parallel_for(x.rows, row_grain(x.rows, 16), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      for (int64_t i = 0; i < x.cols; ++i) residual.row(t)[i] += x.row(t)[i];
  });
}

void CpuOps::add_form(const Weight& weight, Forms& forms) const {
  if (has_quant_linear(isa_, weight.format()))
    forms.coded[static_cast<size_t>(input_form(isa_, weight))] = true;
  else
    forms.floats = true;
}

CpuOps::Inputs CpuOps::make_room(const Forms& forms, int64_t tokens, int64_t cols, Coded& memory) {
  Inputs in;
  for (size_t i = 0; i < 2; ++i) {
    const bool rows = forms.coded[i], tiles = forms.coded[2 + i];
    if (rows || (i == 0 && forms.any_tiles())) memory.rows[i].resize(tokens, cols);
    if (rows) in.rows[i] = &memory.rows[i];
    if (tiles) memory.tiles[i].resize(tokens, cols), in.tiles[i] = &memory.tiles[i];
  }
  return in;
}

void CpuOps::quantise_row(const float* x, const Forms& forms, Coded& memory, int64_t t) const {
  if (forms.coded[static_cast<size_t>(InputForm::rows)] || forms.any_tiles())
    quantize_activations(isa_, x, CodeOrder::natural, memory.rows[0], t);
  if (forms.coded[static_cast<size_t>(InputForm::even_odd_rows)])
    quantize_activations(isa_, x, CodeOrder::even_odd, memory.rows[1], t);
}

void CpuOps::pack_tile(const Forms& forms, TokenTile tile, Coded& memory) {
  if (!forms.any_tiles()) return;
  Int8Row rows[kTokenTile];
  for (int64_t t = 0; t < tile.count; ++t) rows[t] = memory.rows[0].row(tile.first + t);
  for (const InputForm form : {InputForm::offset_tiles, InputForm::e2m1_tiles})
    if (const auto i = static_cast<size_t>(form); forms.coded[i]) memory.tiles[i - 2].pack(form, tile, rows);
}

CpuOps::Inputs CpuOps::inputs_of(Tensor x, const Forms& forms) {
  Inputs in = make_room(forms, x.rows, x.cols, coded_);
  in.floats = x;
  if (std::none_of(std::begin(forms.coded), std::end(forms.coded), [](bool wanted) { return wanted; })) return in;
  pool_.parallel_for(token_tiles(x.rows), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const TokenTile tile = token_tile(0, x.rows, i);
      for (int64_t t = tile.first; t < tile.first + tile.count; ++t) quantise_row(x.row(t), forms, coded_, t);
      pack_tile(forms, tile, coded_);
    }
  });
  return in;
}

void CpuOps::multiply(const Inputs& in, int64_t first, const Weight& weight, Tensor out, int64_t begin, int64_t end) const {
  if (!has_quant_linear(isa_, weight.format()))
    return quern::linear(isa_, linear_args(in.floats.row_range(first, first + out.rows), weight, out), begin, end);
  const auto form = static_cast<size_t>(input_form(isa_, weight));
  quant_linear(isa_,
               {.x = form < 2 ? in.rows[form] : nullptr,
                .tiles = form < 2 ? nullptr : in.tiles[form - 2],
                .first_token = first,
                .tokens = out.rows,
                .weight = &weight,
                .out = out.data,
                .out_stride = out.stride},
               begin, end);
}

void CpuOps::linear(Tensor x, const Weight& weight, Tensor out) { linears(x, std::array<Product, 1>{{{&weight, out}}}); }

void CpuOps::linears(Tensor x, std::span<const Product> products) {
  Forms forms;
  int64_t rows = 0;
  for (const Product& product : products) {
    check_product(x, *product.weight, product.out);
    add_form(*product.weight, forms);
    rows += product.weight->rows();
  }
  const Inputs in = inputs_of(x, forms);
  // Parts of all of them, one after the other.
  const int64_t grain = linear_grain(rows, x.cols, x.rows, pool_.size());
  const auto parts = [&](const Product& product) { return (product.weight->rows() + grain - 1) / grain; };
  int64_t all = 0;
  for (const Product& product : products) all += parts(product);
  pool_.parallel_for(all, 1, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      int64_t part = item;
      const Product* product = products.data();
      for (; part >= parts(*product); ++product) part -= parts(*product);
      const int64_t row = part * grain;
      multiply(in, 0, *product->weight, product->out, row, std::min(row + grain, product->weight->rows()));
    }
  });
}

void CpuOps::norm_rope(Tensor x, int64_t heads, int64_t head_stride, const Vector& weight, float eps, const RopeTable& table) {
  const auto head_dim = static_cast<int64_t>(weight.size());
  QUERN_CHECK(x.cols == heads * head_stride && head_dim <= head_stride && 2 * table.cos.cols <= head_dim, x.cols, heads,
              head_stride, head_dim);
  pool_.parallel_for(x.rows, row_grain(x.rows, 4), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      for (int64_t h = 0; h < heads; ++h) {
        float* head = x.row(t) + h * head_stride;
        quern::rms_norm(isa_, head, weight.data(), eps, head_dim, head);
        rope_apply(head, table.cos.row(t), table.sin.row(t), table.cos.cols);
      }
  });
}

namespace {

// Calls f(sequence, row) for each row of each sequence.
template <class Sequence, class F>
void for_each_row(ThreadPool& pool, std::span<const Sequence> sequences, int64_t rows, int64_t grain, const F& f) {
  pool.parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
    auto s =
        std::upper_bound(sequences.begin(), sequences.end(), begin, [](int64_t row, const Sequence& of) { return row < of.end; });
    for (int64_t row = begin; row < end; ++row) {
      while (row >= s->end) ++s;
      f(*s, row);
    }
  });
}

}  // namespace

void CpuOps::append_kv(Tensor k, Tensor v, std::span<const CachedRows> sequences) {
  for (const CachedRows& s : sequences) s.cache->extend(s.first, s.end - s.begin);
  for_each_row(pool_, sequences, k.rows, row_grain(k.rows, 8), [&](const CachedRows& s, int64_t row) {
    const KvCache& cache = *s.cache;
    const int64_t position = s.first + row - s.begin;
    kv_store(cache.format(), cache.kv_heads(), cache.head_dim(), cache.pages()[static_cast<size_t>(position / kKvPagePositions)],
             position % kKvPagePositions, k.row(row), v.row(row));
  });
}

void CpuOps::attention(Tensor q_gate, std::span<const CachedRows> sequences, Tensor out) {
  constexpr int64_t kFew = 8, kTokens = 4;
  std::vector<AttentionArgs> all;
  int64_t parts = 0;
  for (const CachedRows& s : sequences) {
    const Tensor q = q_gate.row_range(s.begin, s.end), o = out.row_range(s.begin, s.end);
    all.push_back({.tokens = q.rows,
                   .heads = o.cols / s.cache->head_dim(),
                   .kv_heads = s.cache->kv_heads(),
                   .head_dim = s.cache->head_dim(),
                   .q_gate = q.data,
                   .q_stride = q.stride,
                   .format = s.cache->format(),
                   .pages = s.cache->pages(),
                   .first_position = s.first,
                   .out = o.data,
                   .out_stride = o.stride});
    parts += (q.rows + kFew - 1) / kFew * s.cache->kv_heads();
  }
  // Tiles of tokens; where those are too few for the threads, or few tokens are behind many positions, blocks of positions.
  struct Tiles {
    const AttentionArgs* args;
    int64_t together, count;  // tokens of a tile; tiles
  };
  std::vector<Tiles> tiled;
  std::vector<BlockedTokens> blocked;
  std::vector<int64_t> ends;  // of the items of tiled
  for (const AttentionArgs& args : all) {
    if (args.blocks() > 1 && (parts < 2 * pool_.size() || args.tokens <= kTokens)) {
      for (int64_t first = 0; first < args.tokens; first += kTokens)
        blocked.push_back({&args, first, std::min(first + kTokens, args.tokens)});
      continue;
    }
    const int64_t together = attention_tokens(isa_, args, pool_.size());
    tiled.push_back({&args, together, (args.tokens + together - 1) / together});
    ends.push_back((ends.empty() ? 0 : ends.back()) + tiled.back().count * args.kv_heads);
  }
  pool_.parallel_for(ends.empty() ? 0 : ends.back(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const auto at = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), item) - ends.begin());
      const auto& [args, together, count] = tiled[at];
      const int64_t i = item - (at == 0 ? 0 : ends[at - 1]);
      const int64_t token = (count - 1 - i / args->kv_heads) * together;  // later ones first: they attend to more
      quern::attention(isa_, *args, token, std::min(token + together, args->tokens), i % args->kv_heads);
    }
  });
  attention_by_blocks(blocked);
}

// As many at a time as what they find takes little memory.
void CpuOps::attention_by_blocks(std::span<const BlockedTokens> tokens) {
  constexpr size_t kMemory = size_t{16} << 20;  // floats
  const auto of_token = [](const AttentionArgs& a) { return a.kv_heads * a.blocks() * a.partial_size(); };
  for (size_t from = 0, to = 0; from < tokens.size(); from = to) {
    std::vector<BlockedTokens> now;
    std::vector<int64_t> block_ends, join_ends;
    size_t size = 0;
    for (; to < tokens.size(); ++to) {
      BlockedTokens next = tokens[to];
      const AttentionArgs& a = *next.args;
      const auto needed = static_cast<size_t>((next.last - next.first) * of_token(a));
      if (size > 0 && size + needed > kMemory) break;
      next.partials = size;
      size += needed;
      now.push_back(next);
      block_ends.push_back((block_ends.empty() ? 0 : block_ends.back()) + a.kv_heads * a.blocks());
      join_ends.push_back((join_ends.empty() ? 0 : join_ends.back()) + (next.last - next.first) * a.kv_heads);
    }
    float* const partials = partials_.tensor(1, static_cast<int64_t>(size)).data;
    const auto for_items = [&](const std::vector<int64_t>& ends, const auto& f) {
      pool_.parallel_for(ends.back(), 1, [&](int64_t begin, int64_t end) {
        for (int64_t item = begin; item < end; ++item) {
          const auto at = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), item) - ends.begin());
          f(now[at], item - (at == 0 ? 0 : ends[at - 1]));
        }
      });
    };
    for_items(block_ends, [&](const BlockedTokens& t, int64_t item) {
      const AttentionArgs& a = *t.args;
      attention_block(isa_, a, t.first, t.last, item / a.blocks(), item % a.blocks(),
                      partials + t.partials + item * a.partial_size(), of_token(a));
    });
    for_items(join_ends, [&](const BlockedTokens& t, int64_t item) {
      const AttentionArgs& a = *t.args;
      const int64_t token = t.first + item / a.kv_heads, step = a.partial_size();
      float* partial = partials + t.partials + item * a.blocks() * step;
      for (int64_t block = 1; block < a.blocks(); ++block) attention_join(isa_, a, token, block, partial, partial + block * step);
      attention_finish(isa_, a, token, item % a.kv_heads, partial);
    });
  }
}

void CpuOps::split_projections(Tensor qkvz, Tensor ba, const ModelConfig& c, Tensor mixed, Tensor z, Tensor b, Tensor a) {
  const int64_t k_heads = c.linear_num_key_heads, k_dim = c.linear_key_head_dim, group = c.linear_num_value_heads / k_heads;
  const int64_t value_width = group * c.linear_value_head_dim, width = 2 * k_dim + 2 * value_width, key_dim = c.linear_key_dim();
  QUERN_CHECK(qkvz.cols == k_heads * width && ba.cols == k_heads * 2 * group, qkvz.cols, ba.cols);
  pool_.parallel_for(qkvz.rows, row_grain(qkvz.rows, 8), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      for (int64_t h = 0; h < k_heads; ++h) {
        const float* from = qkvz.row(t) + h * width;
        std::copy(from, from + k_dim, mixed.row(t) + h * k_dim);
        std::copy(from + k_dim, from + 2 * k_dim, mixed.row(t) + key_dim + h * k_dim);
        std::copy(from + 2 * k_dim, from + 2 * k_dim + value_width, mixed.row(t) + 2 * key_dim + h * value_width);
        std::copy(from + 2 * k_dim + value_width, from + width, z.row(t) + h * value_width);
        const float* gates = ba.row(t) + h * 2 * group;
        std::copy(gates, gates + group, b.row(t) + h * group);
        std::copy(gates + group, gates + 2 * group, a.row(t) + h * group);
      }
  });
}

void CpuOps::short_conv(Tensor mixed, const Vector& conv1d, std::span<const ConvRows> sequences, Tensor out) {
  QUERN_CHECK(mixed.stride == mixed.cols && out.stride == out.cols, mixed.stride, out.stride);
  constexpr int64_t kChannels = 256;
  const int64_t channels = mixed.cols, taps = static_cast<int64_t>(conv1d.size()) / channels,
                parts = (channels + kChannels - 1) / kChannels;
  pool_.parallel_for(static_cast<int64_t>(sequences.size()) * parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const ConvRows& s = sequences[static_cast<size_t>(item / parts)];
      const int64_t first = item % parts * kChannels, last = std::min(first + kChannels, channels), tokens = s.end - s.begin;
      QUERN_CHECK(s.inputs.stride == channels && s.inputs.rows >= taps - 1, s.inputs.stride, s.inputs.rows);
      quern::short_conv(isa_,
                        {.input = mixed.row(s.begin),
                         .tokens = tokens,
                         .channels = channels,
                         .kernel = taps,
                         .history = s.inputs.row(s.inputs.rows - taps + 1),
                         .weight = conv1d.data(),
                         .out = out.row(s.begin)},
                        first, last);
      const int64_t added = std::min(tokens, s.inputs.rows), kept = s.inputs.rows - added;
      for (int64_t i = 0; i < s.inputs.rows; ++i) {
        const float* from = i < kept ? s.inputs.row(i + added) : mixed.row(s.end - s.inputs.rows + i);
        std::copy(from + first, from + last, s.inputs.row(i) + first);
      }
    }
  });
}

void CpuOps::delta_gates(Tensor b, Tensor a, const Vector& A, const Vector& dt_bias) {
  pool_.parallel_for(b.rows, row_grain(b.rows, 16), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      for (int64_t h = 0; h < b.cols; ++h) {
        b.row(t)[h] = sigmoid(b.row(t)[h]);
        a.row(t)[h] = std::exp(-A[static_cast<size_t>(h)] * softplus(a.row(t)[h] + dt_bias[static_cast<size_t>(h)]));
      }
  });
}

void CpuOps::normalise_qk(Tensor qkv, const ModelConfig& c) {
  const int64_t heads = c.linear_num_key_heads, dim = c.linear_key_head_dim;
  const float q_scale = 1.0f / std::sqrt(static_cast<float>(dim));
  pool_.parallel_for(qkv.rows, row_grain(qkv.rows, 8), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      for (int64_t h = 0; h < 2 * heads; ++h) l2_normalise(isa_, qkv.row(t) + h * dim, dim, h < heads ? q_scale : 1.0f);
  });
}

namespace {

GatedDeltaArgs delta_args(const ModelConfig& c, int64_t tokens, float* state) {
  return {.tokens = tokens,
          .k_heads = c.linear_num_key_heads,
          .v_heads = c.linear_num_value_heads,
          .k_dim = c.linear_key_head_dim,
          .v_dim = c.linear_value_head_dim,
          .state = state};
}

}  // namespace

void CpuOps::gated_delta(Tensor qkv, Tensor g, Tensor beta, const ModelConfig& c, std::span<const DeltaRows> sequences,
                         Tensor out) {
  const auto rows_of = [&](int64_t begin, int64_t end, float* state) {
    GatedDeltaArgs args = delta_args(c, end - begin, state);
    args.q = qkv.row(begin), args.k = args.q + c.linear_key_dim(), args.v = args.k + c.linear_key_dim(),
    args.qkv_stride = qkv.stride;
    args.g = g.row(begin), args.beta = beta.row(begin), args.gate_stride = g.stride;
    args.out = out.row(begin), args.out_stride = out.stride;
    return args;
  };
  // Items of a head share its keys and queries, which are worth it for many tokens; each sequence has as many items as any other.
  const int64_t items = delta_args(c, 0, nullptr).items(), all = items * static_cast<int64_t>(sequences.size());
  const bool long_ones = std::any_of(sequences.begin(), sequences.end(), [](const auto& s) { return s.end - s.begin > 2; });
  const int64_t grain = long_ones ? std::clamp<int64_t>(all / (4 * pool_.size()), 2, 16) : 2, parts = (items + grain - 1) / grain;
  pool_.parallel_for(static_cast<int64_t>(sequences.size()) * parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const DeltaRows& s = sequences[static_cast<size_t>(part / parts)];
      const int64_t first = part % parts * grain, last = std::min(first + grain, items);
      if (s.logged > s.begin) quern::gated_delta(isa_, rows_of(s.begin, s.logged, s.state), first, last);
      GatedDeltaArgs args = rows_of(s.logged, s.end, s.state);
      args.d = s.d.data, args.d_stride = s.d.stride;
      if (s.base) {
        const float *from = args.item(first).state,
                    *to = last < items ? args.item(last).state : s.state + c.linear_value_dim() * c.linear_key_head_dim;
        std::copy(from, to, s.base + (from - s.state));
      }
      quern::gated_delta(isa_, args, first, last);
    }
  });
}

void CpuOps::replay_delta(std::span<const DeltaLog> logs, const ModelConfig& c) {
  constexpr int64_t kGrain = 2;
  const int64_t items = delta_args(c, 0, nullptr).items(), parts = (items + kGrain - 1) / kGrain;
  pool_.parallel_for(static_cast<int64_t>(logs.size()) * parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const DeltaLog& log = logs[static_cast<size_t>(part / parts)];
      GatedDeltaArgs args = delta_args(c, log.k.rows, log.state);
      args.k = log.k.data, args.qkv_stride = log.k.stride, args.g = log.g.data, args.gate_stride = log.g.stride;
      args.d = log.d.data, args.d_stride = log.d.stride;
      const int64_t first = part % parts * kGrain;
      quern::replay_delta(isa_, args, first, std::min(first + kGrain, items));
    }
  });
}

void CpuOps::gated_rms_norm(Tensor x, Tensor z, const Vector& weight, float eps, Tensor out) {
  const auto dim = static_cast<int64_t>(weight.size());
  pool_.parallel_for(x.rows, row_grain(x.rows, 4), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      for (int64_t at = 0; at < x.cols; at += dim)
        quern::gated_rms_norm(isa_, x.row(t) + at, z.row(t) + at, weight.data(), eps, dim, out.row(t) + at);
  });
}

void CpuOps::silu_mul(Tensor gate, Tensor up) {
  pool_.parallel_for(gate.rows, row_grain(gate.rows, 4), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) quern::silu_mul(isa_, gate.row(t), up.row(t), gate.cols);
  });
}

void CpuOps::route(Tensor logits, bool renormalise, std::span<int32_t> ids, Tensor weights) {
  pool_.parallel_for(logits.rows, row_grain(logits.rows, 8), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      quern::route(logits.row(t), logits.cols, weights.cols, renormalise, ids.data() + t * weights.cols, weights.row(t));
  });
}

std::vector<CpuOps::ExpertRows> CpuOps::group_by_expert(std::span<const Expert> experts, std::span<const int32_t> ids) {
  std::vector<int64_t> counts(experts.size(), 0);
  for (const int32_t id : ids) ++counts[static_cast<size_t>(id)];
  std::vector<ExpertRows> groups;
  std::vector<int64_t> next(experts.size(), 0);
  int64_t at = 0;
  for (size_t e = 0; e < experts.size(); ++e) {
    if (counts[e] == 0) continue;
    groups.push_back({&experts[e], at, counts[e]});
    next[e] = at;
    at += counts[e];
  }
  slots_.resize(ids.size()), pairs_.resize(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    slots_[i] = next[static_cast<size_t>(ids[i])]++;
    pairs_[static_cast<size_t>(slots_[i])] = static_cast<int64_t>(i);
  }
  return groups;
}

CpuOps::Forms CpuOps::forms_of(const std::vector<ExpertRows>& groups, std::initializer_list<Weight Expert::*> matrices) const {
  Forms forms;
  for (const ExpertRows& g : groups)
    for (Weight Expert::* const matrix : matrices) add_form(g.expert->*matrix, forms);
  return forms;
}

std::vector<TokenTile> CpuOps::tiles_of(const std::vector<ExpertRows>& groups) {
  std::vector<TokenTile> tiles;
  for (const ExpertRows& g : groups)
    for (int64_t i = 0; i < token_tiles(g.count); ++i) tiles.push_back(token_tile(g.first, g.count, i));
  return tiles;
}

CpuOps::Inputs CpuOps::gather(Tensor x, int64_t choices, const Forms& forms, const std::vector<ExpertRows>& groups) {
  // Tokens are quantised once, though each goes to several experts.
  Forms rows_only = forms;
  rows_only.coded[static_cast<size_t>(InputForm::rows)] |= forms.any_tiles();
  for (const InputForm tiles : {InputForm::offset_tiles, InputForm::e2m1_tiles})
    rows_only.coded[static_cast<size_t>(tiles)] = false;
  make_room(rows_only, x.rows, x.cols, coded_);
  pool_.parallel_for(x.rows, row_grain(x.rows, 16), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) quantise_row(x.row(t), rows_only, coded_, t);
  });
  const int64_t pairs = x.rows * choices;
  Inputs in;
  if (forms.floats) in.floats = gathered_.tensor(pairs, x.cols);
  for (size_t i = 0; i < 2; ++i) {
    if (forms.coded[i]) gathered_codes_.rows[i].resize(pairs, x.cols), in.rows[i] = &gathered_codes_.rows[i];
    if (forms.coded[2 + i]) gathered_codes_.tiles[i].resize(pairs, x.cols), in.tiles[i] = &gathered_codes_.tiles[i];
  }
  const std::vector<TokenTile> tiles = tiles_of(groups);
  pool_.parallel_for(static_cast<int64_t>(tiles.size()), 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const TokenTile tile = tiles[static_cast<size_t>(i)];
      Int8Row rows[kTokenTile];
      for (int64_t t = 0; t < tile.count; ++t) {
        const int64_t slot = tile.first + t, token = pairs_[static_cast<size_t>(slot)] / choices;
        if (forms.floats) std::copy_n(x.row(token), x.cols, in.floats.row(slot));
        for (size_t order = 0; order < 2; ++order)
          if (forms.coded[order]) gathered_codes_.rows[order].copy_row(slot, coded_.rows[order], token);
        if (forms.any_tiles()) rows[t] = coded_.rows[0].row(token);
      }
      for (const InputForm form : {InputForm::offset_tiles, InputForm::e2m1_tiles})
        if (const auto at = static_cast<size_t>(form); forms.coded[at]) gathered_codes_.tiles[at - 2].pack(form, tile, rows);
    }
  });
  return in;
}

void CpuOps::grouped_linear(const std::vector<ExpertRows>& groups, const Inputs& in,
                            std::initializer_list<ExpertProduct> products) {
  const Weight& first = groups.front().expert->*products.begin()->matrix;
  const auto matrices = static_cast<int64_t>(groups.size() * products.size());
  const int64_t rows = first.rows(), grain = linear_grain(rows, first.cols(), groups.front().count, pool_.size(), matrices),
                block = std::min<int64_t>(rows, grain), blocks = (rows + block - 1) / block;
  const auto of_group = static_cast<int64_t>(products.size()) * blocks;
  const auto weight_of = [&](int64_t item) -> const Weight& {
    return groups[static_cast<size_t>(item / of_group)].expert->*products.begin()[item % of_group / blocks].matrix;
  };
  const int64_t items = static_cast<int64_t>(groups.size()) * of_group;
  pool_.parallel_for(items, 1, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      // What is most likely this thread's next: a stream of memory begins with a wait.
      if (item + 1 < items) prefetch_rows(weight_of(item + 1), (item + 1) % blocks * block);
      const ExpertRows& g = groups[static_cast<size_t>(item / of_group)];
      const ExpertProduct& product = products.begin()[item % of_group / blocks];
      const Tensor out = product.out.row_range(g.first, g.first + g.count);
      const int64_t row = item % blocks * block, row_end = std::min(row + block, rows);
      multiply(in, g.first, weight_of(item), out, row, row_end);
    }
  });
}

void CpuOps::experts(Tensor x, std::span<const Expert> experts, std::span<const int32_t> ids, Tensor weights, Tensor out) {
  const int64_t k = weights.cols, pairs = x.rows * k;
  const std::vector<ExpertRows> groups = group_by_expert(experts, ids);
  const int64_t width = experts.front().gate_proj.rows();
  const Tensor gate = gate_.tensor(pairs, width), up = up_.tensor(pairs, width), down = down_.tensor(pairs, x.cols);
  const Inputs in = gather(x, k, forms_of(groups, {&Expert::gate_proj, &Expert::up_proj}), groups);
  grouped_linear(groups, in, {{&Expert::gate_proj, gate}, {&Expert::up_proj, up}});

  const Forms forms = forms_of(groups, {&Expert::down_proj});
  Inputs inner = make_room(forms, pairs, width, coded_);
  inner.floats = gate;
  const std::vector<TokenTile> tiles = tiles_of(groups);
  pool_.parallel_for(static_cast<int64_t>(tiles.size()), 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const TokenTile tile = tiles[static_cast<size_t>(i)];
      for (int64_t row = tile.first; row < tile.first + tile.count; ++row) {
        quern::silu_mul(isa_, gate.row(row), up.row(row), width);
        quantise_row(gate.row(row), forms, coded_, row);
      }
      pack_tile(forms, tile, coded_);
    }
  });
  grouped_linear(groups, inner, {{&Expert::down_proj, down}});

  pool_.parallel_for(x.rows, row_grain(x.rows, 4), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      std::fill(out.row(t), out.row(t) + out.cols, 0.0f);
      for (int64_t j = 0; j < k; ++j) {
        const float* row = down.row(slots_[static_cast<size_t>(t * k + j)]);
        add_scaled(isa_, out.row(t), weights.row(t)[j], row, out.cols);
      }
    }
  });
}

void CpuOps::expert(Tensor x, const Expert& e, Tensor out) {
  const Tensor gate = gate_.tensor(x.rows, e.gate_proj.rows()), up = up_.tensor(x.rows, e.up_proj.rows());
  linears(x, std::array<Product, 2>{{{&e.gate_proj, gate}, {&e.up_proj, up}}});
  silu_mul(gate, up);
  linear(gate, e.down_proj, out);
}

void CpuOps::add_gated(Tensor out, Tensor gate, Tensor shared) {
  pool_.parallel_for(out.rows, row_grain(out.rows, 8), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) add_scaled(isa_, out.row(t), sigmoid(gate.row(t)[0]), shared.row(t), out.cols);
  });
}

}  // namespace quern
