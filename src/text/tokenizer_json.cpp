// tokenizer.json of Hugging Face's tokenizers library, as the Qwen family uses it.
#include <fmt/format.h>

#include "text/tokenizer_parts.h"

namespace quern {
namespace {

// Takes one tokenizer.json apart.
class Reader {
 public:
  Reader(const Json& root, std::string_view where) : root_(root), where_(where) {}
  Result<TokenizerParts> read();

 private:
  template <class... Args>
  tl::unexpected<Error> bad(Errc code, fmt::format_string<Args...> format, Args&&... args) const {
    return fail(code, "{}: {}", where_, fmt::format(format, std::forward<Args>(args)...));
  }
  static std::string type_of(const Json* json) {
    const Json* type = json ? json->find("type") : nullptr;
    return type && type->is_string() ? type->as_string().substr(0, 60) : "(none)";
  }
  Result<void> normalizer(const Json* json);
  Result<void> pre_tokenizer(const Json* json);
  Result<void> vocabulary(const Json& model);
  Result<void> merges(const Json& model);
  Result<void> added_tokens();

  const Json& root_;
  std::string_view where_;
  TokenizerParts parts_;
};

Result<TokenizerParts> Reader::read() {
  const Json* model = root_.find("model");
  if (!model || !model->is_object()) return bad(Errc::malformed, "no model object");
  if (type_of(model) != "BPE") return bad(Errc::unsupported, "model type {} (BPE is known)", type_of(model));
  QUERN_TRY(normalizer(root_.find("normalizer")));
  QUERN_TRY(pre_tokenizer(root_.find("pre_tokenizer")));
  QUERN_TRY(vocabulary(*model));
  QUERN_TRY(merges(*model));
  QUERN_TRY(added_tokens());
  return std::move(parts_);
}

Result<void> Reader::normalizer(const Json* json) {
  if (!json || json->is_null()) return {};
  if (type_of(json) == "NFC") return parts_.nfc = true, Result<void>{};
  if (const Json* list = json->find("normalizers"); type_of(json) == "Sequence" && list && list->is_array()) {
    for (const Json& one : list->as_array()) QUERN_TRY(normalizer(&one));
    return {};
  }
  return bad(Errc::unsupported, "normalizer {} (NFC is known)", type_of(json));
}

Result<void> Reader::pre_tokenizer(const Json* json) {
  const std::string type = type_of(json);
  if (const Json* list = json ? json->find("pretokenizers") : nullptr; type == "Sequence" && list && list->is_array()) {
    for (const Json& one : list->as_array()) QUERN_TRY(pre_tokenizer(&one));
    return {};
  }
  if (type == "ByteLevel") return {};  // the byte alphabet: Bpe works on bytes directly
  if (type != "Split") return bad(Errc::unsupported, "pre-tokenizer {} (Split and ByteLevel are known)", type);
  const Json* pattern = json->find("pattern");
  const Json* regex = pattern ? pattern->find("Regex") : nullptr;
  if (!regex || !regex->is_string()) return bad(Errc::malformed, "pre-tokenizer Split without a Regex");
  parts_.pattern = regex->as_string();
  return {};
}

Result<void> Reader::vocabulary(const Json& model) {
  const Json* vocab = model.find("vocab");
  if (!vocab || !vocab->is_object()) return bad(Errc::malformed, "model.vocab: expected an object");
  for (const auto& [printable, value] : vocab->as_object()) {
    const auto id = value.to_int64();
    if (!id) return bad(Errc::malformed, "model.vocab: {}", id.error().message);
    parts_.vocabulary.push_back({printable, *id});
  }
  return {};
}

Result<void> Reader::merges(const Json& model) {
  const Json* list = model.find("merges");
  if (!list || !list->is_array()) return bad(Errc::malformed, "model.merges: expected an array");
  parts_.merges.reserve(list->size());
  for (const Json& entry : list->as_array()) {
    TokenizerParts::Merge merge;  // "a b" in older files, ["a", "b"] in newer ones
    if (entry.is_string())
      merge = split_merge(entry.as_string());
    else if (entry.is_array() && entry.size() == 2 && entry.as_array()[0].is_string() && entry.as_array()[1].is_string())
      merge = {entry.as_array()[0].as_string(), entry.as_array()[1].as_string()};
    parts_.merges.push_back(merge);
  }
  return {};
}

Result<void> Reader::added_tokens() {
  const Json* list = root_.find("added_tokens");
  if (!list || list->is_null()) return {};
  if (!list->is_array()) return bad(Errc::malformed, "added_tokens: expected an array");
  for (const Json& entry : list->as_array()) {
    const Json *content = entry.find("content"), *id = entry.find("id"), *special = entry.find("special");
    if (!content || !content->is_string() || !id) return bad(Errc::malformed, "added_tokens: expected id and content");
    const auto number = id->to_int64();
    if (!number) return bad(Errc::malformed, "added_tokens: id: {}", number.error().message);
    parts_.added.push_back({content->as_string(), *number, special && *special == Json(true)});
  }
  return {};
}

Json object(Json::Object members) { return Json(std::move(members)); }

// Of the pre-tokenizer, the post-processor and the decoder alike.
Json byte_level() {
  return object({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}});
}

}  // namespace

TokenizerParts::Merge split_merge(std::string_view text) {
  const size_t space = text.find(' ');
  if (space == std::string_view::npos) return {};
  return {text.substr(0, space), text.substr(space + 1)};
}

Result<TokenizerParts> tokenizer_json_parts(const Json& root, std::string_view where) { return Reader(root, where).read(); }

Json tokenizer_json(const TokenizerParts& parts) {
  Json::Object vocabulary;
  for (const auto& [text, id] : parts.vocabulary) vocabulary.emplace_back(text, id);
  Json::Array merges, added;
  for (const auto& [left, right] : parts.merges) merges.emplace_back(fmt::format("{} {}", left, right));
  for (const auto& [text, id, special] : parts.added)
    added.push_back(object({{"id", id},
                            {"content", text},
                            {"single_word", false},
                            {"lstrip", false},
                            {"rstrip", false},
                            {"normalized", false},
                            {"special", special}}));
  const Json split =
      object({{"type", "Split"}, {"pattern", object({{"Regex", parts.pattern}})}, {"behavior", "Isolated"}, {"invert", false}});
  return object({{"version", "1.0"},
                 {"truncation", nullptr},
                 {"padding", nullptr},
                 {"added_tokens", std::move(added)},
                 {"normalizer", parts.nfc ? object({{"type", "NFC"}}) : Json()},
                 {"pre_tokenizer", object({{"type", "Sequence"}, {"pretokenizers", Json::Array{split, byte_level()}}})},
                 {"post_processor", byte_level()},
                 {"decoder", byte_level()},
                 {"model", object({{"type", "BPE"},
                                   {"dropout", nullptr},
                                   {"unk_token", nullptr},
                                   {"continuing_subword_prefix", ""},
                                   {"end_of_word_suffix", ""},
                                   {"fuse_unk", false},
                                   {"byte_fallback", false},
                                   {"ignore_merges", false},
                                   {"vocab", std::move(vocabulary)},
                                   {"merges", std::move(merges)}})}});
}

}  // namespace quern
