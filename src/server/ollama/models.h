// What Ollama's API tells of the models there are: /api/tags, /api/ps, /api/show.
#pragma once

#include <vector>

#include "base/json.h"
#include "server/model_card.h"

namespace quern {

class OllamaModels {
 public:
  Json tags(const std::vector<ModelState>& models);
  Json running(const std::vector<ModelState>& models);  // those that are loaded
  Json show(const ModelState& model);

 private:
  Json listed(const ModelState& model);
  ModelCards cards_;
};

}  // namespace quern
