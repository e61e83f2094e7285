// The kernels that time goes into, on one thread, at the shapes of the 80B model, for each instruction set.
#include <benchmark/benchmark.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/random.h"
#include "base/slabs.h"
#include "kernels/attention/attention.h"
#include "kernels/gated_delta/gated_delta.h"
#include "kernels/linear/linear.h"
#include "kernels/quant_linear/quant_linear.h"

namespace quern {
namespace {

std::vector<float> random_floats(int64_t count, double scale = 1) {
  Random random(1);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(scale * (2 * random.unit() - 1));
  return values;
}

Isa isa_of(const benchmark::State& state) { return static_cast<Isa>(state.range(0)); }
bool skipped(benchmark::State& state) {
  if (cpu_supports(isa_of(state))) return false;
  state.SkipWithError("not on this machine");
  return true;
}

// An expert's gate_proj in bf16: [512, 2048]. The weights are read once for all tokens.
void linear_bf16(benchmark::State& state) {
  if (skipped(state)) return;
  constexpr int64_t kRows = 512, kColumns = 2048;
  const int64_t tokens = state.range(1);
  const std::vector<float> x = random_floats(tokens * kColumns);
  const std::vector<uint16_t> weight(static_cast<size_t>(kRows * kColumns), 0x3F80);
  const QuantMatrix matrix =
      QuantMatrix::make(QuantFormat::bf16, kRows, kColumns, {.codes = std::as_bytes(std::span(weight))}).value();
  std::vector<float> out(static_cast<size_t>(tokens * kRows));
  const LinearArgs args{
      .x = x.data(), .tokens = tokens, .x_stride = kColumns, .weight = &matrix, .out = out.data(), .out_stride = kRows};
  for (auto _ : state) {
    linear(isa_of(state), args, 0, kRows);
    benchmark::ClobberMemory();
  }
  state.counters["flop/s"] =
      benchmark::Counter(2.0 * kRows * kColumns * static_cast<double>(tokens * state.iterations()), benchmark::Counter::kIsRate);
  state.SetBytesProcessed(state.iterations() * kRows * kColumns * 2);
}
BENCHMARK(linear_bf16)
    ->ArgNames({"isa", "tokens"})
    ->ArgsProduct({{static_cast<int>(Isa::scalar), static_cast<int>(Isa::avx2)}, {1, 64}});

// An expert's gate_proj, [512, 2048], in strips, times a run of tokens; one matrix after the other of `matrices`, each thread its own: what they
// have of the caches goes by that. mxfp4: 0 for 8 bits in groups of 64.
void quant_linear_strips(benchmark::State& state) {
  if (skipped(state)) return;
  constexpr int64_t kRows = 512, kColumns = 2048;
  const bool mxfp4 = state.range(1) != 0;
  const int64_t tokens = state.range(2), matrices = state.range(3);
  const QuantFormat format = mxfp4 ? QuantFormat::mlx_mxfp4 : QuantFormat::mlx_affine_8_g64;
  Random random(2);
  std::vector<uint64_t> codes(static_cast<size_t>(matrices * kRows * kColumns / (mxfp4 ? 16 : 8)));
  for (uint64_t& eight : codes) eight = random.next();
  // Scales of about one.
  const std::vector<uint8_t> powers(static_cast<size_t>(matrices * kRows * kColumns / 32), 127);
  const std::vector<uint16_t> halves(static_cast<size_t>(matrices * kRows * kColumns / 64), 0x3F80);
  const auto scales = mxfp4 ? std::as_bytes(std::span(powers)) : std::as_bytes(std::span(halves));
  const QuantMatrix weight = QuantMatrix::make(format, matrices * kRows, kColumns,
                                               {.codes = std::as_bytes(std::span(codes)),
                                                .scales = scales,
                                                .biases = mxfp4 ? std::span<const std::byte>() : scales,
                                                .order = RowOrder::strips})
                                 .value();
  Int8Activations x;
  x.resize(tokens, kColumns);
  const std::vector<float> values = random_floats(tokens * kColumns);
  for (int64_t t = 0; t < tokens; ++t) x.quantize(t, values.data() + t * kColumns);
  PackedTokens packed;
  packed.resize(tokens, kColumns);
  for (int64_t i = 0; i < token_tiles(tokens); ++i) {
    const TokenTile tile = token_tile(0, tokens, i);
    std::vector<Int8Row> rows;
    for (int64_t t = 0; t < tile.count; ++t) rows.push_back(x.row(tile.first + t));
    packed.pack(mxfp4 ? InputForm::e2m1_tiles : InputForm::offset_tiles, tile, rows.data());
  }
  std::vector<float> out(static_cast<size_t>(tokens * kRows));
  int64_t next = 0;
  for (auto _ : state) {
    const QuantMatrix matrix = weight.row_range(next++ % matrices * kRows, kRows);
    quant_linear(isa_of(state), {.tiles = &packed, .tokens = tokens, .weight = &matrix, .out = out.data(), .out_stride = kRows}, 0,
                 kRows);
    benchmark::ClobberMemory();
  }
  state.counters["products/s"] =
      benchmark::Counter(static_cast<double>(kRows * kColumns * tokens * state.iterations()), benchmark::Counter::kIsRate);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(weight.bytes()) / matrices);
}
void quant_linear_shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"isa", "mxfp4", "tokens", "matrices"})->UseRealTime();
  b->Args({static_cast<int>(Isa::avx512), 0, 512, 1});
  for (const int64_t tokens : {1, 2, 4, 6, 8, 10, 12, 20})
    for (const int64_t matrices : {1, 64, 256}) b->Args({static_cast<int>(Isa::avx512), 1, tokens, matrices});
}
BENCHMARK(quant_linear_strips)->Apply(quant_linear_shapes);

