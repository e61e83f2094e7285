#include "eval/bfcl_turns.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/file.h"
#include "eval/bfcl_file.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxTurns = 1000, kMaxServices = 64, kMaxDocs = 1000;
constexpr size_t kMaxSource = size_t{16} << 20;

// What a model is told when functions turn up: the leaderboard's own words, or scores could not be compared.
constexpr std::string_view kNewFunctions = "I have updated some more functions you can choose from. What about now?";

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

// Names of the classes that a module defines at its top level.
std::vector<std::string> classes_of(std::string_view source) {
  std::vector<std::string> names;
  while (!source.empty()) {
    std::string_view line = source.substr(0, source.find('\n'));
    source.remove_prefix(std::min(line.size() + 1, source.size()));
    if (!line.starts_with("class ")) continue;
    line.remove_prefix(6);
    const auto end = std::find_if_not(line.begin(), line.end(), is_word);
    if (end != line.begin()) names.emplace_back(line.begin(), end);
  }
  return names;
}

// The functions that services have, read once for all items.
class Docs {
 public:
  static Result<Docs> find(const fs::path& folder) {
    Docs docs;
    docs.folder_ = folder / "multi_turn_func_doc";
    const fs::path services = bfcl_services_folder(folder);
    std::error_code error;
    for (const fs::path& needed : {docs.folder_, services})
      if (!fs::is_directory(needed, error))
        return fail(Errc::not_found, "{}: no such folder; multi-turn items need the leaderboard's whole bfcl_eval",
                    needed.string());
    size_t count = 0;
    for (fs::directory_iterator at(docs.folder_, error), end; !error && at != end; at.increment(error)) {
      if (at->path().extension() != ".json") continue;
      if (++count > kMaxDocs) return fail(Errc::out_of_range, "{}: more than {} files", docs.folder_.string(), kMaxDocs);
      const std::string module = at->path().stem().string();
      const auto source = read_file(services / (module + ".py"), kMaxSource);
      if (!source) continue;  // an item that asks for it says so
      for (std::string& name : classes_of(*source)) docs.modules_.emplace(std::move(name), module);
    }
    if (error) return fail(Errc::io, "{}: {}", docs.folder_.string(), error.message());
    return docs;
  }

  Result<BfclService> service(const std::string& name, const std::string& where) const {
    const auto found = modules_.find(name);
    if (found == modules_.end())
      return fail(Errc::malformed, "{}: class {}: no module of {} with documents defines it", where, name, folder_.string());
    return BfclService{name, found->second};
  }

  Result<const std::vector<Json>*> tools(const std::string& module) {
    const auto [at, is_new] = tools_.try_emplace(module);
    std::vector<Json>& tools = at->second;
    if (!is_new) return &tools;
    const auto take = [&](const Json& function, const std::string& where) -> Result<void> {
      QUERN_TRY(check_bfcl_function(function, where));
      tools.push_back(bfcl_tool(function));
      return {};
    };
    QUERN_TRY(each_bfcl_line(folder_ / (module + ".json"), take));
    return &tools;
  }

 private:
  fs::path folder_;
  std::map<std::string, std::string> modules_;  // by class
  std::map<std::string, std::vector<Json>> tools_;
};

Result<std::vector<Message>> read_messages(const Json& turn, const std::string& where) {
  if (!turn.is_array())
    return fail(Errc::malformed, "{}: \"question\": a turn that is {}, expected a list", where, turn.kind_name());
  if (turn.size() == 0) return std::vector<Message>();
  Json request = Json::object();
  request["messages"] = turn;
  auto conversation = Conversation::from_json(request);
  if (!conversation) return with_context(conversation.error(), where);
  return std::move(conversation->messages);
}

Result<size_t> read_turn_number(const std::string& text, size_t turns, const std::string& where) {
  size_t number = 0;
  const bool digits = !text.empty() && text.size() < 5 && text.find_first_not_of("0123456789") == std::string::npos;
  for (const char c : text) number = digits ? number * 10 + static_cast<size_t>(c - '0') : number;
  if (!digits || number >= turns)
    return fail(Errc::malformed, "{}: \"missed_function\": turn \"{}\", expected 0 to {}", where, text, turns - 1);
  return number;
}

