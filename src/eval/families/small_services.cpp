// Services of two to five tools with fixed meanings and random names: a key-value store, an HTTP-like API, calculators.
#include <array>
#include <map>

#include "base/check.h"
#include "eval/families/families.h"
#include "eval/record_world.h"
#include "text/conversation.h"

namespace quern {
namespace {

struct Parameter {
  std::string name;
  std::string_view type;
  std::string description;
};

Json tool_object(const std::string& name, const std::string& description, const std::vector<Parameter>& parameters) {
  Json properties = Json::object(), required = Json::array();
  for (const Parameter& p : parameters) {
    Json property = Json::object();
    property["type"] = p.type;
    property["description"] = p.description;
    properties[p.name] = std::move(property);
    required.push_back(p.name);
  }
  Json schema = Json::object();
  schema["type"] = "object";
  schema["properties"] = std::move(properties);
  schema["required"] = std::move(required);
  return function_tool(name, description, std::move(schema));
}

void add_distractors(Words& words, std::vector<Json>& tools) {
  if (words.chance(0.5)) return;
  for (Json& extra : distractors(words, words.between(1, 5)))
    tools.insert(tools.begin() + static_cast<std::ptrdiff_t>(words.random().below(tools.size() + 1)), std::move(extra));
}

std::string named(Words& words, std::string_view verb, std::string_view noun) {
  const NameStyle style =
      words.random().pick(std::array<NameStyle, 4>{NameStyle::snake, NameStyle::snake, NameStyle::camel, NameStyle::kebab});
  return join_name(std::array<std::string, 2>{std::string(verb), std::string(noun)}, style);
}

// ---- a key-value store

struct Store : World {
  std::string set_name, get_name, remove_name, key, value;
  std::map<std::string, std::string> entries;

