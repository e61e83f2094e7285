#include "agent/task/placeholders.h"

#include <algorithm>
#include <charconv>
#include <vector>

namespace quern {
namespace {

std::vector<std::string> split(const std::string& path) {
  std::vector<std::string> names;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    names.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return names;
}

// The part of a value that names lead to, from `first` on.
Result<Json> part(const Json& whole, const std::vector<std::string>& names, size_t first, const std::string& path) {
  const Json* at = &whole;
  for (size_t i = first; i < names.size(); ++i) {
    const Json* next = at->find(names[i]);
    size_t index = 0;
    const char* end = names[i].data() + names[i].size();
    if (at->is_array() && std::from_chars(names[i].data(), end, index).ptr == end && index < at->size())
      next = &at->as_array()[index];
    if (!next) return fail(Errc::not_found, "{{{{{}}}}}: there is no {} in {}", path, names[i], at->dump().substr(0, 200));
    at = next;
  }
  return *at;
}

}  // namespace

bool is_task_name(std::string_view text) {
  const auto ok = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), ok);
}

Result<std::string> replace_placeholders(std::string_view text, const std::function<Result<std::string>(const std::string&)>& put) {
  std::string out;
  while (true) {
    const size_t open = text.find("{{");
    out += text.substr(0, open);
    if (open == std::string_view::npos) return out;
    const size_t close = text.find("}}", open);
    if (close == std::string_view::npos) return fail(Errc::malformed, "{{{{ without }}}}");
    std::string_view path = text.substr(open + 2, close - open - 2);
    while (path.starts_with(' ')) path.remove_prefix(1);
    while (path.ends_with(' ')) path.remove_suffix(1);
    const auto names = split(std::string(path.substr(0, 1000)));
    if (path.size() > 1000 || !std::all_of(names.begin(), names.end(), is_task_name))
      return fail(Errc::malformed, "{{{{{}}}}}: expected the name of an input", path.substr(0, 40));
    QUERN_ASSIGN(const std::string value, put(std::string(path)));
    out += value;
    text.remove_prefix(close + 2);
  }
}

Result<void> KnownNames::check(std::string_view text) const {
  const auto put = [&](const std::string& path) -> Result<std::string> {
    const auto names = split(path);
    if (inputs.contains(path)) return std::string();
    if (item && names[0] == "item") return std::string();
    if (failure && (path == "failure.step" || path == "failure.reason")) return std::string();
    if (names.size() > 1 && names[0] == "steps") {
      if (!steps.contains(names[1]))
        return fail(Errc::malformed, "{{{{{}}}}}: no step before this one is called {}", path, names[1]);
      if (names.size() > 2 && names[2] == "output") return std::string();
      return fail(Errc::malformed, "{{{{{}}}}}: expected steps.{}.output", path, names[1]);
    }
    return fail(Errc::malformed, "{{{{{}}}}} is not among inputs:", path);
  };
  const auto checked = replace_placeholders(text, put);
  return checked ? Result<void>() : tl::unexpected(checked.error());
}

Result<Json> Scope::value(const std::string& path) const {
  if (const auto input = inputs.find(path); input != inputs.end()) return Json(input->second);
  const auto names = split(path);
  if (names[0] == "item" && item) return part(*item, names, 1, path);
  if (path == "failure.step") return Json(failed_step);
  if (path == "failure.reason") return Json(failure);
  if (names.size() > 2 && names[0] == "steps" && names[2] == "output") {
    const auto step = steps.find(names[1]);
    if (step != steps.end()) return part(step->second, names, 3, path);
    return fail(Errc::not_found, "{{{{{}}}}}: that step has no output", path);
  }
  return fail(Errc::not_found, "{{{{{}}}}} is not among inputs:", path);
}

Result<std::string> Scope::fill(std::string_view text) const {
  return replace_placeholders(text, [&](const std::string& path) -> Result<std::string> {
    QUERN_ASSIGN(const Json found, value(path));
    return text_of(found);
  });
}

std::string text_of(const Json& value) { return value.is_string() ? value.as_string() : value.dump(); }

}  // namespace quern