// Moves the functions that come later to their turns.
Result<void> hold_back(BfclTurnsItem& item, const Json& missed, const std::string& where) {
  for (const auto& [turn, names] : missed.as_object()) {
    QUERN_ASSIGN(const size_t number, read_turn_number(turn, item.turns.size(), where));
    if (!names.is_array()) return fail(Errc::malformed, "{}: \"missed_function\": expected lists of names", where);
    for (const Json& name : names.as_array()) {
      const auto is_it = [&](const Json& tool) { return name.is_string() && *tool_function(tool).find("name") == name; };
      const auto tool = std::find_if(item.tools.begin(), item.tools.end(), is_it);
      if (tool == item.tools.end())
        return fail(Errc::malformed, "{}: \"missed_function\": {} is no function of the item's services", where, name.dump());
      item.turns[number].new_tools.push_back(std::move(*tool));
      item.tools.erase(tool);
    }
  }
  return {};
}

Result<void> read_services(BfclTurnsItem& item, const Json& line, Docs& docs, const std::string& where) {
  QUERN_ASSIGN(const Json* classes, bfcl_member(line, "involved_classes", Json::Kind::array, where));
  if (classes->size() == 0 || classes->size() > kMaxServices)
    return fail(Errc::malformed, "{}: \"involved_classes\": {}, expected 1 to {}", where, classes->size(), kMaxServices);
  for (const Json& name : classes->as_array()) {
    if (!name.is_string()) return fail(Errc::malformed, "{}: \"involved_classes\": expected names", where);
    QUERN_ASSIGN(BfclService service, docs.service(name.as_string(), where));
    QUERN_ASSIGN(const std::vector<Json>* tools, docs.tools(service.module));
    item.tools.insert(item.tools.end(), tools->begin(), tools->end());
    item.services.push_back(std::move(service));
  }
  QUERN_ASSIGN(const Json* config, bfcl_member(line, "initial_config", Json::Kind::object, where));
  item.config = *config;
  return {};
}

Result<BfclTurnsItem> read_item(const Json& line, Docs& docs, const std::string& where) {
  BfclTurnsItem item;
  QUERN_ASSIGN(const Json* id, bfcl_member(line, "id", Json::Kind::string, where));
  QUERN_ASSIGN(const Json* question, bfcl_member(line, "question", Json::Kind::array, where));
  item.id = id->as_string();
  if (question->size() == 0 || question->size() > kMaxTurns)
    return fail(Errc::malformed, "{}: \"question\": {} turns, expected 1 to {}", where, question->size(), kMaxTurns);
  for (const Json& turn : question->as_array()) {
    QUERN_ASSIGN(std::vector<Message> messages, read_messages(turn, where));
    item.turns.push_back({.messages = std::move(messages), .new_tools = {}, .truth = {}});
  }
  QUERN_TRY(read_services(item, line, docs, where));
  if (line.find("missed_function")) {
    QUERN_ASSIGN(const Json* missed, bfcl_member(line, "missed_function", Json::Kind::object, where));
    QUERN_TRY(hold_back(item, *missed, where));
  }
  for (size_t i = 0; i < item.turns.size(); ++i) {
    BfclTurn& turn = item.turns[i];
    if (turn.messages.empty() == turn.new_tools.empty())
      return fail(Errc::malformed, "{}: turn {}: expected either messages or new functions", where, i);
    if (!turn.messages.empty()) continue;
    turn.messages.emplace_back().content = kNewFunctions;  // of the user
  }
  return item;
}

Result<void> take_truth(BfclTurnsItem& item, const Json& truth, const std::string& where) {
  if (truth.size() != item.turns.size())
    return fail(Errc::malformed, "{}: \"ground_truth\": {} turns, the question has {}", where, truth.size(), item.turns.size());
  for (size_t i = 0; i < item.turns.size(); ++i) {
    const Json& calls = truth.as_array()[i];
    if (!calls.is_array()) return fail(Errc::malformed, "{}: \"ground_truth\": turn {}: expected a list of calls", where, i);
    item.turns[i].truth.clear();
    for (const Json& call : calls.as_array()) {
      if (!call.is_string()) return fail(Errc::malformed, "{}: \"ground_truth\": turn {}: a call that is no string", where, i);
      item.turns[i].truth.push_back(call.as_string());
    }
  }
  return {};
}

