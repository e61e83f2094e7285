#include "catalogue/summary.h"

#include <algorithm>

#include "base/system_error.h"
#include "model/model_facts.h"

namespace quern {

ModelSummary summarise_model(const std::filesystem::path& path) {
  ModelSummary summary;
  try {
    const auto model = Model::load(path);
    if (!model) {
      summary.problem = model.error().message;
      return summary;
    }
    const ModelFacts facts = model_facts(**model);
    summary.parameters = facts.total.parameters;
    summary.active_parameters = facts.active_parameters;
    summary.context = (*model)->config.max_position_embeddings;
    summary.weights_bytes = facts.total.bytes;
    if (facts.total.parameters > 0)
      summary.bits_per_weight = 8.0 * static_cast<double>(facts.total.bytes) / static_cast<double>(facts.total.parameters);
    const auto most = std::max_element(facts.formats.begin(), facts.formats.end(),
                                       [](const auto& a, const auto& b) { return a.second.bytes < b.second.bytes; });
    if (most != facts.formats.end()) summary.format = most->first;
  } catch (const SystemError& e) {
    summary.problem = e.what();
  }
  return summary;
}

}  // namespace quern
