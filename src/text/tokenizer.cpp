#include "text/tokenizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <deque>
#include <unordered_map>

#include "base/check.h"
#include "base/file.h"
#include "base/system_error.h"
#include "base/utf8.h"
#include "text/bpe.h"
#include "text/pre_tokenizer.h"

namespace quern {
namespace {

constexpr int64_t kMaxId = 1 << 24;

// GPT-2's printable alphabet for bytes: itself where printable Latin-1, otherwise 256, 257, … in order.
std::array<char32_t, 256> byte_alphabet() {
  std::array<char32_t, 256> alphabet{};
  char32_t next = 256;
  for (char32_t b = 0; b < 256; ++b) {
    const bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
    alphabet[b] = printable ? b : next++;
  }
  return alphabet;
}

// Reads a vocabulary entry's printable form back into bytes.
class ByteDecoder {
 public:
  ByteDecoder() {
    const auto alphabet = byte_alphabet();
    for (size_t b = 0; b < 256; ++b) {
      std::string encoded;
      append_utf8(encoded, alphabet[b]);
      bytes_[encoded] = static_cast<char>(static_cast<unsigned char>(b));
    }
  }
  std::optional<std::string> decode(std::string_view printable) const {
    std::string out;
    for (size_t at = 0; at < printable.size();) {
      const size_t length = static_cast<unsigned char>(printable[at]) < 0x80 ? 1 : 2;  // the alphabet ends at U+0143
      const auto found = bytes_.find(std::string(printable.substr(at, length)));
      if (found == bytes_.end()) return {};
      out += found->second;
      at += length;
    }
    return out;
  }

 private:
  std::unordered_map<std::string, char> bytes_;
};

struct AddedToken {
  std::string text;
  int32_t id = 0;
  bool special = false;
};

// NFC. Characters below U+0300 (no byte from 0xCC up) are in that form already.
std::string normalise(std::string_view text, bool nfc) {
  const bool plain = std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0xCC; });
  if (plain || !nfc) return std::string(text);
  utf8proc_uint8_t* out = nullptr;
  const auto length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()), &out,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (length < 0) throw SystemError(fmt::format("normalising text: {}", utf8proc_errmsg(length)));
  std::string result(reinterpret_cast<char*>(out), static_cast<size_t>(length));
  std::free(out);
  return result;
}

}  // namespace

struct Tokenizer::Impl {
  std::vector<std::string> bytes;  // by id
  std::vector<bool> special, added;
  std::vector<AddedToken> added_tokens;  // longest first
  std::array<bool, 256> starts_added{};  // first bytes of added tokens
  std::unordered_map<std::string, int32_t> added_ids;
  std::optional<Bpe> bpe;
  std::optional<PreTokenizer> pre_tokenizer;
  bool nfc = false;

  const AddedToken* match_added(std::string_view text) const {
    for (const AddedToken& token : added_tokens)
      if (text.starts_with(token.text)) return &token;
    return nullptr;
  }
};

namespace {

// Makes an Impl of parts, one after the other, each checked against those before it.
class Builder {
 public:
  Builder(const TokenizerParts& parts, std::string_view where) : parts_(parts), where_(where) {}

  Result<void> build(Tokenizer::Impl& t) {
    t.nfc = parts_.nfc;
    if (parts_.pattern.empty()) return bad(Errc::unsupported, "no pre-tokenizer of the Qwen family");
    auto pre_tokenizer = PreTokenizer::make(parts_.pattern);
    if (!pre_tokenizer) return with_context(pre_tokenizer.error(), where_);
    t.pre_tokenizer = std::move(*pre_tokenizer);
    QUERN_TRY(vocabulary(t));
    QUERN_TRY(merges(t));
    return added_tokens(t);
  }

 private:
  template <class... Args>
  tl::unexpected<Error> bad(Errc code, fmt::format_string<Args...> format, Args&&... args) const {
    return fail(code, "{}: {}", where_, fmt::format(format, std::forward<Args>(args)...));
  }
  Result<void> vocabulary(Tokenizer::Impl& t);
  Result<void> merges(Tokenizer::Impl& t) const;
  Result<void> added_tokens(Tokenizer::Impl& t) const;
  Result<void> place(Tokenizer::Impl& t, int64_t id, std::string bytes) const;

