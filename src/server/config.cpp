#include "server/config.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "agent/task/yaml.h"

namespace quern {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view where) : where_(where) {}

  Result<ServerConfig> read(const YamlNode& root) const {
    ServerConfig config;
    if (root.kind != YamlNode::Kind::map) return error(root, "expected a map of options, found {}", yaml_kind_name(root.kind));
    for (const auto& [key, value] : root.members) {
      if (key == "models") {
        QUERN_TRY(read_models(value, config.models));
        continue;
      }
      ServerConfig::Setting setting{.key = key, .line = value.line, .column = value.column};
      QUERN_ASSIGN(setting.values, texts(value, key));
      config.settings.push_back(std::move(setting));
    }
    return config;
  }

 private:
  template <class... Args>
  tl::unexpected<Error> error(const YamlNode& node, fmt::format_string<Args...> format, Args&&... args) const {
    return fail(Errc::malformed, "{}:{}:{}: {}", where_, node.line, node.column, fmt::format(format, std::forward<Args>(args)...));
  }

  Result<std::string> text(const YamlNode& node, std::string_view key) const {
    if (node.kind != YamlNode::Kind::scalar || node.scalar.empty())
      return error(node, "{}: expected a value, found {}", key.substr(0, 60),
                   node.kind == YamlNode::Kind::scalar ? "an empty one" : yaml_kind_name(node.kind));
    return node.scalar;
  }
  Result<std::vector<std::string>> texts(const YamlNode& node, std::string_view key) const {
    std::vector<std::string> all;
    if (node.kind != YamlNode::Kind::list) {
      QUERN_ASSIGN(std::string one, text(node, key));
      return std::vector{std::move(one)};
    }
    for (const YamlNode& item : node.items) {
      QUERN_ASSIGN(std::string one, text(item, key));
      all.push_back(std::move(one));
    }
    return all;
  }

  Result<void> read_models(const YamlNode& node, std::vector<ModelEntry>& models) const {
    if (node.kind != YamlNode::Kind::map)
      return error(node, "models: expected a map of names, each with its path, found {}", yaml_kind_name(node.kind));
    for (const auto& [name, value] : node.members) {
      ModelEntry entry{.name = name};
      if (name.empty()) return error(value, "models: a model needs a name");
      if (value.kind == YamlNode::Kind::scalar && !value.scalar.empty()) {
        entry.path = value.scalar;
      } else {
        QUERN_TRY(read_model(value, entry));
      }
      models.push_back(std::move(entry));
    }
    return {};
  }

  Result<void> read_model(const YamlNode& node, ModelEntry& entry) const {
    if (node.kind != YamlNode::Kind::map)
      return error(node, "{}: expected the model's path, or a map with path, found {}", entry.name, yaml_kind_name(node.kind));
    for (const auto& [key, value] : node.members) {
      const std::string of = fmt::format("{}: {}", entry.name, key);
      if (key == "aliases") {
        QUERN_ASSIGN(entry.aliases, texts(value, of));
        continue;
      }
      if (key != "path" && key != "pinned" && key != "keep")
        return error(value, "{}: unknown key; there are path, aliases, pinned, keep", of);
      QUERN_ASSIGN(const std::string said, text(value, of));
      if (key == "path") {
        entry.path = said;
      } else if (key == "pinned") {
        if (said != "true" && said != "false") return error(value, "{}: expected true or false, found {}", of, said.substr(0, 40));
        entry.pinned = said == "true";
      } else {
        const auto time = parse_duration(said);
        if (!time) return error(value, "{}: {}", of, time.error().message);
        entry.keep = *time;
      }
    }
    if (entry.path.empty()) return error(node, "{}: path is missing", entry.name);
    return {};
  }

  std::string_view where_;
};

// Comments and empty lines alone.
bool says_nothing(std::string_view text) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const size_t first = line.find_first_not_of(" \t\r");
    if (first != std::string_view::npos && line[first] != '#') return false;
  }
  return true;
}

// A number that is not negative, and what stands after it.
std::optional<std::pair<double, std::string_view>> number_and_rest(std::string_view text) {
  double value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || !(value >= 0) || !std::isfinite(value)) return {};
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  while (text.starts_with(' ')) text.remove_prefix(1);
  return {{value, text}};
}

}  // namespace

Result<ServerConfig> parse_server_config(std::string_view text, std::string_view where) {
  if (says_nothing(text)) return ServerConfig{};
  QUERN_ASSIGN(const YamlNode root, parse_yaml(text, where));
  return Reader(where).read(root);
}

Result<std::chrono::duration<double>> parse_duration(std::string_view text) {
  using Seconds = std::chrono::duration<double>;
  if (text == "forever" || text == "-1") return Seconds(-1);
  if (const auto parsed = number_and_rest(text)) {
    const auto& [value, unit] = *parsed;
    for (const auto& [name, seconds] :
         {std::pair<std::string_view, double>{"", 1}, {"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}})
      if (unit == name && value * seconds <= 1e9) return Seconds(value * seconds);
  }
  return fail(Errc::invalid_argument, "{}: expected a time as 90s, 10m, 2h, 7d or forever", text.substr(0, 40));
}

Result<size_t> parse_size(std::string_view text) {
  if (const auto parsed = number_and_rest(text)) {
    auto [value, unit] = *parsed;
    if (unit.ends_with("iB"))
      unit.remove_suffix(2);
    else if (unit.ends_with('B'))
      unit.remove_suffix(1);
    constexpr std::string_view kUnits = "KMGT";
    const size_t power = unit.empty() ? 0 : kUnits.find(unit.front() == 'k' ? 'K' : unit.front()) + 1;
    const double bytes = value * std::pow(1024.0, static_cast<double>(power));
    if (unit.size() <= 1 && (unit.empty() || power > 0) && bytes < 1e18) return static_cast<size_t>(bytes);
  }
  return fail(Errc::invalid_argument, "{}: expected a number of bytes as 1048576, 64M or 1.5G", text.substr(0, 40));
}

}  // namespace quern
