#include "agent/trust/provenance.h"

#include <cctype>

namespace quern {

bool contains_word(std::string_view text, std::string_view word) {
  const auto in_a_word = [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u >= 0x80 || std::isalnum(u) || c == '_' || c == '-';
  };
  for (size_t at = text.find(word); at != std::string_view::npos && !word.empty(); at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || !in_a_word(text[at - 1])) && (end == text.size() || !in_a_word(text[end]))) return true;
  }
  return false;
}

void Provenance::user(std::string_view text) {
  user_.append(text).append("\n");
  std::erase_if(suspects_, [&](const std::string& name) { return contains_word(text, name); });
}

void Provenance::output(std::string_view text) {
  for (const std::string& name : tools_.names())
    if (tools_.find(name)->changes && !known_.contains(name) && contains_word(text, name) && !contains_word(user_, name))
      suspects_.insert(name);
}

void Provenance::called(std::string_view tool) {
  if (!suspect(tool)) known_.emplace(tool);
}

void Provenance::agreed(std::string_view tool) {
  known_.emplace(tool);
  if (const auto name = suspects_.find(tool); name != suspects_.end()) suspects_.erase(name);
}

}  // namespace quern
