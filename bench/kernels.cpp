// The kernels that time goes into, on one thread, at the shapes of the 80B model, for each instruction set.
#include <benchmark/benchmark.h>

#include "base/random.h"
#include "kernels/attention/attention.h"
#include "kernels/gated_delta/gated_delta.h"
#include "kernels/linear/linear.h"

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

// 16 heads of 256 over 2 kv heads, one new token after `depth` cached ones.
void attention_decode(benchmark::State& state) {
  if (skipped(state)) return;
  constexpr int64_t kHeads = 16, kKvHeads = 2, kDim = 256;
  const auto format = static_cast<KvFormat>(state.range(1));
  const int64_t depth = state.range(2);
  const std::vector<float> row = random_floats(kKvHeads * kDim), q_gate = random_floats(kHeads * 2 * kDim);
  std::vector<std::vector<std::byte>> memory;
  std::vector<KvPage> pages;
  for (int64_t position = 0; position < depth; ++position) {
    if (position % kKvPagePositions == 0) {
      memory.emplace_back(kv_page_bytes(format, kKvHeads, kDim));
      pages.push_back({memory.back().data()});
    }
    kv_store(format, kKvHeads, kDim, pages.back(), position % kKvPagePositions, row.data(), row.data());
  }
  std::vector<float> out(static_cast<size_t>(kHeads * kDim));
  const AttentionArgs args{.tokens = 1,
                           .heads = kHeads,
                           .kv_heads = kKvHeads,
                           .head_dim = kDim,
                           .q_gate = q_gate.data(),
                           .q_stride = kHeads * 2 * kDim,
                           .format = format,
                           .pages = pages,
                           .first_position = depth - 1,
                           .out = out.data(),
                           .out_stride = kHeads * kDim};
  for (auto _ : state) {
    for (int64_t kv_head = 0; kv_head < kKvHeads; ++kv_head) attention(isa_of(state), args, 0, 1, kv_head);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(pages.size() * kv_page_bytes(format, kKvHeads, kDim)));
}
BENCHMARK(attention_decode)
    ->ArgNames({"isa", "kv", "depth"})
    ->ArgsProduct({{static_cast<int>(Isa::scalar), static_cast<int>(Isa::avx2)},
                   {static_cast<int>(KvFormat::f32), static_cast<int>(KvFormat::bf16), static_cast<int>(KvFormat::int8)},
                   {4096}})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace quern

BENCHMARK_MAIN();
