// What a model brings besides weights: its tokenizer, its chat template, its sampling defaults. A folder has them in files, a GGUF file in
// its metadata.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "formats/config_json.h"
#include "text/tokenizer.h"

namespace quern {

struct ModelText {
  std::optional<Tokenizer> tokenizer;  // a model without one runs on token ids
  std::string chat_template;           // empty: none
  GenerationConfig generation;
};

Result<ModelText> load_model_text(const std::filesystem::path& model);

// The tokenizer that a path names: a model folder, a GGUF file (by its ending), or else a tokenizer.json. Errors: not_found where there is none.
Result<Tokenizer> load_tokenizer(const std::filesystem::path& path);

}  // namespace quern
