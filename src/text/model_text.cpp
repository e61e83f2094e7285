#include "text/model_text.h"

#include "base/file.h"
#include "formats/checkpoint.h"
#include "formats/gguf_config.h"
#include "text/gguf_tokenizer.h"

namespace quern {
namespace {

// From chat_template.jinja or tokenizer_config.json; empty when there is none.
Result<std::string> read_chat_template(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (std::filesystem::exists(folder / "chat_template.jinja", ignored)) return read_file(folder / "chat_template.jinja", 1 << 20);
  const auto path = folder / "tokenizer_config.json";
  if (!std::filesystem::exists(path, ignored)) return std::string();
  QUERN_ASSIGN(const std::string text, read_file(path, 64 << 20));
  QUERN_ASSIGN(const Json config, Json::parse(text, path.string()));
  const Json* chat = config.find("chat_template");
  return chat && chat->is_string() ? chat->as_string() : std::string();
}

}  // namespace

Result<ModelText> load_model_text(const std::filesystem::path& model) {
  ModelText text;
  QUERN_ASSIGN(const auto gguf, gguf_of_model(model));
  if (gguf) {
    QUERN_ASSIGN(const GgufFile file, GgufFile::open(*gguf));
    QUERN_ASSIGN(text.generation, gguf_generation_config(file.metadata()));
    QUERN_ASSIGN(text.tokenizer, gguf_tokenizer(file.metadata()));
    QUERN_ASSIGN(text.chat_template, gguf_chat_template(file.metadata()));
    return text;
  }
  QUERN_ASSIGN(text.generation, GenerationConfig::load(model / "generation_config.json"));
  std::error_code ignored;
  if (!std::filesystem::exists(model / "tokenizer.json", ignored)) return text;
  QUERN_ASSIGN(text.tokenizer, Tokenizer::load(model / "tokenizer.json"));
  QUERN_ASSIGN(text.chat_template, read_chat_template(model));
  return text;
}

Result<Tokenizer> load_tokenizer(const std::filesystem::path& path) {
  QUERN_ASSIGN(const auto gguf, gguf_of_model(path));
  if (!gguf) return Tokenizer::load(path / "tokenizer.json");
  if (gguf->extension() != ".gguf") return Tokenizer::load(*gguf);
  QUERN_ASSIGN(const GgufFile file, GgufFile::open(*gguf));
  QUERN_ASSIGN(auto tokenizer, gguf_tokenizer(file.metadata()));
  if (!tokenizer) return fail(Errc::not_found, "{}: the model has no tokenizer", path.string());
  return std::move(*tokenizer);
}

}  // namespace quern