  std::string execute(const ToolCall& call) override {
    const Json* k = call.arguments.find(key);
    const std::string at = k ? plain_text(*k) : "";
    if (call.name == set_name) {
      const Json* v = call.arguments.find(value);
      entries[at] = v ? plain_text(*v) : "";
      return fmt::format("saved {}", at);
    }
    const auto entry = entries.find(at);
    if (entry == entries.end()) return fmt::format("nothing is stored under {}", at);
    if (call.name == get_name) return entry->second;
    entries.erase(entry);
    return fmt::format("removed {}", at);
  }
  std::unique_ptr<World> clone() const override { return std::make_unique<Store>(*this); }
  std::string state() const override {
    std::string all;
    for (const auto& [k, v] : entries) all += fmt::format("{}={}\n", k, v);
    return all;
  }
};

ToolEpisode key_value(Random& random, Split split, int64_t) {
  Words words(random, split);
  auto store = std::make_unique<Store>();
  const std::string noun = words.chance(0.5)
                               ? std::string(words.pick({"entry", "value", "setting", "option", "memory", "variable", "fact"}))
                               : words.pick(pools::nouns);
  store->set_name = named(words, words.pick({"set", "store", "save", "put", "write", "remember", "keep"}), noun);
  store->get_name = named(words, words.pick({"get", "load", "fetch", "recall", "read", "look_up", "show"}), noun);
  store->remove_name = named(words, words.pick({"delete", "remove", "forget", "clear", "drop", "unset", "erase"}), noun);
  store->key = words.pick({"key", "name", "slot", "label", "topic", "field"});
  store->value = words.pick({"value", "content", "data", "text", "entry", "body"});
  const auto key = [&] {
    return words.chance(0.4) ? words.word() : words.chance(0.5) ? words.word() + "_" + words.word() : words.code();
  };
  for (int64_t i = 0, n = words.between(1, 4); i < n; ++i)
    store->entries[key()] = words.chance(0.5) ? words.sentence() : words.code();
  std::vector<Json> tools = {
      tool_object(store->set_name, fmt::format("Store one {}.", noun),
                  {{store->key, "string", "Where to store it"}, {store->value, "string", "What to store"}}),
      tool_object(store->get_name, fmt::format("Read one {}.", noun), {{store->key, "string", "Where it is stored"}}),
      tool_object(store->remove_name, fmt::format("Remove one {}.", noun), {{store->key, "string", "Where it is stored"}})};
  add_distractors(words, tools);
  const Store names = *store;
  Scene scene(random, split, std::move(tools), std::move(store));
  auto at = names.entries.begin();
  std::advance(at, words.random().below(names.entries.size()));
  const std::string old_key = at->first, old_value = at->second, new_key = key(),
                    value = words.chance(0.5) ? words.sentence() : words.code();
  switch (words.between(0, 3)) {
    case 0:
      scene.user(
          spoken(words, fill(words.pick({"Store '{1}' under {0}.", "Save '{1}' as {0}.", "Set {0} to '{1}'.",
                                         "Remember '{1}' under the name {0}.", "Keep '{1}' as {0} for me.", "Put '{1}' into {0}."}),
                             {new_key, value})));
      scene.call(names.set_name, arguments({{names.key, new_key}, {names.value, value}}));
      scene.say(fmt::format("I saved it under {}.", new_key));
      break;
    case 1:
      scene.user(spoken(words, fill(words.pick({"What is stored under {0}?", "Get {0}.", "What did I save as {0}?", "Look up {0}.",
                                                "What is the value of {0}?", "Tell me what {0} is."}),
                                    {old_key})));
      scene.call(names.get_name, arguments({{names.key, old_key}}));
      scene.say(fmt::format("{} is: {}", old_key, old_value), {old_value});
      break;
    case 2:
      scene.user(spoken(words, fill(words.pick({"Remove {0}.", "Forget {0}.", "Delete what is stored under {0}.", "Clear {0}.",
                                                "Get rid of {0}.", "Erase {0}."}),
                                    {old_key})));
      scene.call(names.remove_name, arguments({{names.key, old_key}}));
      scene.say(fmt::format("{} is removed.", old_key));
      break;
    default:
      scene.user(spoken(words, fill(words.pick({"Copy {0} to {1}.", "Store under {1} what is stored under {0}.",
                                                "Read {0} and save it as {1} too.", "Take the value of {0} and keep it as {1}.",
                                                "Duplicate {0} as {1}."}),
                                    {old_key, new_key})));
      scene.call(names.get_name, arguments({{names.key, old_key}}));
      scene.call(names.set_name, arguments({{names.key, new_key}, {names.value, old_value}}));
      scene.say(fmt::format("I copied {} to {}.", old_key, new_key));
  }
  return std::move(scene).finish("key_value");
}

// ---- an HTTP-like API

struct Api : World {
  std::vector<std::string> log;
  std::string execute(const ToolCall& call) override {
    const Json* method = call.arguments.find("method");
    log.push_back(call.arguments.dump());
    if (!method || !method->is_string()) return R"({"status": 400})";
    return method->as_string() == "GET"    ? R"({"status": 200, "body": {"state": "ok"}})"
           : method->as_string() == "POST" ? R"({"status": 201})"
                                           : R"({"status": 204})";
  }
  std::unique_ptr<World> clone() const override { return std::make_unique<Api>(*this); }
  std::string state() const override {
    std::string all;
    for (const std::string& line : log) all += line + "\n";
    return all;
  }
};

ToolEpisode http(Random& random, Split split, int64_t) {
  Words words(random, split);
  const std::string name = named(words, words.pick({"http", "api", "web", "rest", "send", "do"}),
                                 words.pick({"request", "call", "query", "fetch", "action", "access"}));
  Json tool = tool_object(name, "Send a request to the service.",
                          {{"method", "string", "Kind of request"}, {"path", "string", "Path of the resource"}});
  Json& properties = *tool.find("function")->find("parameters")->find("properties");
  properties["method"]["enum"] = Json(Json::Array{"GET", "POST", "PUT", "DELETE"});
  properties["body"] = Json::object();
  properties["body"]["type"] = "object";
  properties["body"]["description"] = "Fields to send";
  std::vector<Json> tools = {std::move(tool)};
  add_distractors(words, tools);
  Scene scene(random, split, std::move(tools), std::make_unique<Api>());
  const std::string path = fmt::format("/{}/{}", words.chance(0.5) ? words.word() : words.pick(pools::projects), words.code());
  const int64_t kind = words.between(0, 2);
  if (kind == 0) {
    scene.user(spoken(words, fill(words.pick({"Send a GET request to {0}.", "GET {0}.", "Fetch {0} from the service.",
                                              "Request {0}.", "Read {0} through the API.", "Load the resource {0}."}),
                                  {path})));
    scene.call(name, arguments({{"method", "GET"}, {"path", path}}));
    scene.say(fmt::format("The service answered 200 for {}.", path), {"200"});
  } else if (kind == 1) {
    scene.user(spoken(words, fill(words.pick({"Send a DELETE request to {0}.", "DELETE {0}.", "Delete the resource {0}.",
                                              "Remove {0} through the API.", "Call DELETE on {0}."}),
                                  {path})));
    scene.call(name, arguments({{"method", "DELETE"}, {"path", path}}));
    scene.say(fmt::format("{} is deleted.", path));
  } else {
    const bool post = words.chance(0.6);
    Json body = Json::object();
    std::vector<std::string> parts;
    for (int64_t i = 0, n = words.between(1, 3); i < n; ++i) {
      const std::string field = words.chance(0.7) ? words.pick(pools::fields) : words.made_up();
      std::string key = field;
      for (char& c : key) c = c == ' ' ? '_' : c;
      if (body.find(key)) continue;
      const Json value = words.chance(0.3)   ? Json(words.between(1, 999))
                         : words.chance(0.2) ? Json(words.chance(0.5))
                                             : Json(words.chance(0.5) ? words.person() : words.word());
      parts.push_back(key + " " + spoken_value(words, value));
      body[key] = value;
    }
    scene.user(spoken(
        words,
        fill(post ? words.pick({"Send a POST request to {0} with {1}.", "POST {1} to {0}.", "Post to {0}: {1}.",
                                "Create {0} through the API with {1}.", "Send a POST to {0} with the body {1}."})
                  : words.pick({"Send a PUT request to {0} with {1}.", "PUT {1} to {0}.", "Update {0} through the API with {1}.",
                                "Send a PUT to {0} with the body {1}.", "Replace {0}: PUT {1}."}),
             {path, listed(parts)})));
    scene.call(name, arguments({{"method", post ? "POST" : "PUT"}, {"path", path}, {"body", body}}));
    scene.say(post ? fmt::format("{} is created.", path) : fmt::format("{} is updated.", path));
  }
  return std::move(scene).finish("http");
}

// ---- calculators

struct Operation {
  std::string_view name, sign, said;
  int64_t (*apply)(int64_t, int64_t);
};
constexpr std::array<Operation, 3> kOperations = {{{"add", "+", "plus", [](int64_t a, int64_t b) { return a + b; }},
                                                   {"subtract", "-", "minus", [](int64_t a, int64_t b) { return a - b; }},
                                                   {"multiply", "*", "times", [](int64_t a, int64_t b) { return a * b; }}}};

struct Calculator : World {
  std::vector<std::string> names;  // of the three operations; or one, for expressions
  std::string a, b;

