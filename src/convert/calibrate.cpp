#include "convert/calibrate.h"

#include "base/check.h"
#include "model/ops/linear_inputs.h"
#include "runtime/engine_impl.h"

namespace quern {
namespace {

constexpr int64_t kChunk = 256;  // tokens at a time: each brings some to most experts, which are decoded once for all of them

// The names of the matrices by their addresses. A tied head is multiplied with under its own address, and published as the embedding.
std::unordered_map<const Weight*, std::string> names_of(const Model& model) {
  std::unordered_map<const Weight*, std::string> names;
  for (NamedMatrix& matrix : named_matrices(model)) names[matrix.weight] = std::move(matrix.name);
  names.try_emplace(&model.lm_head, names.at(&model.embed_tokens));
  return names;
}

}  // namespace

Result<InputStatistics> calibrate(const Engine& engine, std::span<const std::vector<int32_t>> documents,
                                  const std::function<void(double done, double total)>& on_progress) {
  const Engine::Impl& impl = engine.impl();
  const Model& model = *impl.model;
  const auto names = names_of(model);
  InputStatistics statistics(model);
  LinearInputs ops(*impl.ops, [&](const Weight& weight, Tensor x) { statistics.add(names.at(&weight), x); });
  Runner runner{.model = model,
                .ops = ops,
                .workspace = *impl.workspace,
                .kv = impl.options.kv,
                .with_mtp = model.mtp != nullptr,
                .context = engine.context(),
                .chunk = kChunk};
  int64_t total = 0;
  for (const std::vector<int32_t>& document : documents) total += static_cast<int64_t>(document.size());
  for (const std::vector<int32_t>& document : documents) {
    Timeline timeline(runner);
    QUERN_TRY(timeline.feed(document, Batch::Logits::all, [&](int64_t, std::span<const int32_t> part) {
      if (model.mtp) mtp_forward(ops, model, timeline.state(), part, runner.workspace);
      statistics.count_tokens(static_cast<int64_t>(part.size()));
      if (on_progress) on_progress(static_cast<double>(statistics.tokens()), static_cast<double>(total));
      return true;
    }));
  }
  return statistics;
}

}  // namespace quern
