// Whether calls are right by the leaderboard's rules for syntax trees, read from its checker and written anew:
//
// A call is right when it has the function's name, every required parameter, no parameter that the function or the answer does not
// know, for each of them an allowed value of the right type, and leaves out only what the answer allows to be left out ("" among its
// values). An integer is good enough for a float. Strings count without case, spaces and , . / - _ * ^ and with either quote; in lists
// and dicts so do those one level down. A value of the answer's type passes for the documented one (a variable's name), then compared
// exactly. Lists keep their order, calls in parallel do not. Values of Java and JavaScript are source text, read by bfcl_source.h; an integer is
// no float there.
#pragma once

#include <string>
#include <vector>

#include "eval/bfcl.h"
#include "text/conversation.h"

namespace quern {

struct BfclVerdict {
  bool right = false;
  // Of the error, short: "wrong_count", "wrong_function", "missing_parameter", "unexpected_parameter", "type", "value" …
  std::string kind;
  std::string error;  // one line
};

BfclVerdict score_bfcl(const BfclItem& item, BfclRule rule, const std::vector<ToolCall>& calls);

}  // namespace quern
