// The Qwen pre-tokenizer: splits text into the pieces BPE works inside of, by the family's regular expression (PCRE2, JIT, Unicode
// properties). Only the published expressions are run: a checkpoint cannot bring one of its own.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quern {

class PreTokenizer {
 public:
  // unsupported for an expression that is not one of the family's.
  static Result<PreTokenizer> make(std::string_view regex);
  // The family's expressions by the names that GGUF has for them ("qwen2", "qwen35"); empty for others, in both directions.
  static std::string_view regex_of(std::string_view name);
  static std::string_view name_of(std::string_view regex);

  // Calls `piece` with every part of text, in order, nothing left out. Text is valid UTF-8. Scratch lives in the splitter.
  class Splitter {
   public:
    explicit Splitter(const PreTokenizer& pre);
    ~Splitter();
    Splitter(const Splitter&) = delete;
    Splitter& operator=(const Splitter&) = delete;
    // Fills `ends` with the end offset of each piece.
    void split(std::string_view text, std::vector<size_t>& ends);

   private:
    struct Scratch;
    const PreTokenizer& pre_;
    std::unique_ptr<Scratch> scratch_;
  };

 private:
  struct Code;
  explicit PreTokenizer(std::shared_ptr<const Code> code) : code_(std::move(code)) {}
  std::shared_ptr<const Code> code_;
};

}  // namespace quern
