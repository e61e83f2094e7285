// Random JSON of a shape, valid or spoilt: what tests throw at the server.
#pragma once

#include <string>
#include <vector>

#include "base/random.h"
#include "server/shape.h"

namespace quern {

inline std::string random_text(Random& random) {
  static const std::vector<std::string> words{"",        "a",    "Hello", "<|im_end|>", "</think>", "<tool_call>", "Grüße",
                                              "\n",      "null", "🙂 ok", "{\"a\"",     "text",     "json_schema", "function",
                                              "\\u0000", "0"};
  std::string text = random.pick(words);
  while (random.chance(0.3)) text += " " + random.pick(words);
  return text;
}

inline Json random_any(Random& random, int depth = 0) {
  switch (random.below(depth > 3 ? 4 : 6)) {
    case 0:
      return nullptr;
    case 1:
      return random.chance(0.5);
    case 2:
      return Json::number_literal(
          random.pick(std::vector<std::string>{"0", "-1", "1.5", "1e300", "9007199254740993", "-0.0", "1e-400"}));
    case 3:
      return random_text(random);
    case 4: {
      Json list = Json::array();
      while (random.chance(0.6)) list.push_back(random_any(random, depth + 1));
      return list;
    }
    default: {
      Json object = Json::object();
      while (random.chance(0.6)) object[random_text(random)] = random_any(random, depth + 1);
      return object;
    }
  }
}

inline Json random_value(const Shape& shape, Random& random) {
  const Shape::Node& node = shape.node();
  std::vector<uint8_t> kinds;
  for (const uint8_t kind : {Shape::kBoolean, Shape::kNumber, Shape::kText, Shape::kList, Shape::kObject})
    if (node.kinds & kind) kinds.push_back(kind);
  if (node.kinds == Shape::kAny) return random_any(random);
  switch (random.pick(kinds)) {
    case Shape::kBoolean:
      return random.chance(0.5);
    case Shape::kNumber: {
      const double share = random.chance(0.1) ? 0 : random.chance(0.1) ? 1 : random.unit() * random.unit() * random.unit();
      if (node.whole) {
        if (share >= 1) return node.most_integer;
        const double range = static_cast<double>(node.most_integer) - static_cast<double>(node.least_integer);
        return static_cast<int64_t>(static_cast<double>(node.least_integer) + range * share * 0.99);
      }
      return node.low + (node.high - node.low) * share;
    }
    case Shape::kText:
      return node.words.empty() ? Json(random_text(random)) : Json(random.pick(node.words));
    case Shape::kList: {
      Json list = Json::array();
      const size_t count = std::min(node.most, node.least + random.below(3));
      for (size_t i = 0; i < count; ++i) list.push_back(random_value(*node.items, random));
      return list;
    }
    default: {
      Json object = Json::object();
      for (const Shape::Member& member : node.members)
        if (member.presence == Shape::Member::required || random.chance(0.3))
          object[member.name] = random_value(member.shape, random);
      if (node.values)
        for (int i = 0; i < 2; ++i) object[std::to_string(random.below(3000))] = random_value(*node.values, random);
      return object;
    }
  }
}

// Changes one value somewhere in it.
inline void spoil(Json& json, Random& random) {
  if (json.is_object() && json.size() > 0 && random.chance(0.8)) {
    auto& members = json.as_object();
    const size_t at = random.below(members.size());
    if (random.chance(0.15)) {
      members.erase(members.begin() + static_cast<std::ptrdiff_t>(at));
      return;
    }
    return spoil(members[at].second, random);
  }
  if (json.is_array() && json.size() > 0 && random.chance(0.8)) return spoil(json.as_array()[random.below(json.size())], random);
  json = random_any(random);
}

}  // namespace quern