  const TokenizerParts& parts_;
  std::string_view where_;
  std::unordered_map<std::string_view, int32_t> ids_;  // printable form -> id
};

Result<void> Builder::place(Tokenizer::Impl& t, int64_t id, std::string bytes) const {
  if (id < 0 || id >= kMaxId) return bad(Errc::out_of_range, "token id {} is outside 0 to {}", id, kMaxId - 1);
  if (const auto size = static_cast<size_t>(id) + 1; t.bytes.size() < size)
    t.bytes.resize(size), t.special.resize(size), t.added.resize(size);
  t.bytes[static_cast<size_t>(id)] = std::move(bytes);
  return {};
}

Result<void> Builder::vocabulary(Tokenizer::Impl& t) {
  const ByteDecoder decoder;
  std::vector<bool> used;
  ids_.reserve(parts_.vocabulary.size());
  for (const auto& [printable, id] : parts_.vocabulary) {
    auto bytes = decoder.decode(printable);
    if (!bytes) return bad(Errc::malformed, "{}: token {} is not in the byte alphabet", parts_.vocabulary_field, id);
    QUERN_TRY(place(t, id, std::move(*bytes)));
    used.resize(t.bytes.size());
    if (used[static_cast<size_t>(id)]) return bad(Errc::malformed, "{}: id {} is given twice", parts_.vocabulary_field, id);
    used[static_cast<size_t>(id)] = true;
    if (!ids_.emplace(printable, static_cast<int32_t>(id)).second)
      return bad(Errc::malformed, "{}: token {} has the text of another", parts_.vocabulary_field, id);
  }
  return {};
}

Result<void> Builder::merges(Tokenizer::Impl& t) const {
  std::vector<Bpe::Merge> merges;
  merges.reserve(parts_.merges.size());
  std::string joined;
  for (const auto& [left, right] : parts_.merges) {
    joined.assign(left).append(right);
    const auto l = ids_.find(left), r = ids_.find(right), m = ids_.find(joined);
    if (left.empty() || l == ids_.end() || r == ids_.end() || m == ids_.end())
      return bad(Errc::malformed, "{}[{}]: not two tokens of the vocabulary that make a third", parts_.merges_field, merges.size());
    merges.push_back({l->second, r->second, m->second});
  }
  const auto alphabet = byte_alphabet();
  std::vector<int32_t> byte_ids(256, -1);
  for (size_t b = 0; b < 256; ++b) {
    std::string printable;
    append_utf8(printable, alphabet[b]);
    if (const auto found = ids_.find(printable); found != ids_.end()) byte_ids[b] = found->second;
  }
  t.bpe.emplace(std::move(byte_ids), merges);
  return {};
}

Result<void> Builder::added_tokens(Tokenizer::Impl& t) const {
  for (const auto& [text, id, special] : parts_.added) {
    if (text.empty()) return bad(Errc::malformed, "{}: token {} is empty", parts_.added_field, id);
    QUERN_TRY(place(t, id, std::string(text)));
    AddedToken token{std::string(text), static_cast<int32_t>(id), special};
    t.special[static_cast<size_t>(token.id)] = token.special;
    t.added[static_cast<size_t>(token.id)] = true;
    t.starts_added[static_cast<unsigned char>(token.text[0])] = true;
    t.added_ids.emplace(token.text, token.id);
    t.added_tokens.push_back(std::move(token));
  }
  std::stable_sort(t.added_tokens.begin(), t.added_tokens.end(),
                   [](const AddedToken& a, const AddedToken& b) { return a.text.size() > b.text.size(); });
  return {};
}

// One encode call: its scratch, and the words it has met.
class Encoder {
 public:
  explicit Encoder(const Tokenizer::Impl& tokenizer) : t_(tokenizer), splitter_(*tokenizer.pre_tokenizer) {}

  void added(int32_t id) { out_.push_back(id); }
  void given(const std::vector<int32_t>& ids) { out_.insert(out_.end(), ids.begin(), ids.end()); }
  void text(std::string_view text) {
    if (text.empty()) return;
    const std::string& normalised = texts_.emplace_back(normalise(text, t_.nfc));  // kept: the cache's keys are views into it
    splitter_.split(normalised, ends_);
    size_t begin = 0;
    for (const size_t end : ends_) {
      word(std::string_view(normalised).substr(begin, end - begin));
      begin = end;
    }
  }
  std::vector<int32_t> take() { return std::move(out_); }

 private:
  struct Span {
    size_t begin, count;
  };
  void word(std::string_view word) {
    const auto [at, fresh] = cache_.try_emplace(word, Span{out_.size(), 0});
    if (fresh) {
      t_.bpe->encode(word, out_, scratch_);
      at->second.count = out_.size() - at->second.begin;
      return;
    }
    const Span span = at->second;
    for (size_t i = 0; i < span.count; ++i) {
      const int32_t id = out_[span.begin + i];
      out_.push_back(id);
    }
  }

