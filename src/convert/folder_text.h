// What a Hugging Face folder has beside weights and config.json, made from the metadata of a GGUF file: the tokenizer, the chat template,
// what generation stops at and samples with.
#pragma once

#include <string>
#include <vector>

#include "formats/gguf_metadata.h"

namespace quern {

struct TextFile {
  std::string name, text;
};

// tokenizer.json, tokenizer_config.json, chat_template.jinja, generation_config.json: those that the metadata has something for.
// Errors: those of gguf_tokenizer_parts, gguf_chat_template and gguf_generation_config; out_of_range (an id that is no token).
Result<std::vector<TextFile>> folder_text(const GgufMetadata& metadata);

}  // namespace quern
