// The Berkeley Function Calling Leaderboard's single-turn questions (version 4 of its files): one question, functions to choose
// from, and the calls that are right. quern reads the files where somebody put them; it does not come with them.
//
//   FOLDER/BFCL_v4_CATEGORY.json                   a line an item: {"id", "question": [[messages]], "function": [docs]}
//   FOLDER/possible_answer/BFCL_v4_CATEGORY.json   {"id", "ground_truth": [{"name": {"parameter": [values]}}]}; "" among the
//                                                  values: the parameter may be left out. Irrelevance and relevance have none.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "eval/bfcl_source.h"
#include "text/conversation.h"

namespace quern {

enum class BfclRule {
  one_call,     // simple: exactly one call
  choose,       // multiple: one call, of one of several functions
  in_parallel,  // parallel, parallel_multiple: all of the calls, in any order
  no_call,      // irrelevance
  some_call,    // relevance
  in_turns,     // multi_turn: services in the right state after every turn (bfcl_turns.h)
};

struct BfclCategory {
  std::string_view name;
  BfclRule rule;
  bool live = false;  // asked by users, not written for the test
  BfclLanguage language = BfclLanguage::python;
};
// Those that quern scores.
std::span<const BfclCategory> bfcl_categories();
// invalid_argument: no such category, or one that quern does not score, with the reason.
Result<BfclCategory> find_bfcl_category(std::string_view name);

struct BfclItem {
  std::string id;
  std::vector<Message> messages;
  std::vector<Json> functions;  // as the file has them
  std::vector<Json> tools;      // as a model is told
  std::vector<Json> answers;    // each {"name": {"parameter": [values]}}
  BfclLanguage language = BfclLanguage::python;
};

// Of a category without turns. Errors: not_found, malformed ("FILE:LINE: …").
Result<std::vector<BfclItem>> load_bfcl(const std::filesystem::path& folder, const BfclCategory& category);

// Calls that were made elsewhere, to be scored: a line an item, {"id": …, "result": [{"name": {arguments}}]}; what is no such list
// counts as no calls that can be read. Errors: not_found, malformed.
struct BfclResult {
  bool readable = false;
  std::vector<ToolCall> calls;
};
Result<std::unordered_map<std::string, BfclResult>> load_bfcl_results(const std::filesystem::path& file);

// A function's doc as a tool: dict, float, tuple, list and bool become JSON Schema's types, `any` none; only the named parameters
// are allowed where some are named; what is no keyword (optional) and what only describes (format) is left out. Of another language than
// Python every value is a string, the value's source text; its description says of which type.
Json bfcl_tool(const Json& function, BfclLanguage language = BfclLanguage::python);

}  // namespace quern
