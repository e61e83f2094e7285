// A policy as YAML: rules in order, each with one of allow, ask and deny, and what it fits.
#pragma once

#include "agent/task/node_reader.h"
#include "agent/task/policy.h"

namespace quern {

// A list of rules, or a map with `rules` and `default`. Errors name file and line.
Result<Policy> read_policy(const NodeReader& reader, const YamlNode& node);

}  // namespace quern
