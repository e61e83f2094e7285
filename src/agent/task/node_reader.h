// NodeReader: what reading a task's YAML needs again and again. Every error names the file and the line.
#pragma once

#include <fmt/ranges.h>

#include <charconv>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "agent/task/yaml.h"
#include "base/result.h"

namespace quern {

class NodeReader {
 public:
  static constexpr size_t kMaxText = 64 << 10, kMaxItems = 100;

  explicit NodeReader(std::string_view where) : where_(where) {}

  template <class... Args>
  tl::unexpected<Error> error(const YamlNode& node, fmt::format_string<Args...> format, Args&&... args) const {
    return fail(Errc::malformed, "{}:{}: {}", where_, node.line, fmt::format(format, std::forward<Args>(args)...));
  }

  Result<void> expect_map(const YamlNode& node, std::string_view key, std::string_view of) const;
  Result<void> expect_list(const YamlNode& node, std::string_view key, std::string_view of) const;  // of one item at least
  Result<void> only_keys(const YamlNode& map, std::initializer_list<std::string_view> known) const;
  // Not empty, without spaces and line breaks at its end.
  Result<std::string> text(const YamlNode& node, std::string_view key) const;
  Result<std::vector<std::string>> texts(const YamlNode& list, std::string_view key) const;
  Result<std::vector<std::string>> text_or_texts(const YamlNode& node, std::string_view key) const;
  Result<std::string> name(const YamlNode& node, std::string_view key) const;
  Result<bool> truth(const YamlNode& node, std::string_view key) const;
  // A JSON Schema that can be enforced: a map, or text that is JSON. max_bytes bounds its text.
  Result<Json> schema(const YamlNode& node, std::string_view key) const;

  enum class Least { zero, above_zero };
  template <class Number>
  Result<Number> number(const YamlNode& node, std::string_view key, Number most, Least least = Least::above_zero) const {
    Number value{};
    const char* end = node.scalar.data() + node.scalar.size();
    const auto [stop, status] = std::from_chars(node.scalar.data(), end, value);
    const bool enough = least == Least::zero ? value >= 0 : value > 0;
    if (node.kind != YamlNode::Kind::scalar || status != std::errc() || stop != end || !enough || !(value <= most))
      return error(node, "{}: expected a number {} up to {}, found {}", key, least == Least::zero ? "from 0" : "above 0 and", most,
                   node.kind == YamlNode::Kind::scalar ? std::string_view(node.scalar).substr(0, 40) : yaml_kind_name(node.kind));
    return value;
  }

 private:
  std::string_view where_;
};

}  // namespace quern
