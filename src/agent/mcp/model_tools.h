// What `quern mcp` offers: local models as tools of another agent.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/mcp/service.h"
#include "base/json.h"
#include "base/result.h"
#include "runtime/engine.h"

namespace quern {

struct TextRequest {
  std::string prompt, system;
  bool raw = false;            // the prompt is continued as it stands, without the chat format; no system then
  std::optional<Json> schema;  // what the answer is held to
  int64_t max_tokens = 1024;
  std::optional<double> temperature;  // absent: the model's own
  uint64_t seed = 0;
  std::vector<std::string> stop;
};

struct TextAnswer {
  std::string text, reasoning;  // reasoning: of thinking models, what came before the answer
  FinishReason finish = FinishReason::stop;
  int64_t prompt_tokens = 0, tokens = 0;
  double prefill_s = 0, decode_s = 0;
};

// A model that is loaded.
class TextModel {
 public:
  virtual ~TextModel() = default;
  // on_progress: tokens of the answer so far; false cancels.
  virtual Result<TextAnswer> generate(const TextRequest& request, const std::function<bool(int64_t tokens)>& on_progress) = 0;
  virtual Result<int64_t> count_tokens(const std::string& text) = 0;
  virtual int64_t context() const = 0;
};

struct ShelfModel {
  std::string name;  // as callers choose it
  std::string path;
};

// One model at a time is loaded; a call that names another replaces it.
class ModelShelf {
 public:
  using Open = std::function<Result<std::unique_ptr<TextModel>>(const ShelfModel&)>;
  // The first is what a call without a name gets. There must be one.
  ModelShelf(std::vector<ShelfModel> entries, Open open) : entries_(std::move(entries)), open_(std::move(open)) {}

  const std::vector<ShelfModel>& entries() const { return entries_; }
  // not_found: there is no such model; else what loading it says.
  Result<TextModel*> get(const std::string& name);

 private:
  std::vector<ShelfModel> entries_;
  Open open_;
  std::string loaded_;
  std::unique_ptr<TextModel> model_;
};

// generate, ask_with_schema, count_tokens, list_models. The shelf must outlive the tools.
std::vector<ServiceTool> model_tools(ModelShelf& shelf);

// quern://models: the same list as a resource.
ServiceResource models_resource(const ModelShelf& shelf);

// A model of the engine behind this interface; options.model is the entry's path.
Result<std::unique_ptr<TextModel>> open_text_model(const EngineOptions& options);

}  // namespace quern
