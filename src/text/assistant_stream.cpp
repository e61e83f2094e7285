#include "text/assistant_stream.h"

#include <algorithm>
#include <array>

namespace quern {
namespace {

using Part = AssistantStream::Part;

struct Tag {
  Part within;
  std::string_view text;
  Part next;
};
constexpr std::array<Tag, 4> kTags = {{{Part::thinking, "</think>", Part::content},
                                       {Part::content, "<think>", Part::thinking},
                                       {Part::content, "<tool_call>", Part::call},
                                       {Part::call, "</tool_call>", Part::content}}};

// How much of the end of `text` may be the beginning of `tag`.
size_t begun(std::string_view text, std::string_view tag) {
  for (size_t length = std::min(text.size(), tag.size() - 1); length > 0; --length)
    if (text.ends_with(tag.substr(0, length))) return length;
  return 0;
}

}  // namespace

void AssistantStream::give(std::string_view text) {
  if (fresh_) text.remove_prefix(std::min(text.size(), text.find_first_not_of(" \n")));
  if (text.empty()) return;
  fresh_ = false;
  sink_(part_, text);
}

void AssistantStream::feed(std::string_view text) {
  held_ += text;
  for (;;) {
    const Tag* found = nullptr;
    size_t at = std::string::npos, open = 0;
    for (const Tag& tag : kTags) {
      if (tag.within != part_) continue;
      if (const size_t place = held_.find(tag.text); place < at) at = place, found = &tag;
      open = std::max(open, begun(held_, tag.text));
    }
    if (!found) {
      give(std::string_view(held_).substr(0, held_.size() - open));
      held_.erase(0, held_.size() - open);
      return;
    }
    give(std::string_view(held_).substr(0, at));
    held_.erase(0, at + found->text.size());
    part_ = found->next;
    fresh_ = true;
  }
}

void AssistantStream::finish() {
  give(held_);
  held_.clear();
}

}  // namespace quern
