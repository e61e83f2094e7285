// Tools, and turns written by chance: what the tests of turns share.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "constrain/turn_machine.h"

namespace quern {

inline Json tool(std::string_view name, std::string_view parameters) {
  Json function = Json::object();
  function["name"] = name;
  if (!parameters.empty()) function["parameters"] = Json::parse(parameters, "parameters").value();
  return Json::Object{{"type", "function"}, {"function", function}};
}

// Every kind of parameter that the formats spell differently, and schemas that are awkward to complete.
inline std::vector<Json> many_tools() {
  return {
      tool(
          "get_weather",
          R"({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 14},
        "unit": {"enum": ["celsius", "fahrenheit"]}}, "required": ["city"], "additionalProperties": false})"),
      tool("get_weather_map",
           R"({"properties": {"zoom": {"type": ["integer", "null"]}}, "additionalProperties": {"type": "boolean"}})"),
      tool(
          "write",
          R"({"type": "object", "properties": {"path": {"type": "string", "pattern": "^[a-z]{1,8}\\.txt$"}, "content": {"type": "string"},
        "mode": {"anyOf": [{"type": "string"}, {"type": "null"}]}}, "required": ["content", "path"], "additionalProperties": false})"),
      tool(
          "tree",
          R"({"$defs": {"node": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 3}, "children": {"type": "array",
        "items": {"$ref": "#/$defs/node"}, "maxItems": 2}}, "required": ["name"], "additionalProperties": false}},
        "type": "object", "properties": {"root": {"$ref": "#/$defs/node"}, "when": {"type": "string", "format": "date"}},
        "required": ["root"], "additionalProperties": false})"),
      tool("any", R"({"type": "object", "minProperties": 1, "maxProperties": 3})"),
      tool(
          "mixed",
          R"({"type": "object", "properties": {"v": {"type": ["string", "number", "boolean", "null"]}, "w": {"type": ["string", "array", "object"]},
        "u": {"type": "array", "items": {"enum": ["a", "b", 1]}, "uniqueItems": true}}, "required": ["v", "w"], "additionalProperties": false})"),
      tool("either", R"({"oneOf": [{"properties": {"id": {"type": "integer"}}, "required": ["id"], "additionalProperties": false},
        {"properties": {"id": {"const": "12"}, "name": {"type": "string", "minLength": 2}}, "required": ["id", "name"], "additionalProperties": false}]})"),
      tool(
          "pattern",
          R"({"type": "object", "patternProperties": {"^x": {"type": "number", "multipleOf": 0.5}}, "additionalProperties": false, "minProperties": 2})"),
      tool("nothing", ""),
  };
}

inline std::unique_ptr<TurnMachine> compiled(const TurnOptions& options) {
  auto machine = compile_turn(options);
  if (!machine) {
    ADD_FAILURE() << machine.error().message;
    std::abort();
  }
  return std::move(*machine);
}

// The state behind `text`; nothing when it is not accepted that far.
inline std::optional<Machine::State> walk(Machine& machine, std::string_view text) {
  auto state = std::optional(machine.start());
  for (size_t i = 0; i < text.size() && state; ++i) state = machine.step(*state, static_cast<uint8_t>(text[i]), text.substr(0, i));
  return state;
}
inline bool accepts(Machine& machine, std::string_view text) {
  const auto state = walk(machine, text);
  return state && machine.can_end(*state, text);
}

// Writes turns of random bytes among those the machine allows, with some will to get on with it.
class RandomTurn {
 public:
  RandomTurn(TurnMachine& machine, Random& random) : machine_(machine), random_(random), state_(machine.start()) {}

  std::string write() {
    for (; text_.size() < 20'000; ++steps_) {
      const bool hurry = steps_ > 300;
      if (machine_.can_end(state_, text_) && random_.chance(hurry ? 0.9 : 0.05)) return text_;
      const TurnMachine::Place place = machine_.place(state_);
      if (!place.closer.empty() && random_.chance(hurry ? 0.9 : 0.1) && spell(place.closer)) continue;
      const auto byte = pick(hurry);
      if (!byte) {
        EXPECT_TRUE(machine_.can_end(state_, text_)) << "dead end behind: " << text_;
        return text_;
      }
      state_ = *machine_.step(state_, *byte, text_);
      text_ += static_cast<char>(*byte);
    }
    ADD_FAILURE() << "no end in sight: " << text_.substr(0, 2000);
    return text_;
  }

 private:
  std::optional<uint8_t> pick(bool hurry) {
    std::vector<uint8_t> allowed, ends;
    for (int b = 0; b < 256; ++b) {
      if (!machine_.step(state_, static_cast<uint8_t>(b), text_)) continue;
      allowed.push_back(static_cast<uint8_t>(b));
      if (std::string_view("\"}],</").find(static_cast<char>(b)) != std::string_view::npos && (b != ',' || !hurry))
        ends.push_back(static_cast<uint8_t>(b));
    }
    if (allowed.empty()) return std::nullopt;
    if (!ends.empty() && random_.chance(hurry ? 0.95 : 0.4)) return random_.pick(ends);
    return random_.pick(allowed);
  }
  // All of `word`, if it may come here.
  bool spell(std::string_view word) {
    auto at = std::optional(state_);
    std::string text = text_;
    for (const char c : word) {
      at = machine_.step(*at, static_cast<uint8_t>(c), text);
      if (!at) return false;
      text += c;
    }
    state_ = *at;
    text_ = text;
    return true;
  }

  TurnMachine& machine_;
  Random& random_;
  Machine::State state_;
  std::string text_;
  int steps_ = 0;
};

}  // namespace quern
