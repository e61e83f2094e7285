#include "text/gguf_tokenizer.h"

#include "base/utf8.h"
#include "text/pre_tokenizer.h"

namespace quern {
namespace {

constexpr std::string_view kModel = "tokenizer.ggml.model", kPre = "tokenizer.ggml.pre", kTokens = "tokenizer.ggml.tokens",
                           kTypes = "tokenizer.ggml.token_type", kMerges = "tokenizer.ggml.merges",
                           kTemplate = "tokenizer.chat_template", kEos = "tokenizer.ggml.eos_token_id",
                           kPadding = "tokenizer.ggml.padding_token_id", kBos = "tokenizer.ggml.bos_token_id",
                           kAddBos = "tokenizer.ggml.add_bos_token";

enum TokenType : int32_t { normal = 1, control = 3, user_defined = 4, unused = 5 };

// What would put tokens or characters into every text; the family's files say false or nothing.
Result<void> check_no_additions(const GgufMetadata& metadata) {
  for (const std::string_view key :
       {kAddBos, std::string_view("tokenizer.ggml.add_eos_token"), std::string_view("tokenizer.ggml.add_space_prefix")}) {
    if (!metadata.has(key)) continue;
    QUERN_ASSIGN(const bool adds, metadata.boolean(key));
    if (adds) return metadata.bad(Errc::unsupported, key, "true, expected false");
  }
  return {};
}

Result<void> read_tokens(const GgufMetadata& metadata, TokenizerParts& parts) {
  QUERN_ASSIGN(const auto tokens, metadata.strings(kTokens));
  QUERN_ASSIGN(const auto types, metadata.integers(kTypes));
  if (types.size() != tokens.size())
    return metadata.bad(Errc::mismatch, kTypes, "{} types of {} tokens", types.size(), tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto id = static_cast<int64_t>(i);
    if (types[i] == normal)
      parts.vocabulary.push_back({tokens[i], id});
    else if (types[i] == control || types[i] == user_defined)
      parts.added.push_back({tokens[i], id, types[i] == control});
    else if (types[i] != unused)
      return metadata.bad(Errc::unsupported, kTypes,
                          "type {} of token {}: 1 (normal), 3 (control), 4 (user-defined) and 5 (unused) are known", types[i], id);
  }
  return {};
}

Result<void> add_id(std::string_view where, std::string_view key, std::optional<int64_t> id, int64_t vocab_size,
                    GgufKeyValues& out) {
  if (!id) return {};
  if (*id < 0 || *id >= vocab_size)
    return fail(Errc::out_of_range, "{}: {}: {} is outside the vocabulary of {}", where, key, *id, vocab_size);
  out.u32(key, static_cast<uint32_t>(*id));
  return {};
}

}  // namespace

Result<std::optional<TokenizerParts>> gguf_tokenizer_parts(const GgufMetadata& metadata) {
  if (!metadata.has(kModel)) return std::nullopt;
  QUERN_ASSIGN(const std::string_view model, metadata.string(kModel));
  if (model == "no_vocab" || model == "none") return std::nullopt;
  if (model != "gpt2") return metadata.bad(Errc::unsupported, kModel, "{} (gpt2 is known)", gguf_name_text(model.substr(0, 60)));
  QUERN_ASSIGN(const std::string_view pre, metadata.string(kPre));
  TokenizerParts parts{.pattern = PreTokenizer::regex_of(pre), .nfc = true};
  if (parts.pattern.empty())
    return metadata.bad(Errc::unsupported, kPre, "{} (qwen2 and qwen35 are known)", gguf_name_text(pre.substr(0, 60)));
  parts.vocabulary_field = parts.added_field = kTokens;
  parts.merges_field = kMerges;
  QUERN_TRY(check_no_additions(metadata));
  QUERN_TRY(read_tokens(metadata, parts));
  QUERN_ASSIGN(const auto merges, metadata.strings(kMerges));
  parts.merges.reserve(merges.size());
  for (const std::string_view merge : merges) parts.merges.push_back(split_merge(merge));
  return std::optional<TokenizerParts>(std::move(parts));
}

Result<std::optional<Tokenizer>> gguf_tokenizer(const GgufMetadata& metadata) {
  QUERN_ASSIGN(const auto parts, gguf_tokenizer_parts(metadata));
  if (!parts) return std::nullopt;
  QUERN_ASSIGN(Tokenizer tokenizer, Tokenizer::from_parts(*parts, metadata.where()));
  return std::optional<Tokenizer>(std::move(tokenizer));
}

Result<std::string> gguf_chat_template(const GgufMetadata& metadata) {
  if (!metadata.has(kTemplate)) return std::string();
  QUERN_ASSIGN(const std::string_view text, metadata.string(kTemplate));
  if (const size_t at = find_invalid_utf8(text); at != std::string_view::npos)
    return metadata.bad(Errc::malformed, kTemplate, "not valid UTF-8 at byte {}", at);
  return std::string(text);
}

Result<void> add_gguf_tokenizer(const TokenizerParts& parts, const GgufTokenizerIds& ids, std::string_view where,
                                GgufKeyValues& out) {
  QUERN_ASSIGN(const Tokenizer tokenizer, Tokenizer::from_parts(parts, where));  // from here on the parts agree
  if (!parts.nfc) return fail(Errc::unsupported, "{}: GGUF's {} cannot say a tokenizer without NFC", where, kPre);
  if (tokenizer.vocab_size() > ids.vocab_size)
    return fail(Errc::out_of_range, "{}: {} tokens in a vocabulary of {}", where, tokenizer.vocab_size(), ids.vocab_size);
  const auto size = static_cast<size_t>(ids.vocab_size);
  std::vector<std::string_view> tokens(size);
  std::vector<int32_t> types(size, unused);
  const auto place = [&](int64_t id, std::string_view text, TokenType type) {
    tokens[static_cast<size_t>(id)] = text, types[static_cast<size_t>(id)] = type;
  };
  for (const auto& [text, id] : parts.vocabulary) place(id, text, normal);
  for (const auto& [text, id, special] : parts.added) place(id, text, special ? control : user_defined);
  std::vector<std::string> texts(size);  // what the views of unused ids and of merges look at
  for (size_t i = 0; i < size; ++i)
    if (types[i] == unused) tokens[i] = texts[i] = fmt::format("[PAD{}]", i);
  out.string(kModel, "gpt2");
  out.string(kPre, PreTokenizer::name_of(parts.pattern));
  out.strings(kTokens, tokens);
  out.i32s(kTypes, types);
  texts.clear();
  for (const auto& [left, right] : parts.merges) texts.push_back(fmt::format("{} {}", left, right));
  const std::vector<std::string_view> merges(texts.begin(), texts.end());
  out.strings(kMerges, merges);
  QUERN_TRY(add_id(where, kEos, ids.eos, ids.vocab_size, out));
  QUERN_TRY(add_id(where, kPadding, ids.padding, ids.vocab_size, out));
  QUERN_TRY(add_id(where, kBos, ids.bos, ids.vocab_size, out));
  out.boolean(kAddBos, false);
  return {};
}

void add_gguf_no_tokenizer(GgufKeyValues& out) { out.string(kModel, "no_vocab"); }

}  // namespace quern
