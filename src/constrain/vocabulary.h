// A tokenizer's vocabulary, arranged for masks: tries of its tokens' bytes, and bit sets of the tokens that are plain text, by length.
// Made once a tokenizer (about 60 ms and 8 MB for 151,936 tokens); immutable; may be shared between threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace quern {

// A set of token ids.
class TokenMask {
 public:
  explicit TokenMask(size_t vocab_size = 0) : words_((vocab_size + 63) / 64) {}
  bool test(int32_t id) const {
    const auto i = static_cast<size_t>(id);
    return i / 64 < words_.size() && (words_[i / 64] >> (i % 64) & 1);
  }
  void set(int32_t id) { words_[static_cast<size_t>(id) / 64] |= uint64_t{1} << (static_cast<size_t>(id) % 64); }
  void clear() { std::fill(words_.begin(), words_.end(), 0); }
  TokenMask& operator|=(const TokenMask& other);
  int64_t count() const;
  bool empty() const;
  size_t size() const { return words_.size() * 64; }  // at least the vocabulary's size
  std::span<const uint64_t> words() const { return words_; }
  std::span<uint64_t> words() { return words_; }
  friend bool operator==(const TokenMask&, const TokenMask&) = default;

 private:
  std::vector<uint64_t> words_;
};

// Tokens in depth-first order of their bytes: node i has one byte, the token that ends there (-1: none), and where the walk goes on when
// the byte is refused.
class TokenTrie {
 public:
  struct Node {
    uint8_t byte;
    uint8_t depth;  // bytes up to and with this one, from 1
    int32_t token;
    uint32_t skip;  // the next node outside of this one's subtree
  };
  TokenTrie() = default;
  // Sorted by bytes; no empty ones; at most 255 bytes each.
  explicit TokenTrie(std::span<const std::pair<std::string_view, int32_t>> sorted);
  std::span<const Node> nodes() const { return nodes_; }

 private:
  std::vector<Node> nodes_;
};

class Vocabulary {
 public:
  // Tokens of the tokenizer that text is made of. Added tokens: those of `markup` (<tool_call>, <think> …) count as their bytes, the
  // others never appear in a mask. end_ids: the tokens that end a turn, allowed where the text may end.
  Vocabulary(const Tokenizer& tokenizer, std::vector<int32_t> end_ids);
  // Tokens given directly, for tests: id i has bytes tokens[i]; empty: no token.
  Vocabulary(std::vector<std::string> tokens, std::vector<int32_t> end_ids);

  size_t size() const { return bytes_.size(); }
  std::string_view bytes(int32_t id) const { return bytes_[static_cast<size_t>(id)]; }  // empty: never part of constrained text
  std::span<const int32_t> end_ids() const { return end_ids_; }
  bool is_end(int32_t id) const;

  const TokenTrie& all() const { return all_; }
  const TokenTrie& with_quote() const { return with_quote_; }        // tokens with a '"'
  const TokenTrie& without_quote() const { return without_quote_; }  // the others
  const TokenTrie& odd() const { return odd_; }                      // without '"', and not plain
  // Plain tokens (whole characters that Lexer::is_plain, the last one possibly unfinished) of at most this many characters.
  const TokenMask& plain(int characters) const;
  int longest_plain() const { return static_cast<int>(plain_.size()) - 1; }

 private:
  void build();

  std::vector<std::string> bytes_;
  std::vector<int32_t> end_ids_;
  TokenTrie all_, with_quote_, without_quote_, odd_;
  std::vector<TokenMask> plain_;
};

}  // namespace quern