  const Tokenizer::Impl& t_;
  PreTokenizer::Splitter splitter_;
  std::deque<std::string> texts_;
  std::vector<size_t> ends_;
  std::vector<int32_t> out_, scratch_;
  std::unordered_map<std::string_view, Span> cache_;
};

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::parse(std::string_view json, std::string_view where) {
  QUERN_ASSIGN(const Json root, Json::parse(json, where, {.max_depth = 32}));
  QUERN_ASSIGN(const TokenizerParts parts, tokenizer_json_parts(root, where));
  return from_parts(parts, where);
}

Result<Tokenizer> Tokenizer::from_parts(const TokenizerParts& parts, std::string_view where) {
  auto impl = std::make_unique<Impl>();
  QUERN_TRY(Builder(parts, where).build(*impl));
  return Tokenizer(std::move(impl));
}

Result<Tokenizer> Tokenizer::load(const std::filesystem::path& path) {
  QUERN_ASSIGN(const std::string text, read_file(path, size_t{256} << 20));
  return parse(text, path.string());
}

Result<std::vector<int32_t>> Tokenizer::encode(std::string_view text, bool trusted) const {
  return encode(Prompt{{std::string(text), trusted}});
}

Result<std::vector<int32_t>> Tokenizer::encode(const Prompt& prompt) const {
  const std::string text = prompt_text(prompt);
  if (const size_t at = find_invalid_utf8(text); at != std::string_view::npos)
    return fail(Errc::malformed, "the text is not valid UTF-8 at byte {}", at);
  Encoder encoder(*impl_);
  size_t plain = 0, begin = 0;  // text from `plain` on waits to be encoded; `begin` is where the current run of equal trust starts
  for (size_t p = 0; p < prompt.size();) {
    if (!prompt[p].ids.empty()) {
      encoder.text(std::string_view(text).substr(plain, begin - plain));
      encoder.given(prompt[p].ids);
      plain = begin += prompt[p++].text.size();
      continue;
    }
    size_t end = begin;
    const bool trusted = prompt[p].trusted;
    while (p < prompt.size() && prompt[p].trusted == trusted && prompt[p].ids.empty()) end += prompt[p++].text.size();
    for (size_t at = begin; trusted && at < end;) {
      const std::string_view rest = std::string_view(text).substr(at, end - at);
      const AddedToken* token = impl_->starts_added[static_cast<unsigned char>(rest[0])] ? impl_->match_added(rest) : nullptr;
      if (!token) {
        ++at;
        continue;
      }
      encoder.text(std::string_view(text).substr(plain, at - plain));
      encoder.added(token->id);
      plain = at += token->text.size();
    }
    begin = end;
  }
  encoder.text(std::string_view(text).substr(plain));
  return encoder.take();
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  return id >= 0 && id < vocab_size() ? std::string_view(impl_->bytes[static_cast<size_t>(id)]) : std::string_view();
}
bool Tokenizer::is_special(int32_t id) const { return id >= 0 && id < vocab_size() && impl_->special[static_cast<size_t>(id)]; }
bool Tokenizer::is_added(int32_t id) const { return id >= 0 && id < vocab_size() && impl_->added[static_cast<size_t>(id)]; }
int32_t Tokenizer::find_added(std::string_view text) const {
  const auto found = impl_->added_ids.find(std::string(text));
  return found == impl_->added_ids.end() ? -1 : found->second;
}
int32_t Tokenizer::vocab_size() const { return static_cast<int32_t>(impl_->bytes.size()); }

Result<std::string> Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string bytes;
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocab_size()) return fail(Errc::out_of_range, "id {} is outside the vocabulary of {}", id, vocab_size());
    if (!(skip_special && is_special(id))) bytes += token_bytes(id);
  }
  return replace_invalid_utf8(bytes);
}

std::string StreamDecoder::push(int32_t id) {
  pending_ += tokenizer_->token_bytes(id);
  const size_t whole = complete_utf8_prefix(pending_);
  std::string out = replace_invalid_utf8(std::string_view(pending_).substr(0, whole));
  pending_.erase(0, whole);
  return out;
}

std::string StreamDecoder::finish() { return replace_invalid_utf8(std::exchange(pending_, {})); }

}  // namespace quern
