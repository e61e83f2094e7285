// What a model says, taken apart while it is being said, for whoever watches: reasoning, words, and calls, which are shown in another way.
// assistant_parser.h has the last word on what was said.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace quern {

class AssistantStream {
 public:
  enum class Part { thinking, content, call };
  using Sink = std::function<void(Part part, std::string_view text)>;

  // thinking: the prompt has opened the block of reasoning already. Tags themselves are given to nobody.
  AssistantStream(bool thinking, Sink sink) : sink_(std::move(sink)), part_(thinking ? Part::thinking : Part::content) {}

  void feed(std::string_view text);
  void finish();  // nothing follows: what could have been the beginning of a tag was none

  Part part() const { return part_; }

 private:
  void give(std::string_view text);

  Sink sink_;
  Part part_;
  std::string held_;   // might be the beginning of a tag
  bool fresh_ = true;  // nothing of this part was given yet: white space in front of it is left out
};

}  // namespace quern