  std::string execute(const ToolCall& call) override {
    const auto number = [&](const std::string& name) -> int64_t {
      const Json* value = call.arguments.find(name);
      const auto read = value ? value->to_int64() : Result<int64_t>(fail(Errc::malformed, "no {}", name));
      return read && std::abs(*read) < 1'000'000'000 ? *read : 0;
    };
    if (names.size() == 1) {
      const Json* text = call.arguments.find(a);
      return evaluate(text && text->is_string() ? text->as_string() : "");
    }
    for (size_t i = 0; i < names.size(); ++i)
      if (call.name == names[i]) return std::to_string(kOperations[i].apply(number(a), number(b)));
    return "error: no such tool: " + call.name;
  }
  // "12 * 7": two integers and a sign between spaces.
  static std::string evaluate(const std::string& text) {
    int64_t left = 0, right = 0;
    char sign = 0, rest = 0;
    if (std::sscanf(text.c_str(), "%9ld %c %9ld %c", &left, &sign, &right, &rest) != 3) return "error: cannot read " + text;
    for (const Operation& operation : kOperations)
      if (operation.sign[0] == sign) return std::to_string(operation.apply(left, right));
    return "error: cannot read " + text;
  }
  std::unique_ptr<World> clone() const override { return std::make_unique<Calculator>(*this); }
  std::string state() const override { return ""; }
};

ToolEpisode calculate(Random& random, Split split, int64_t) {
  Words words(random, split);
  auto calculator = std::make_unique<Calculator>();
  std::vector<Json> tools;
  if (words.chance(0.5)) {
    calculator->names = {named(words, words.pick({"calculate", "compute", "evaluate", "solve", "work_out", "do"}),
                               words.pick({"expression", "formula", "sum", "term", "result", "math"}))};
    calculator->a = words.pick({"expression", "formula", "input", "term", "text", "question"});
    tools.push_back(tool_object(calculator->names[0], "Calculate an expression such as 2 + 3.",
                                {{calculator->a, "string", "What to calculate"}}));
  } else {
    const std::string_view of = words.pick({"numbers", "values", "pair", "two", "ints", "integers"});
    for (const Operation& operation : kOperations) calculator->names.push_back(named(words, operation.name, of));
    calculator->a = words.pick({"a", "x", "left", "first", "m"});
    calculator->b = words.pick({"b", "y", "right", "second", "n"});
    for (size_t i = 0; i < kOperations.size(); ++i)
      tools.push_back(tool_object(calculator->names[i], capitalised(std::string(kOperations[i].name)) + " two numbers.",
                                  {{calculator->a, "integer", "First number"}, {calculator->b, "integer", "Second number"}}));
  }
  add_distractors(words, tools);
  const Calculator names = *calculator;
  Scene scene(random, split, std::move(tools), std::move(calculator));
  const size_t which = words.random().below(kOperations.size());
  const Operation& operation = kOperations[which];
  const int64_t left = words.between(2, words.chance(0.5) ? 99 : 9999), right = words.between(2, words.chance(0.5) ? 99 : 9999);
  const std::string task = fmt::format("{} {} {}", left, words.chance(0.5) ? operation.said : operation.sign, right);
  scene.user(spoken(words, fill(words.pick({"What is {0}?", "Calculate {0}.", "How much is {0}?", "Work out {0}.",
                                            "Please compute {0}.", "Can you tell me what {0} is?", "{0} = ?"}),
                                {task})));
  if (names.names.size() == 1)
    scene.call(names.names[0], arguments({{names.a, fmt::format("{} {} {}", left, operation.sign, right)}}));
  else
    scene.call(names.names[which], arguments({{names.a, left}, {names.b, right}}));
  const std::string result = std::to_string(operation.apply(left, right));
  scene.say(fmt::format("{} is {}.", task, result), {result});
  return std::move(scene).finish("calculate");
}

constexpr std::array<Family, 3> kFamilies = {{{"key_value", 1.5, key_value}, {"http", 1, http}, {"calculate", 1.5, calculate}}};

}  // namespace

std::span<const Family> small_service_families() { return kFamilies; }

}  // namespace quern
