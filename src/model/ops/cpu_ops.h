// CpuOps: Ops on the processor's cores. With Isa::scalar it is the reference back end: every kernel's scalar definition.
// Uses one pool; one forward pass at a time. Weights in a format that quant_linear has a version for are multiplied with int8 activations,
// the others, and with Isa::scalar all, with f32.
#pragma once

#include "base/cpu_features.h"
#include "base/thread_pool.h"
#include "kernels/attention/attention.h"
#include "kernels/quant_linear/quant_linear.h"
#include "model/ops/ops.h"

namespace quern {

class CpuOps : public Ops {
 public:
  CpuOps(ThreadPool& pool, Isa isa) : pool_(pool), isa_(isa) {}

  void embed(std::span<const int32_t> ids, const Weight& table, Tensor out) override;
  void rms_norm(Tensor x, const Vector& weight, float eps, Tensor out) override;
  void add(Tensor residual, Tensor x) override;
  void linear(Tensor x, const Weight& weight, Tensor out) override;
  void linears(Tensor x, std::span<const Product> products) override;
  void norm_rope(Tensor x, int64_t heads, int64_t head_stride, const Vector& weight, float eps, const RopeTable& table) override;
  void append_kv(Tensor k, Tensor v, std::span<const CachedRows> sequences) override;
  void attention(Tensor q_gate, std::span<const CachedRows> sequences, Tensor out) override;
  void split_projections(Tensor qkvz, Tensor ba, const ModelConfig& config, Tensor mixed, Tensor z, Tensor b, Tensor a) override;
  void short_conv(Tensor mixed, const Vector& conv1d, std::span<const ConvRows> sequences, Tensor out) override;
  void delta_gates(Tensor b, Tensor a, const Vector& A, const Vector& dt_bias) override;
  void normalise_qk(Tensor qkv, const ModelConfig& config) override;
  void gated_delta(Tensor qkv, Tensor g, Tensor beta, const ModelConfig& config, std::span<const DeltaRows> sequences,
                   Tensor out) override;
  void replay_delta(std::span<const DeltaLog> logs, const ModelConfig& config) override;
  void gated_rms_norm(Tensor x, Tensor z, const Vector& weight, float eps, Tensor out) override;
  void silu_mul(Tensor gate, Tensor up) override;
  void route(Tensor logits, bool renormalise, std::span<int32_t> ids, Tensor weights) override;
  void experts(Tensor x, std::span<const Expert> experts, std::span<const int32_t> ids, Tensor weights, Tensor out) override;
  void expert(Tensor x, const Expert& expert, Tensor out) override;
  void add_gated(Tensor out, Tensor gate, Tensor shared) override;

 private:
  // Some tokens of one sequence that attend to their positions block by block, and where what they find goes.
  struct BlockedTokens {
    const AttentionArgs* args;
    int64_t first, last;
    size_t partials = 0;  // offset
  };
  void attention_by_blocks(std::span<const BlockedTokens> tokens);
  // Rows that one task takes, of operations that are little work for each: `most`, fewer where every thread is to have some.
  int64_t row_grain(int64_t rows, int64_t most) const;

  // Which forms of activations matrices want.
  struct Forms {
    bool floats = false, coded[kInputForms] = {};
    bool any_tiles() const {
      return coded[static_cast<size_t>(InputForm::offset_tiles)] || coded[static_cast<size_t>(InputForm::e2m1_tiles)];
    }
  };
  void add_form(const Weight& weight, Forms& forms) const;
  // Rows of activations in those forms.
  struct Inputs {
    Tensor floats;
    const Int8Activations* rows[2] = {};  // of each CodeOrder
    const PackedTokens* tiles[2] = {};    // offset_tiles, e2m1_tiles
  };
  // The memory of one such input.
  struct Coded {
    Int8Activations rows[2];
    PackedTokens tiles[2];
  };

  // The tokens that go to one expert: `count` rows from `first` in the gathered tensors.
  struct ExpertRows {
    const Expert* expert = nullptr;
    int64_t first = 0, count = 0;
  };
  // Sorts (token, choice) pairs by expert: fills slots_ (where each pair's row went) and pairs_ (the pair of a row), and returns the experts
  // that have any.
  std::vector<ExpertRows> group_by_expert(std::span<const Expert> experts, std::span<const int32_t> ids);
  // What these matrices of the experts want; the experts of a layer need not have one format.
  Forms forms_of(const std::vector<ExpertRows>& groups, std::initializer_list<Weight Expert::*> matrices) const;
  static std::vector<TokenTile> tiles_of(const std::vector<ExpertRows>& groups);

  // Room for `tokens` of them in memory that belongs to the operations; the next call with the same memory takes it back.
  static Inputs make_room(const Forms& forms, int64_t tokens, int64_t cols, Coded& memory);
  // Row t of x [of memory's tokens] quantised in the orders that forms need, also those that tiles are packed from.
  void quantise_row(const float* x, const Forms& forms, Coded& memory, int64_t t) const;
  // The tile, from rows that memory holds.
  static void pack_tile(const Forms& forms, TokenTile tile, Coded& memory);
  // x as it is, in all those forms: quantised and packed once, however many matrices read it.
  Inputs inputs_of(Tensor x, const Forms& forms);
  // The rows of x that go to each expert, by pairs_.
  Inputs gather(Tensor x, int64_t choices, const Forms& forms, const std::vector<ExpertRows>& groups);

  // out = input rows from `first` on times rows [begin, end) of the weight; as many as out has.
  void multiply(const Inputs& in, int64_t first, const Weight& weight, Tensor out, int64_t begin, int64_t end) const;

  // A matrix of every expert, and where the products with it go.
  struct ExpertProduct {
    Weight Expert::* matrix;
    Tensor out;
  };
  // For each group and product: out rows = input rows times the matrix. The matrices have one shape.
  void grouped_linear(const std::vector<ExpertRows>& groups, const Inputs& in, std::initializer_list<ExpertProduct> products);

  ThreadPool& pool_;
  Isa isa_;
  Buffer gathered_, gate_, up_, down_;
  Coded coded_, gathered_codes_;
  std::vector<int64_t> slots_, pairs_;
  Buffer partials_;  // of attention: what each token found in each block of positions
};

}  // namespace quern