// One call as a file has it; nullopt: it is none.
std::optional<Json> read_call(const Json& call) {
  if (call.is_string()) return call;
  if (!call.is_object() || call.size() != 1) return std::nullopt;
  const auto& [name, arguments] = call.as_object()[0];
  if (arguments.is_object()) return call;
  if (!arguments.is_string()) return std::nullopt;
  auto parsed = Json::parse(arguments.as_string(), "arguments");
  if (!parsed || !parsed->is_object()) return std::nullopt;
  Json out = Json::object();
  out[name] = std::move(*parsed);
  return out;
}

BfclStep read_step(const Json& step) {
  BfclStep calls;
  if (!step.is_array()) return calls;
  for (const Json& one : step.as_array()) {
    std::optional<Json> call = read_call(one);
    if (!call) return {};
    calls.push_back(std::move(*call));
  }
  return calls;
}

}  // namespace

fs::path bfcl_services_folder(const fs::path& folder) {
  std::error_code error;
  fs::path whole = fs::weakly_canonical(folder, error);  // DATA/.. of a link is not where it leads
  if (error) whole = folder;
  if (!whole.has_filename()) whole = whole.parent_path();
  return whole.parent_path() / "eval_checker" / "multi_turn_eval" / "func_source_code";
}

Result<std::vector<BfclTurnsItem>> load_bfcl_turns(const fs::path& folder, const BfclCategory& category) {
  if (category.rule != BfclRule::in_turns)
    return fail(Errc::invalid_argument, "category {}: its items have one turn", category.name);
  const std::string file = fmt::format("BFCL_v4_{}.json", category.name);
  QUERN_ASSIGN(Docs docs, Docs::find(folder));
  std::vector<BfclTurnsItem> items;
  std::unordered_map<std::string, size_t> by_id;
  QUERN_TRY(each_bfcl_line(folder / file, [&](const Json& line, const std::string& where) -> Result<void> {
    QUERN_ASSIGN(BfclTurnsItem item, read_item(line, docs, where));
    item.long_context = category.name.ends_with("long_context");
    if (!by_id.emplace(item.id, items.size()).second) return fail(Errc::malformed, "{}: id {} is there twice", where, item.id);
    items.push_back(std::move(item));
    return {};
  }));
  std::vector<bool> answered(items.size());
  QUERN_TRY(each_bfcl_line(folder / "possible_answer" / file, [&](const Json& line, const std::string& where) -> Result<void> {
    QUERN_ASSIGN(const Json* id, bfcl_member(line, "id", Json::Kind::string, where));
    QUERN_ASSIGN(const Json* truth, bfcl_member(line, "ground_truth", Json::Kind::array, where));
    const auto item = by_id.find(id->as_string());
    if (item == by_id.end()) return {};
    answered[item->second] = true;
    return take_truth(items[item->second], *truth, where);
  }));
  for (size_t i = 0; i < items.size(); ++i)
    if (!answered[i])
      return fail(Errc::malformed, "{}: no answer for id {}", (folder / "possible_answer" / file).string(), items[i].id);
  return items;
}

Result<std::unordered_map<std::string, BfclTurnsResult>> load_bfcl_turns_results(const fs::path& file) {
  std::unordered_map<std::string, BfclTurnsResult> results;
  QUERN_TRY(each_bfcl_line(file, [&](const Json& line, const std::string& where) -> Result<void> {
    QUERN_ASSIGN(const Json* id, bfcl_member(line, "id", Json::Kind::string, where));
    BfclTurnsResult& result = results[id->as_string()];
    result = {};
    const Json* turns = line.find("result");
    if (!turns || !turns->is_array()) return {};
    for (const Json& turn : turns->as_array()) {
      if (!turn.is_array()) return {};
      BfclSteps& steps = result.turns.emplace_back();
      for (const Json& step : turn.as_array())
        if (BfclStep calls = read_step(step); !calls.empty()) steps.push_back(std::move(calls));
    }
    result.readable = true;
    return {};
  }));
  return results;
}

}  // namespace quern
