// The leaderboard's multi-turn questions: a user who wants something of services in every turn, a few of which only become right when a
// function turns up or a parameter is told later. The services are Python classes in the leaderboard's repository (agent/bfcl_services.h).
//
//   FOLDER/BFCL_v4_multi_turn_KIND.json                    {"id", "question": [[messages of a turn], …], "involved_classes": [names],
//                                                           "initial_config": {class: …}, "missed_function": {"TURN": [names]}?}
//   FOLDER/possible_answer/BFCL_v4_multi_turn_KIND.json    {"id", "ground_truth": [["call(as='Python')", …] of a turn, …]}
//   FOLDER/multi_turn_func_doc/MODULE.json                 a line a function of the class that MODULE.py defines
//   FOLDER/../eval_checker/multi_turn_eval/func_source_code/MODULE.py
//
// A missed function is held back until its turn, which has no message of its own. The files' "excluded_function" is not looked at: the
// leaderboard does not either.
#pragma once

#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "eval/bfcl.h"
#include "text/conversation.h"

namespace quern {

struct BfclService {
  std::string name;    // of the class
  std::string module;  // its file's name without .py
};

struct BfclTurn {
  std::vector<Message> messages;
  std::vector<Json> new_tools;     // which come with it
  std::vector<std::string> truth;  // Python source; none: there is nothing that could be called yet
};

struct BfclTurnsItem {
  std::string id;
  std::vector<BfclTurn> turns;
  std::vector<Json> tools;  // in the first turn
  std::vector<BfclService> services;
  Json config;  // an object: of each service, by its class's name
  bool long_context = false;
};

// FOLDER's place of services: where the modules are.
std::filesystem::path bfcl_services_folder(const std::filesystem::path& folder);

// Of a category in turns. Errors: not_found (files, or the services: the message says what is missing), malformed ("FILE:LINE: …").
Result<std::vector<BfclTurnsItem>> load_bfcl_turns(const std::filesystem::path& folder, const BfclCategory& category);

// A step's calls, each {name: {arguments}} or Python source.
using BfclStep = std::vector<Json>;
using BfclSteps = std::vector<BfclStep>;  // of a turn, those that call something

// Steps that were recorded elsewhere: a line an item, {"id": …, "result": [[[calls of a step], …] of a turn, …]}. Arguments may be JSON
// in a string. A step that is no list of such calls calls nothing: it is what the model said in the end, or cannot be read. What is no
// list of turns is not readable. Errors: not_found, malformed.
struct BfclTurnsResult {
  bool readable = false;
  std::vector<BfclSteps> turns;
};
Result<std::unordered_map<std::string, BfclTurnsResult>> load_bfcl_turns_results(const std::filesystem::path& file);

}  // namespace quern
