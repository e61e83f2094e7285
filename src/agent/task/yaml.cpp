#include "agent/task/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <sstream>

#include "base/utf8.h"

namespace quern {
namespace {

constexpr size_t kMaxBytes = 256 << 10, kMaxDepth = 20;

// Stops yaml-cpp where quern has seen enough; caught below, beside the exceptions of its own.
struct Refused {
  int line;
  std::string what;
};

int line_of(const YAML::Mark& mark) { return mark.line + 1; }

// Builds the tree from events: nothing is ever expanded.
class Builder : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused{line_of(mark), "aliases (*name) are not supported"};
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { add(node(YamlNode::Kind::null, mark, "", anchor)); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    YamlNode scalar = node(YamlNode::Kind::scalar, mark, tag, anchor);
    scalar.scalar = value;
    scalar.plain = tag == "?" || tag.empty();
    add(std::move(scalar));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(node(YamlNode::Kind::list, mark, tag, anchor));
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(node(YamlNode::Kind::map, mark, tag, anchor));
  }
  void OnMapEnd() override { close(); }

  YamlNode root;

 private:
  struct Open {
    YamlNode node;
    bool has_key = false;
    std::string key;
    int key_line = 0, key_column = 0;
  };

  static YamlNode node(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) throw Refused{line_of(mark), "anchors (&name) are not supported"};
    if (!tag.empty() && tag != "?" && tag != "!") throw Refused{line_of(mark), "tags (!name) are not supported"};
    YamlNode made;
    made.kind = kind;
    made.line = line_of(mark);
    made.column = mark.column + 1;
    return made;
  }

  void open(YamlNode node) {
    if (open_.size() >= kMaxDepth) throw Refused{node.line, fmt::format("nested more than {} levels deep", kMaxDepth)};
    if (!open_.empty() && open_.back().node.kind == YamlNode::Kind::map && !open_.back().has_key)
      throw Refused{node.line, "a key must be a plain word"};
    open_.push_back({std::move(node), false, {}, 0, 0});
  }
  void close() {
    YamlNode done = std::move(open_.back().node);
    open_.pop_back();
    add(std::move(done));
  }
  void add(YamlNode value) {
    if (open_.empty()) {
      root = std::move(value);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == YamlNode::Kind::list) {
      parent.node.items.push_back(std::move(value));
    } else if (!parent.has_key) {
      if (value.kind != YamlNode::Kind::scalar) throw Refused{value.line, "a key must be a plain word"};
      if (parent.node.find(value.scalar)) throw Refused{value.line, fmt::format("{}: the key is there twice", value.scalar)};
      parent.key = std::move(value.scalar);
      parent.key_line = value.line;
      parent.key_column = value.column;
      parent.has_key = true;
    } else {
      value.line = parent.key_line;
      value.column = parent.key_column;
      parent.node.members.push_back({std::move(parent.key), std::move(value)});
      parent.has_key = false;
    }
  }

  std::vector<Open> open_;
};

std::string one_line(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return text.substr(0, 200);
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  for (const auto& [name, value] : members)
    if (name == key) return &value;
  return nullptr;
}

Json yaml_json(const YamlNode& node) {
  Json json;
  switch (node.kind) {
    case YamlNode::Kind::null:
      break;
    case YamlNode::Kind::scalar: {
      const std::string& text = node.scalar;
      const bool typed = node.plain && (text == "true" || text == "false" || text == "null" || text == "~" ||
                                        (!text.empty() && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'))));
      auto value = typed ? Json::parse(text == "~" ? "null" : text, "") : Result<Json>(Json(text));
      return value ? std::move(*value) : Json(text);
    }
    case YamlNode::Kind::list:
      json = Json::array();
      for (const YamlNode& item : node.items) json.push_back(yaml_json(item));
      break;
    case YamlNode::Kind::map:
      json = Json::object();
      for (const auto& [key, value] : node.members) json[key] = yaml_json(value);
      break;
  }
  return json;
}

std::string_view yaml_kind_name(YamlNode::Kind kind) {
  constexpr std::string_view names[] = {"nothing", "text", "a list", "a map"};
  return names[static_cast<size_t>(kind)];
}

Result<YamlNode> parse_yaml(std::string_view text, std::string_view where) {
  if (text.size() > kMaxBytes) return fail(Errc::out_of_range, "{}: {} bytes, at most {} are read", where, text.size(), kMaxBytes);
  if (const size_t at = find_invalid_utf8(text); at != std::string_view::npos)
    return fail(Errc::malformed, "{}: byte {}: not UTF-8", where, at);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    Builder builder, more;
    if (!parser.HandleNextDocument(builder)) return fail(Errc::malformed, "{}:1: the file is empty", where);
    if (parser.HandleNextDocument(more))
      return fail(Errc::malformed, "{}:{}: expected one document, found another", where, more.root.line);
    return std::move(builder.root);
  } catch (const Refused& refused) {
    return fail(Errc::malformed, "{}:{}: {}", where, refused.line, one_line(refused.what));
  } catch (const YAML::Exception& e) {
    return fail(Errc::malformed, "{}:{}: {}", where, line_of(e.mark), one_line(e.msg));
  }
}

}  // namespace quern
