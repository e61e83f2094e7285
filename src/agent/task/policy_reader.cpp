#include "agent/task/policy_reader.h"

#include "agent/task/task.h"
#include "base/file.h"

namespace quern {
namespace {

constexpr std::pair<std::string_view, Verdict> kVerdicts[] = {
    {"allow", Verdict::allow}, {"ask", Verdict::ask}, {"deny", Verdict::deny}};

Result<TextPattern> read_pattern(const NodeReader& reader, const YamlNode& node, const std::string& key) {
  const bool is_regex = node.kind == YamlNode::Kind::map;
  if (is_regex) QUERN_TRY(reader.only_keys(node, {"regex"}));
  const YamlNode* from = is_regex ? node.find("regex") : &node;
  if (!from) return reader.error(node, "{}: expected a glob or regex:", key);
  QUERN_ASSIGN(std::string text, reader.text(*from, key));
  auto pattern = is_regex ? TextPattern::regex(text) : TextPattern::glob(std::move(text));
  if (!pattern) return reader.error(*from, "{}: {}", key, pattern.error().message);
  return std::move(*pattern);
}

Result<PolicyRule::Argument> read_argument(const NodeReader& reader, const std::string& name, const YamlNode& node) {
  const std::string key = "policy: where: " + name.substr(0, 60);
  PolicyRule::Argument argument{name, {}};
  if (node.kind == YamlNode::Kind::list) QUERN_TRY(reader.expect_list(node, key, "patterns"));
  const std::vector<YamlNode> one{node};
  for (const YamlNode& item : node.kind == YamlNode::Kind::list ? node.items : one) {
    QUERN_ASSIGN(TextPattern pattern, read_pattern(reader, item, key));
    argument.patterns.push_back(std::move(pattern));
  }
  return argument;
}

Result<PolicyRule> read_rule(const NodeReader& reader, const YamlNode& node) {
  QUERN_TRY(reader.expect_map(node, "policy", "a rule such as \"allow: read_*\""));
  QUERN_TRY(reader.only_keys(node, {"allow", "ask", "deny", "server", "where"}));
  PolicyRule rule;
  int verdicts = 0;
  for (const auto& [key, verdict] : kVerdicts)
    if (const YamlNode* tools = node.find(key)) {
      QUERN_ASSIGN(rule.tools, reader.text_or_texts(*tools, fmt::format("policy: {}", key)));
      rule.verdict = verdict;
      ++verdicts;
    }
  if (verdicts != 1) return reader.error(node, "policy: a rule has one of allow:, ask: and deny:, this one has {}", verdicts);
  if (const YamlNode* server = node.find("server")) {
    QUERN_ASSIGN(rule.server, reader.text(*server, "policy: server"));
  }
  if (const YamlNode* where = node.find("where")) {
    QUERN_TRY(reader.expect_map(*where, "policy: where", "arguments' names and patterns"));
    for (const auto& [name, pattern] : where->members) {
      QUERN_ASSIGN(PolicyRule::Argument argument, read_argument(reader, name, pattern));
      rule.arguments.push_back(std::move(argument));
    }
  }
  return rule;
}

}  // namespace

Result<Policy> read_policy(const NodeReader& reader, const YamlNode& node) {
  Policy policy;
  const YamlNode* rules = &node;
  if (node.kind == YamlNode::Kind::map) {
    QUERN_TRY(reader.only_keys(node, {"default", "rules"}));
    rules = node.find("rules");
    if (const YamlNode* fallback = node.find("default")) {
      QUERN_ASSIGN(const std::string said, reader.text(*fallback, "policy: default"));
      for (const auto& [key, verdict] : kVerdicts)
        if (said == key) policy.fallback = verdict;
      if (!policy.fallback)
        return reader.error(*fallback, "policy: default: expected allow, ask or deny, found {}", said.substr(0, 40));
    } else if (!rules) {
      return reader.error(node, "policy: expected rules: or default:");
    }
  }
  if (!rules) return policy;
  QUERN_TRY(reader.expect_list(*rules, "policy", "a list of rules"));
  for (const YamlNode& item : rules->items) {
    QUERN_ASSIGN(PolicyRule rule, read_rule(reader, item));
    policy.rules.push_back(std::move(rule));
  }
  return policy;
}

Result<Policy> load_policy(const std::filesystem::path& file) {
  QUERN_ASSIGN(const std::string text, read_file(file, 1 << 20));
  const std::string where = file.string();
  QUERN_ASSIGN(const YamlNode root, parse_yaml(text, where));
  return read_policy(NodeReader(where), root);
}

}  // namespace quern
