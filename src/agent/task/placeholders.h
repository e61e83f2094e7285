// {{placeholders}}: where a task's texts get their values from. What is put in is never looked at again. A path is names with dots between:
//   {{month}}                       an input; of a secret one {{secret:month}}, which only a tool's arguments get the value of
//   {{steps.NAME.output.a.0.b}}     what an earlier step answered, or a part of it
//   {{item}}, {{item.a}}            what a for_each is at
//   {{failure.step}}, {{failure.reason}}   in on_failure
// A text is put in as it is, any other value as JSON.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace quern {

// Letters, digits, - and _, 64 at most.
bool is_task_name(std::string_view text);

// Calls put(path) for each {{path}} and joins what it returns with the text between. malformed: no path, or {{ without }}.
Result<std::string> replace_placeholders(std::string_view text, const std::function<Result<std::string>(const std::string&)>& put);

// Which paths a text may use where it stands.
struct KnownNames {
  std::set<std::string> inputs, steps;
  bool item = false, failure = false;

  // malformed: a placeholder that nothing will have a value for.
  Result<void> check(std::string_view text) const;
};

// The values.
struct Scope {
  std::map<std::string, std::string> inputs;
  std::map<std::string, Json> steps;
  std::optional<Json> item;
  std::string failed_step, failure;

  // not_found: no such value ("{{steps.a.output.x}}: there is no x in …").
  Result<Json> value(const std::string& path) const;
  Result<std::string> fill(std::string_view text) const;
};

std::string text_of(const Json& value);

}  // namespace quern