// One key head with its two value heads, states 128 x 128; `chunk` tokens a call. chunk 1 is decoding.
void gated_delta_rule(benchmark::State& state) {
  if (skipped(state)) return;
  constexpr int64_t kTokens = 256, kDim = 128, kValueHeads = 2, kStride = kDim * (2 + kValueHeads);
  const int64_t chunk = state.range(1);
  const std::vector<float> qkv = random_floats(kTokens * kStride, 0.1);
  const std::vector<float> gates(static_cast<size_t>(kTokens * kValueHeads), 0.9F);
  std::vector<float> delta_state(static_cast<size_t>(kValueHeads * kDim * kDim)),
      out(static_cast<size_t>(kTokens * kValueHeads * kDim));
  for (auto _ : state) {
    for (int64_t t = 0; t < kTokens; t += chunk) {
      const float* at = qkv.data() + t * kStride;
      const GatedDeltaArgs args{.tokens = chunk,
                                .k_heads = 1,
                                .v_heads = kValueHeads,
                                .k_dim = kDim,
                                .v_dim = kDim,
                                .q = at,
                                .k = at + kDim,
                                .v = at + 2 * kDim,
                                .qkv_stride = kStride,
                                .g = gates.data(),
                                .beta = gates.data(),
                                .gate_stride = kValueHeads,
                                .state = delta_state.data(),
                                .out = out.data() + t * kValueHeads * kDim,
                                .out_stride = kValueHeads * kDim};
      gated_delta(isa_of(state), args, 0, args.items());
    }
    benchmark::ClobberMemory();
  }
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(kTokens * state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(gated_delta_rule)
    ->ArgNames({"isa", "chunk"})
    ->ArgsProduct({{static_cast<int>(Isa::scalar), static_cast<int>(Isa::avx2)}, {1, 256}});

// 16 heads of 256 over 2 kv heads, so many new tokens after `depth` cached ones: one is decoded, eight of a prompt share a reading of the pages.
void attention_at_depth(benchmark::State& state) {
  if (skipped(state)) return;
  constexpr int64_t kHeads = 16, kKvHeads = 2, kDim = 256;
  const auto format = static_cast<KvFormat>(state.range(1));
  const int64_t depth = state.range(2), tokens = state.range(3);
  const std::vector<float> row = random_floats(kKvHeads * kDim), q_gate = random_floats(tokens * kHeads * 2 * kDim);
  Slabs slabs(kv_page_bytes(format, kKvHeads, kDim));  // as a sequence has them
  std::vector<Slabs::Piece> memory;
  std::vector<KvPage> pages;
  for (int64_t position = 0; position < depth; ++position) {
    if (position % kKvPagePositions == 0) {
      memory.push_back(slabs.take());
      pages.push_back({memory.back().get()});
    }
    kv_store(format, kKvHeads, kDim, pages.back(), position % kKvPagePositions, row.data(), row.data());
  }
  std::vector<float> out(static_cast<size_t>(tokens * kHeads * kDim));
  const AttentionArgs args{.tokens = tokens,
                           .heads = kHeads,
                           .kv_heads = kKvHeads,
                           .head_dim = kDim,
                           .q_gate = q_gate.data(),
                           .q_stride = kHeads * 2 * kDim,
                           .format = format,
                           .pages = pages,
                           .first_position = depth - tokens,
                           .out = out.data(),
                           .out_stride = kHeads * kDim};
  for (auto _ : state) {
    for (int64_t kv_head = 0; kv_head < kKvHeads; ++kv_head) attention(isa_of(state), args, 0, tokens, kv_head);
    benchmark::ClobberMemory();
  }
  state.counters["flop/s"] = benchmark::Counter(4.0 * kHeads * kDim * static_cast<double>(depth * tokens * state.iterations()),
                                                benchmark::Counter::kIsRate);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(pages.size() * kv_page_bytes(format, kKvHeads, kDim)));
}
BENCHMARK(attention_at_depth)
    ->ArgNames({"isa", "kv", "depth", "tokens"})
    ->ArgsProduct({{static_cast<int>(Isa::scalar), static_cast<int>(Isa::avx2), static_cast<int>(Isa::avx512)},
                   {static_cast<int>(KvFormat::f32), static_cast<int>(KvFormat::bf16), static_cast<int>(KvFormat::int8)},
                   {4096, 32768},
                   {1, 8, 16, 32}})
    ->Unit(benchmark::kMicrosecond);

#if defined(__x86_64__)
// What attention to bf16 pages could reach at most: its products with nothing else, from registers.
__attribute__((target("avx512f,avx512bf16"))) void bf16_peak(benchmark::State& state) {
  if (!cpu_supports(Isa::avx512) || !cpu_multiplies_bf16()) return state.SkipWithError("not on this machine");
  constexpr int kSums = 16, kRounds = 1024;
  __m512 sums[kSums] = {};
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.25f));
  for (auto _ : state) {
    for (int round = 0; round < kRounds; ++round)
#pragma GCC unroll 16
      for (__m512& sum : sums) sum = _mm512_dpbf16_ps(sum, a, a);
    for (__m512& sum : sums) benchmark::DoNotOptimize(sum);
  }
  state.counters["flop/s"] =
      benchmark::Counter(64.0 * kSums * kRounds * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(bf16_peak);
#endif

}  // namespace
}  // namespace quern

BENCHMARK_MAIN();
