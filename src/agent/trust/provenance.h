// Provenance: which tools a run has a reason of its own to call. Text that a tool returned may tell a model to call another one. The rule:
// once a tool's output contains the name of a tool that changes something, and that name stood neither in what the user said (the task, the
// system prompt) nor in a call made before, the tool is suspect, and its first call needs somebody's word, whatever was agreed to beforehand.
// Names count as whole words.
// The rule knows no meanings: output that describes a tool without naming it passes, an innocent mention asks once.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "agent/tools/tool.h"

namespace quern {

class Provenance {
 public:
  // The registry must outlive this, and may come to hold other tools.
  explicit Provenance(const ToolRegistry& tools) : tools_(tools) {}

  void user(std::string_view text);    // what the user says; a tool that it names is no longer suspect
  void output(std::string_view text);  // of a tool. Of one that appeared later, outputs from before are to be given once more.
  void called(std::string_view tool);  // the model calls it; from now on it is known, and suspect only until somebody agreed
  void agreed(std::string_view tool);
  bool suspect(std::string_view tool) const { return suspects_.contains(tool); }

 private:
  const ToolRegistry& tools_;
  std::string user_;                                     // all that the user said
  std::set<std::string, std::less<>> known_, suspects_;  // called before an output named it, or agreed to; first named by an output
};

// True when `word` stands in the text with no letter, digit, - or _ beside it.
bool contains_word(std::string_view text, std::string_view word);

}  // namespace quern
