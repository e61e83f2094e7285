#include "convert/calibrate.h"

#include <unordered_set>

#include "convert/delta_rows.h"
#include "model/ops/linear_inputs.h"
#include "runtime/engine_impl.h"

namespace quern {
namespace {

constexpr int64_t kChunk = 256;  // tokens at a time: each brings some to most experts, which are decoded once for all of them

// The published names of the matrices by their addresses. A tied head is multiplied with under its own address, and published as the
// embedding. Parts of one published matrix have the same input: the first of them has its name, and the others are not in the map.
std::unordered_map<const Weight*, std::string> names_of(const Model& model) {
  std::unordered_map<const Weight*, std::string> names;
  std::unordered_set<std::string> taken;
  for (const NamedMatrix& matrix : named_matrices(model))
    if (std::string name = published_name(model.config, matrix.name); taken.insert(name).second)
      names[matrix.weight] = std::move(name);
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
  // The MTP block has the head read hidden states of its own, as many as the trunk's: drafts, which the answers do not depend on.
  bool in_mtp = false;
  LinearInputs ops(*impl.ops, [&](const Weight& weight, Tensor x) {
    if (in_mtp && &weight == &model.lm_head) return;
    if (const auto name = names.find(&weight); name != names.end()) statistics.add(name->second, x);
  });
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
      in_mtp = true;
      if (model.mtp) mtp_forward(ops, model, timeline.state(), part, runner.workspace);
      in_mtp = false;
      statistics.count_tokens(static_cast<int64_t>(part.size()));
      if (on_progress) on_progress(static_cast<double>(statistics.tokens()), static_cast<double>(total));
      return true;
    }));
  }
  statistics.update_layer_means();
  return statistics;
}

}  // namespace quern
