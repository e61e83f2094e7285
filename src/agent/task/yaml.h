// The part of YAML that task files use: scalars, lists and maps, each with its line. Anchors, aliases, tags and repeated keys are
// refused, so a small file cannot stand for a large one and every value is where it is read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace quern {

struct YamlMember;

struct YamlNode {
  enum class Kind { null, scalar, list, map };
  Kind kind = Kind::null;
  int line = 0, column = 0;  // from 1; of a map's member: its key's
  std::string scalar;        // its text, whatever it looks like
  bool plain = false;        // a scalar without quotes
  std::vector<YamlNode> items;
  std::vector<YamlMember> members;

  const YamlNode* find(std::string_view key) const;
};

struct YamlMember {
  std::string key;
  YamlNode value;
};

std::string_view yaml_kind_name(YamlNode::Kind kind);

// One document. malformed: "where:line: what".
Result<YamlNode> parse_yaml(std::string_view text, std::string_view where);

// The node as JSON, where JSON is what is wanted (a schema, a list of items): plain scalars that JSON would read as a number, true, false
// or null are that, all others text.
Json yaml_json(const YamlNode& node);

}  // namespace quern
