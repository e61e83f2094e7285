#include "constrain/vocabulary.h"

#include <algorithm>
#include <bit>

#include "base/utf8.h"
#include "constrain/lexer.h"

namespace quern {
namespace {

constexpr size_t kLongestToken = 255;

// The characters of a plain token; -1 when it is not plain.
int plain_characters(std::string_view bytes) {
  const size_t whole = complete_utf8_prefix(bytes);
  if (find_invalid_utf8(bytes.substr(0, whole)) != std::string_view::npos) return -1;
  int characters = whole < bytes.size() ? 1 : 0;
  // An unfinished character must begin like one that is plain whatever follows; E2 80 could become U+2028.
  if (whole < bytes.size()) {
    const std::string_view rest = bytes.substr(whole);
    if (rest[0] == '\xE2' && (rest.size() == 1 || rest[1] == '\x80')) return -1;
  }
  for (const char32_t c : code_points(bytes.substr(0, whole))) {
    if (!Lexer::is_plain(c)) return -1;
    ++characters;
  }
  return characters;
}

}  // namespace

TokenMask& TokenMask::operator|=(const TokenMask& other) {
  for (size_t i = 0; i < std::min(words_.size(), other.words_.size()); ++i) words_[i] |= other.words_[i];
  return *this;
}

int64_t TokenMask::count() const {
  int64_t n = 0;
  for (const uint64_t w : words_) n += std::popcount(w);
  return n;
}

bool TokenMask::empty() const {
  return std::all_of(words_.begin(), words_.end(), [](uint64_t w) { return w == 0; });
}

TokenTrie::TokenTrie(std::span<const std::pair<std::string_view, int32_t>> sorted) {
  std::vector<size_t> path;  // the open nodes, by depth
  std::string_view before;
  const auto close_to = [&](size_t depth) {
    while (path.size() > depth) {
      nodes_[path.back()].skip = static_cast<uint32_t>(nodes_.size());
      path.pop_back();
    }
  };
  for (const auto& [bytes, id] : sorted) {
    size_t common = static_cast<size_t>(
        std::mismatch(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(std::min(bytes.size(), before.size())),
                      before.begin())
            .first -
        bytes.begin());
    if (common == bytes.size()) --common;  // the same bytes as the token before: a sibling of its last node
    close_to(common);
    for (size_t i = common; i < bytes.size(); ++i) {
      path.push_back(nodes_.size());
      nodes_.push_back({static_cast<uint8_t>(bytes[i]), static_cast<uint8_t>(i + 1), -1, 0});
    }
    nodes_.back().token = id;
    before = bytes;
  }
  close_to(0);
}

Vocabulary::Vocabulary(const Tokenizer& tokenizer, std::vector<int32_t> end_ids) : end_ids_(std::move(end_ids)) {
  // Added tokens that stand for markup a turn may contain; all others never belong into text.
  constexpr std::string_view kMarkup[] = {"<tool_call>", "</tool_call>", "<think>", "</think>"};
  bytes_.resize(static_cast<size_t>(tokenizer.vocab_size()));
  for (size_t i = 0; i < bytes_.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    const std::string_view bytes = tokenizer.token_bytes(id);
    if (!tokenizer.is_added(id) || std::find(std::begin(kMarkup), std::end(kMarkup), bytes) != std::end(kMarkup)) bytes_[i] = bytes;
  }
  build();
}

Vocabulary::Vocabulary(std::vector<std::string> tokens, std::vector<int32_t> end_ids)
    : bytes_(std::move(tokens)), end_ids_(std::move(end_ids)) {
  build();
}

bool Vocabulary::is_end(int32_t id) const { return std::find(end_ids_.begin(), end_ids_.end(), id) != end_ids_.end(); }

const TokenMask& Vocabulary::plain(int characters) const {
  return plain_[std::min(static_cast<size_t>(std::max(characters, 0)), plain_.size() - 1)];
}

void Vocabulary::build() {
  for (const int32_t id : end_ids_)
    if (id >= 0 && static_cast<size_t>(id) < bytes_.size()) bytes_[static_cast<size_t>(id)].clear();
  std::vector<std::pair<std::string_view, int32_t>> sorted;
  for (size_t i = 0; i < bytes_.size(); ++i)
    if (!bytes_[i].empty() && bytes_[i].size() <= kLongestToken) sorted.emplace_back(bytes_[i], static_cast<int32_t>(i));
  std::sort(sorted.begin(), sorted.end());
  all_ = TokenTrie(sorted);
  std::vector<std::pair<std::string_view, int32_t>> with_quote, without_quote, odd;
  std::vector<std::vector<int32_t>> by_length(1);
  for (const auto& entry : sorted) {
    if (entry.first.find('"') != std::string_view::npos) {
      with_quote.push_back(entry);
      continue;
    }
    without_quote.push_back(entry);
    const int characters = plain_characters(entry.first);
    if (characters < 0) {
      odd.push_back(entry);
      continue;
    }
    if (by_length.size() <= static_cast<size_t>(characters)) by_length.resize(static_cast<size_t>(characters) + 1);
    by_length[static_cast<size_t>(characters)].push_back(entry.second);
  }
  with_quote_ = TokenTrie(with_quote);
  without_quote_ = TokenTrie(without_quote);
  odd_ = TokenTrie(odd);
  TokenMask mask(bytes_.size());
  for (const std::vector<int32_t>& ids : by_length) {
    for (const int32_t id : ids) mask.set(id);
    plain_.push_back(mask);
  }
}

}  // namespace quern
