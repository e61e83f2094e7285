#include "agent/task/node_reader.h"

#include <algorithm>

#include "agent/task/placeholders.h"
#include "constrain/constraint.h"

namespace quern {

Result<void> NodeReader::expect_map(const YamlNode& node, std::string_view key, std::string_view of) const {
  if (node.kind != YamlNode::Kind::map) return error(node, "{}: expected {}, found {}", key, of, yaml_kind_name(node.kind));
  if (node.members.size() > kMaxItems) return error(node, "{}: at most {} are allowed", key, kMaxItems);
  return {};
}

Result<void> NodeReader::expect_list(const YamlNode& node, std::string_view key, std::string_view of) const {
  if (node.kind != YamlNode::Kind::list || node.items.empty())
    return error(node, "{}: expected {}, found {}", key, of,
                 node.kind == YamlNode::Kind::list ? "an empty list" : yaml_kind_name(node.kind));
  if (node.items.size() > kMaxItems) return error(node, "{}: at most {} are allowed", key, kMaxItems);
  return {};
}

Result<void> NodeReader::only_keys(const YamlNode& map, std::initializer_list<std::string_view> known) const {
  for (const auto& [key, value] : map.members)
    if (std::find(known.begin(), known.end(), key) == known.end())
      return error(value, "{}: unknown key; there are {}", key.substr(0, 60), fmt::join(known, ", "));
  return {};
}

Result<std::string> NodeReader::text(const YamlNode& node, std::string_view key) const {
  if (node.kind != YamlNode::Kind::scalar) return error(node, "{}: expected text, found {}", key, yaml_kind_name(node.kind));
  if (node.scalar.size() > kMaxText) return error(node, "{}: {} bytes, at most {} are allowed", key, node.scalar.size(), kMaxText);
  if (node.scalar.find('\0') != std::string::npos) return error(node, "{}: contains a zero byte", key);
  std::string_view trimmed = node.scalar;
  while (trimmed.ends_with('\n') || trimmed.ends_with(' ')) trimmed.remove_suffix(1);
  if (trimmed.empty()) return error(node, "{}: is empty", key);
  return std::string(trimmed);
}

Result<std::vector<std::string>> NodeReader::texts(const YamlNode& list, std::string_view key) const {
  QUERN_TRY(expect_list(list, key, "a list of texts"));
  std::vector<std::string> all;
  for (const YamlNode& item : list.items) {
    QUERN_ASSIGN(std::string one, text(item, key));
    all.push_back(std::move(one));
  }
  return all;
}

Result<std::vector<std::string>> NodeReader::text_or_texts(const YamlNode& node, std::string_view key) const {
  if (node.kind == YamlNode::Kind::list) return texts(node, key);
  QUERN_ASSIGN(std::string one, text(node, key));
  return std::vector<std::string>{std::move(one)};
}

Result<std::string> NodeReader::name(const YamlNode& node, std::string_view key) const {
  QUERN_ASSIGN(std::string read, text(node, key));
  if (!is_task_name(read)) return error(node, "{}: {}: a name has letters, digits, - and _", key, read.substr(0, 60));
  return read;
}

Result<bool> NodeReader::truth(const YamlNode& node, std::string_view key) const {
  if (node.kind == YamlNode::Kind::scalar && (node.scalar == "true" || node.scalar == "false")) return node.scalar == "true";
  return error(node, "{}: expected true or false, found {}", key,
               node.kind == YamlNode::Kind::scalar ? std::string_view(node.scalar).substr(0, 40) : yaml_kind_name(node.kind));
}

Result<Json> NodeReader::schema(const YamlNode& node, std::string_view key) const {
  Json schema;
  if (node.kind == YamlNode::Kind::map) {
    schema = yaml_json(node);
  } else {
    QUERN_ASSIGN(const std::string written, text(node, key));
    auto parsed = Json::parse(written, key);
    if (!parsed) return error(node, "{}", parsed.error().message);
    schema = std::move(*parsed);
  }
  if (!schema.is_object()) return error(node, "{}: expected a JSON Schema, found {}", key, schema.kind_name());
  if (const auto compiled = compile_schema(schema, {}); !compiled) return error(node, "{}: {}", key, compiled.error().message);
  return schema;
}

}  // namespace quern
