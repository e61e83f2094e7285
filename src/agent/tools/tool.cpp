#include "agent/tools/tool.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace quern {

std::string_view Tool::name() const {
  const Json* function = definition.find("function");
  const Json* name = function ? function->find("name") : nullptr;
  return name && name->is_string() ? std::string_view(name->as_string()) : std::string_view();
}

Result<void> ToolRegistry::add(Tool tool) {
  if (tool.name().empty()) return fail(Errc::invalid_argument, "tool: function.name: expected a string that is not empty");
  if (!tool.execute) return fail(Errc::invalid_argument, "tool {}: nothing carries it out", tool.name());
  if (find(tool.name())) return fail(Errc::invalid_argument, "tool {}: there is one of that name already", tool.name());
  tools_.push_back(std::move(tool));
  return {};
}

const Tool* ToolRegistry::find(std::string_view name) const {
  const auto found = std::find_if(tools_.begin(), tools_.end(), [&](const Tool& tool) { return tool.name() == name; });
  return found == tools_.end() ? nullptr : &*found;
}

std::vector<Json> ToolRegistry::definitions() const {
  std::vector<Json> all;
  for (const Tool& tool : tools_) all.push_back(tool.definition);
  return all;
}

std::vector<std::string> ToolRegistry::names() const {
  std::vector<std::string> all;
  for (const Tool& tool : tools_) all.emplace_back(tool.name());
  return all;
}

Result<void> ToolRegistry::restrict_to(const std::vector<std::string>& wanted) {
  for (const std::string& name : wanted)
    if (!find(name)) return fail(Errc::not_found, "tools: no tool is called {}; there are {}", name, fmt::join(names(), ", "));
  std::erase_if(tools_, [&](const Tool& tool) { return std::find(wanted.begin(), wanted.end(), tool.name()) == wanted.end(); });
  only_ = wanted;
  return {};
}

Result<bool> ToolRegistry::replace(std::string_view origin, std::vector<Tool> tools) {
  ToolRegistry changed;
  bool placed = false;
  const auto place = [&]() -> Result<void> {
    if (std::exchange(placed, true)) return {};
    for (Tool& tool : tools) {
      tool.origin = origin;
      if (!only_ || std::find(only_->begin(), only_->end(), tool.name()) != only_->end()) QUERN_TRY(changed.add(std::move(tool)));
    }
    return {};
  };
  for (const Tool& tool : tools_) {
    if (tool.origin == origin) {
      QUERN_TRY(place());
    } else {
      QUERN_TRY(changed.add(tool));
    }
  }
  QUERN_TRY(place());
  const bool differs = changed.definitions() != definitions();
  tools_ = std::move(changed.tools_);
  return differs;
}

}  // namespace quern
