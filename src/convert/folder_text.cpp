#include "convert/folder_text.h"

#include <algorithm>

#include "formats/gguf_config.h"
#include "text/gguf_tokenizer.h"

namespace quern {
namespace {

struct SpecialToken {
  std::string_view name;  // of config files
  std::string_view key;   // of the metadata
};
constexpr SpecialToken kSpecialTokens[] = {{"bos_token", "tokenizer.ggml.bos_token_id"},
                                           {"eos_token", "tokenizer.ggml.eos_token_id"},
                                           {"pad_token", "tokenizer.ggml.padding_token_id"}};

Result<std::string> token_text(const GgufMetadata& metadata, const TokenizerParts& parts, std::string_view key) {
  QUERN_ASSIGN(const int64_t id, metadata.i64(key));
  for (const auto& [text, own_id, special] : parts.added)
    if (own_id == id) return std::string(text);
  for (const auto& [text, own_id] : parts.vocabulary)
    if (own_id == id) return std::string(text);
  return metadata.bad(Errc::out_of_range, key, "{} is no token", id);
}

// As published for the family: no text is added in front, and what decides about tokens is in tokenizer.json.
Result<Json> tokenizer_config(const GgufMetadata& metadata, const TokenizerParts& parts) {
  Json json = Json::object();
  json["tokenizer_class"] = "Qwen2Tokenizer";
  json["add_bos_token"] = false;
  json["add_prefix_space"] = false;
  json["clean_up_tokenization_spaces"] = false;
  json["errors"] = "replace";
  json["split_special_tokens"] = false;
  json["unk_token"] = nullptr;
  for (const auto& [name, key] : kSpecialTokens) {
    json[name] = nullptr;
    if (name == "bos_token" || !metadata.has(key))
      continue;  // the family's tokenizers have none, whatever generation_config.json says
    QUERN_ASSIGN(json[name], token_text(metadata, parts, key));
  }
  if (metadata.has("qwen3next.context_length")) {
    QUERN_ASSIGN(json["model_max_length"], metadata.u64("qwen3next.context_length"));
  }
  return json;
}

Result<Json> generation_config(const GgufMetadata& metadata) {
  QUERN_ASSIGN(const GenerationConfig generation, gguf_generation_config(metadata));
  Json json = Json::object();
  for (const auto& [name, key] : kSpecialTokens) {
    if (name == "eos_token" || !metadata.has(key)) continue;
    QUERN_ASSIGN(json[std::string(name) + "_id"], metadata.i64(key));
  }
  Json ends = Json::array();
  for (const int64_t id : generation.eos_token_ids) ends.push_back(id);
  if (ends.size() > 0) json["eos_token_id"] = std::move(ends);
  if (generation.temperature || generation.top_p || generation.top_k) json["do_sample"] = true;
  if (generation.temperature) json["temperature"] = *generation.temperature;
  if (generation.top_p) json["top_p"] = *generation.top_p;
  if (generation.top_k) json["top_k"] = *generation.top_k;
  if (generation.min_p) json["min_p"] = *generation.min_p;
  return json;
}

}  // namespace

Result<std::vector<TextFile>> folder_text(const GgufMetadata& metadata) {
  std::vector<TextFile> files;
  const auto add = [&](std::string name, const Json& json) { files.push_back({std::move(name), json.dump_indented() + "\n"}); };
  QUERN_ASSIGN(const Json generation, generation_config(metadata));
  if (generation.size() > 0) add("generation_config.json", generation);
  QUERN_ASSIGN(const auto parts, gguf_tokenizer_parts(metadata));
  if (!parts) return files;
  QUERN_TRY(Tokenizer::from_parts(*parts, metadata.where()));  // the parts agree
  QUERN_ASSIGN(const Json config, tokenizer_config(metadata, *parts));
  add("tokenizer.json", tokenizer_json(*parts));
  add("tokenizer_config.json", config);
  QUERN_ASSIGN(std::string chat_template, gguf_chat_template(metadata));
  if (!chat_template.empty()) files.push_back({"chat_template.jinja", std::move(chat_template)});
  return files;
}

}  // namespace quern
