#include "runtime/forced_text.h"

#include "base/utf8.h"

namespace quern {
namespace {

// The tags that turns are made of are single tokens; any other added token's text stays text, as everywhere.
Prompt with_markup(std::string_view text) {
  Prompt prompt;
  while (!text.empty()) {
    size_t at = std::string_view::npos, length = 0;
    for (const std::string_view tag : {"<tool_call>", "</tool_call>", "<think>", "</think>"})
      if (const size_t found = text.find(tag); found < at) at = found, length = tag.size();
    if (at > 0) prompt.push_back({std::string(text.substr(0, at)), false});
    if (at == std::string_view::npos) break;
    prompt.push_back({std::string(text.substr(at, length)), true});
    text.remove_prefix(at + length);
  }
  return prompt;
}

}  // namespace

bool is_over(Matcher& matcher) {
  if (!matcher.can_end()) return false;
  for (int byte = 0; byte < 256; ++byte)
    if (matcher.machine().step(matcher.state(), static_cast<uint8_t>(byte), matcher.text())) return false;
  return true;
}

std::vector<int32_t> accept_forced(Matcher& matcher, const Tokenizer& tokenizer, int64_t limit) {
  std::string text = matcher.forced();
  text.resize(complete_utf8_prefix(text));
  if (text.empty()) return {};
  auto encoded = tokenizer.encode(with_markup(text));
  if (!encoded) return {};  // the rest of a character that the model began: it finishes it, under the mask
  std::vector<int32_t> ids = std::move(*encoded);
  // Where the tokenizer's normal form is another text than the one wanted, what comes before is still right.
  size_t taken = 0;
  while (taken < ids.size() && ids[taken] < limit && matcher.accept(ids[taken])) ++taken;
  const bool certain = taken == ids.size() && (tokenizer.is_added(ids.back()) || is_over(matcher));
  if (!certain && taken > 0) {
    matcher.rollback(1);
    --taken;
  }
  ids.resize(taken);
  return ids;
}

}  // namespace quern
