#include "text/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/check.h"
#include "base/system_error.h"

namespace quern {
namespace {

constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Named {
  std::string_view name, regex;
};
constexpr Named kPatterns[] = {{"qwen2", kQwen2}, {"qwen35", kQwen35}};

}  // namespace

struct PreTokenizer::Code {
  pcre2_code* code = nullptr;
  ~Code() { pcre2_code_free(code); }
};

struct PreTokenizer::Splitter::Scratch {
  pcre2_match_data* match = nullptr;
  pcre2_match_context* context = nullptr;
  pcre2_jit_stack* stack = nullptr;
  ~Scratch() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(match);
  }
  // Matching begins on the machine's stack. Mapping one of its own costs more than splitting a short text, and only pieces of many
  // thousand characters need it.
  bool grow() {
    if (stack) return false;
    stack = pcre2_jit_stack_create(size_t{32} << 10, size_t{64} << 20, nullptr);
    if (!stack) throw SystemError("out of memory: pre-tokenizer");
    pcre2_jit_stack_assign(context, nullptr, stack);
    return true;
  }
};

std::string_view PreTokenizer::regex_of(std::string_view name) {
  for (const Named& pattern : kPatterns)
    if (pattern.name == name) return pattern.regex;
  return {};
}

std::string_view PreTokenizer::name_of(std::string_view regex) {
  for (const Named& pattern : kPatterns)
    if (pattern.regex == regex) return pattern.name;
  return {};
}

Result<PreTokenizer> PreTokenizer::make(std::string_view regex) {
  if (name_of(regex).empty())
    return fail(Errc::unsupported, "pre-tokenizer {} is not one of the Qwen family's", regex.substr(0, 120));
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto code = std::make_shared<Code>();
  code->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(regex.data()), regex.size(), PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK,
                             &error, &offset, nullptr);
  QUERN_CHECK(code->code != nullptr, error, offset);
  pcre2_jit_compile(code->code, PCRE2_JIT_COMPLETE);  // where there is no JIT, matching interprets
  return PreTokenizer(std::move(code));
}

PreTokenizer::Splitter::Splitter(const PreTokenizer& pre) : pre_(pre), scratch_(new Scratch) {
  scratch_->match = pcre2_match_data_create_from_pattern(pre.code_->code, nullptr);
  scratch_->context = pcre2_match_context_create(nullptr);
  if (!scratch_->match || !scratch_->context) throw SystemError("out of memory: pre-tokenizer");
}
PreTokenizer::Splitter::~Splitter() = default;

void PreTokenizer::Splitter::split(std::string_view text, std::vector<size_t>& ends) {
  ends.clear();
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const PCRE2_SIZE* found = pcre2_get_ovector_pointer(scratch_->match);
  for (size_t at = 0; at < text.size();) {
    const int matched =
        pcre2_match(pre_.code_->code, subject, text.size(), at, PCRE2_NO_UTF_CHECK, scratch_->match, scratch_->context);
    if (matched == PCRE2_ERROR_JIT_STACKLIMIT && scratch_->grow()) continue;
    if (matched <= 0) {  // every character is in some alternative, so only a resource limit ends up here: the rest is one piece
      ends.push_back(text.size());
      return;
    }
    if (found[0] > at) ends.push_back(found[0]);
    ends.push_back(found[1]);
    at = found[1];
  }
}

}  // namespace quern
