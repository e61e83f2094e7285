#include "hub_environment.h"

#include <algorithm>
#include <cstdlib>

#include "base/file.h"
#include "text/trim.h"

namespace quern {
namespace {

const char* variable(const char* name) {
  const char* value = std::getenv(name);
  return value && *value ? value : nullptr;
}

bool is_set(const char* name) {
  std::string value = variable(name) ? variable(name) : "";
  std::transform(value.begin(), value.end(), value.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

// A folder's or file's name with ~ as those tools expand it themselves.
std::filesystem::path expanded(std::string_view path) {
  const char* home = variable("HOME");
  if (home && (path == "~" || path.starts_with("~/"))) return std::string(home) + std::string(path.substr(1));
  return std::string(path);
}

std::filesystem::path hub_home() {
  if (const char* home = variable("HF_HOME")) return expanded(home);
  if (const char* cache = variable("XDG_CACHE_HOME")) return expanded(cache) / "huggingface";
  if (const char* home = variable("HOME")) return std::filesystem::path(home) / ".cache/huggingface";
  return {};
}

// HF_TOKEN; else the file in which the hub's own tools keep one, which is for the hub that those tools speak to.
std::string find_token(bool usual_endpoint) {
  if (is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN")) return "";
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})  // the second is how the first was called once
    if (const char* token = variable(name)) return std::string(trim(token));
  if (!usual_endpoint) return "";
  const char* path = variable("HF_TOKEN_PATH");
  const auto text = read_file(path ? expanded(path) : hub_home() / "token", 4096);
  return text ? std::string(trim(*text)) : "";
}

}  // namespace

Result<HubAccess> hub_from_environment(const std::string& endpoint) {
  for (const char* name : {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"})
    if (is_set(name)) return fail(Errc::denied, "{} is set: a hub is not asked for anything", name);
  HubAccess access;
  const char* configured = variable("HF_ENDPOINT");
  if (!endpoint.empty())
    access.endpoint = endpoint;
  else if (configured)
    access.endpoint = configured;
  while (access.endpoint.ends_with('/')) access.endpoint.pop_back();
  access.token = find_token(endpoint.empty());
  access.user_agent = std::string("quern/") + QUERN_VERSION;
  return access;
}

std::filesystem::path hub_cache_from_environment() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (const char* path = variable(name)) return expanded(path);
  const auto home = hub_home();
  return home.empty() ? home : home / "hub";
}

}  // namespace quern
