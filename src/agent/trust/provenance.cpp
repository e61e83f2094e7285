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

Provenance::Provenance(const ToolRegistry& tools) {
  for (const std::string& name : tools.names())
    if (tools.find(name)->changes) unnamed_.insert(name);
}

void Provenance::user(std::string_view text) {
  for (auto* names : {&unnamed_, &suspects_})
    std::erase_if(*names, [&](const std::string& name) { return contains_word(text, name); });
}

void Provenance::output(std::string_view text) {
  for (auto name = unnamed_.begin(); name != unnamed_.end();) {
    if (!contains_word(text, *name)) {
      ++name;
      continue;
    }
    suspects_.insert(*name);
    name = unnamed_.erase(name);
  }
}

void Provenance::called(std::string_view tool) {
  if (const auto name = unnamed_.find(tool); name != unnamed_.end()) unnamed_.erase(name);
}

void Provenance::agreed(std::string_view tool) {
  if (const auto name = suspects_.find(tool); name != suspects_.end()) suspects_.erase(name);
}

}  // namespace quern
