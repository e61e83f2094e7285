#include "constrain/schema_document.h"

#include <algorithm>

namespace quern {
namespace {

struct DraftName {
  std::string_view uri;
  Draft draft;
};
constexpr DraftName kDrafts[] = {
    {"http://json-schema.org/draft-04/schema", Draft::draft4},
    {"http://json-schema.org/draft-06/schema", Draft::draft6},
    {"http://json-schema.org/draft-07/schema", Draft::draft7},
    {"http://json-schema.org/draft/2019-09/schema", Draft::draft2019},
    {"http://json-schema.org/draft/2020-12/schema", Draft::draft2020},
    {"http://json-schema.org/schema", Draft::draft2020},
};

bool find_draft(std::string_view uri, Draft& draft) {
  std::string plain(uri);
  while (plain.ends_with('#')) plain.pop_back();
  if (plain.starts_with("https://")) plain.erase(4, 1);
  for (const DraftName& d : kDrafts)
    if (d.uri == plain) {
      draft = d.draft;
      return true;
    }
  return false;
}

// Keywords whose value holds subschemas, and how.
enum class Holds { schema, list, schema_or_list, map, map_of_schema_or_names };
struct Applicator {
  std::string_view keyword;
  Holds holds;
};
constexpr Applicator kApplicators[] = {
    {"properties", Holds::map},
    {"patternProperties", Holds::map},
    {"additionalProperties", Holds::schema},
    {"propertyNames", Holds::schema},
    {"unevaluatedProperties", Holds::schema},
    {"dependentSchemas", Holds::map},
    {"dependencies", Holds::map_of_schema_or_names},
    {"items", Holds::schema_or_list},
    {"prefixItems", Holds::list},
    {"additionalItems", Holds::schema},
    {"unevaluatedItems", Holds::schema},
    {"contains", Holds::schema},
    {"allOf", Holds::list},
    {"anyOf", Holds::list},
    {"oneOf", Holds::list},
    {"not", Holds::schema},
    {"if", Holds::schema},
    {"then", Holds::schema},
    {"else", Holds::schema},
    {"definitions", Holds::map},
    {"$defs", Holds::map},
};

std::string percent_decoded(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i)
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  return out;
}

// scheme ":" as RFC 3986 has it; npos when there is none.
size_t scheme_end(std::string_view uri) {
  for (size_t i = 0; i < uri.size(); ++i) {
    const char c = uri[i];
    if (c == ':') return i == 0 ? std::string_view::npos : i;
    const bool letter = (c | 32) >= 'a' && (c | 32) <= 'z', more = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
    if (!letter && !(i > 0 && more)) break;
  }
  return std::string_view::npos;
}

std::string without_dots(std::string_view path) {
  std::vector<std::string_view> out;
  const bool absolute = path.starts_with('/');
  bool ends_in_folder = false;
  for (size_t at = absolute ? 1 : 0; at <= path.size();) {
    const size_t slash = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, slash - at);
    ends_in_folder = part == "." || part == "..";
    if (part == "..") {
      if (!out.empty()) out.pop_back();
    } else if (part != ".") {
      out.push_back(part);
    }
    at = slash + 1;
  }
  std::string joined = absolute ? "/" : "";
  for (size_t i = 0; i < out.size(); ++i) {
    if (i > 0) joined += '/';
    joined += out[i];
  }
  if (ends_in_folder && !joined.ends_with('/')) joined += '/';
  return joined;
}

}  // namespace

std::string escape_pointer(std::string_view token) {
  std::string out;
  for (const char c : token)
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  return out;
}

std::string resolve_uri(std::string_view base, std::string_view reference) {
  if (scheme_end(reference) != std::string_view::npos) return std::string(reference);
  const std::string_view bare = base.substr(0, base.find('#'));
  if (reference.empty() || reference.starts_with('#')) return std::string(bare) + std::string(reference);
  const size_t scheme = scheme_end(bare);
  const size_t after_scheme = scheme == std::string_view::npos ? 0 : scheme + 1;
  const bool authority = bare.substr(after_scheme).starts_with("//");
  const size_t path = authority ? std::min(bare.find('/', after_scheme + 2), bare.size()) : after_scheme;
  if (reference.starts_with("//")) return std::string(bare.substr(0, after_scheme)) + std::string(reference);
  const size_t tail = std::min(reference.find_first_of("?#"), reference.size());
  const std::string_view base_path = bare.substr(path, std::min(bare.find('?', path), bare.size()) - path);
  if (tail == 0) return std::string(bare.substr(0, path)) + std::string(base_path) + std::string(reference);
  std::string merged;
  if (reference.starts_with('/'))
    merged = reference.substr(0, tail);
  else if (authority && base_path.empty())
    merged = "/" + std::string(reference.substr(0, tail));
  else
    merged = std::string(base_path.substr(0, base_path.rfind('/') == std::string_view::npos ? 0 : base_path.rfind('/') + 1)) +
             std::string(reference.substr(0, tail));
  return std::string(bare.substr(0, path)) + without_dots(merged) + std::string(reference.substr(tail));
}

SchemaDocument::SchemaDocument(Json schema, Refusal& refusal) : document_(std::move(schema)) {
  nodes_.push_back({nullptr, 0, ""});
  Draft draft = Draft::draft2020;
  const Json* name = document_.find("$schema");
  lenient_ = name == nullptr;
  if (name && !(name->is_string() && find_draft(name->as_string(), draft))) {
    refusal = {"#/$schema", fmt::format("the dialect {} is not known", name->dump())};
    return;
  }
  resources_.push_back({.base = "", .draft = draft, .root = &document_, .path = "#"});
  index(document_, 0, "#", refusal);
  if (refusal.reason.empty()) add(document_, resource_of_[&document_], "#");
}

SchemaId SchemaDocument::add(const Json& json, size_t resource, std::string path) {
  const auto [it, is_new] = by_json_.try_emplace(&json, static_cast<SchemaId>(nodes_.size()));
  if (is_new) nodes_.push_back({&json, resource, std::move(path)});
  return it->second;
}

SchemaId SchemaDocument::child(SchemaId parent, const Json& json, std::string_view step) {
  const Node& above = nodes_[static_cast<size_t>(parent)];
  const auto found = resource_of_.find(&json);
  return add(json, found != resource_of_.end() ? found->second : above.resource, above.path + "/" + std::string(step));
}

SchemaId SchemaDocument::synthetic(Json schema, std::string path) {
  if (resources_.back().path != "synthetic")
    resources_.push_back({.base = "", .draft = Draft::draft2020, .root = nullptr, .path = "synthetic"});
  synthetic_.push_back(std::move(schema));
  return add(synthetic_.back(), resources_.size() - 1, std::move(path));
}

// Which resource each subschema belongs to, and its anchors. Recursion is as deep as the JSON parser allowed.
void SchemaDocument::index(const Json& json, size_t resource, const std::string& path, Refusal& refusal) {
  if (!json.is_object()) {
    resource_of_.emplace(&json, resource);
    return;
  }
  Draft draft = resources_[resource].draft;
  const bool ref_hides_siblings = draft <= Draft::draft7 && json.find("$ref");
  const Json* id = ref_hides_siblings ? nullptr : json.find(draft == Draft::draft4 ? "id" : "$id");
  if (id && id->is_string()) {
    std::string uri = resolve_uri(resources_[resource].base, id->as_string());
    const size_t hash = uri.find('#');
    const std::string fragment = hash == std::string::npos ? "" : uri.substr(hash + 1);
    if (hash != std::string::npos) uri.erase(hash);
    if (!id->as_string().starts_with('#')) {
      if (const Json* dialect = json.find("$schema"); dialect && dialect->is_string() && !find_draft(dialect->as_string(), draft)) {
        refusal = {path + "/$schema", fmt::format("the dialect {} is not known", dialect->dump())};
        return;
      }
      if (path == "#")
        resources_[resource].base = uri;
      else
        resources_.push_back({.base = uri, .draft = draft, .root = &json, .path = path}), resource = resources_.size() - 1;
    }
    if (!fragment.empty() && draft <= Draft::draft7) resources_[resource].anchors.emplace(fragment, &json);
  }
  resource_of_.emplace(&json, resource);
  if (draft >= Draft::draft2019) {
    if (const Json* anchor = json.find("$anchor"); anchor && anchor->is_string())
      resources_[resource].anchors.emplace(anchor->as_string(), &json);
    if (const Json* anchor = json.find("$dynamicAnchor"); anchor && anchor->is_string() && draft == Draft::draft2020) {
      resources_[resource].anchors.emplace(anchor->as_string(), &json);
      resources_[resource].dynamic_anchors.emplace(anchor->as_string(), &json);
    }
    if (const Json* anchor = json.find("$recursiveAnchor"); anchor && anchor->is_bool() && anchor->as_bool())
      resources_[resource].recursive_anchor = true;
  }
  for (const auto& [key, value] : json.as_object()) {
    if (ref_hides_siblings && key != "definitions" && key != "$defs") continue;
    const auto it =
        std::find_if(std::begin(kApplicators), std::end(kApplicators), [&](const Applicator& a) { return a.keyword == key; });
    if (it == std::end(kApplicators)) continue;
    const std::string below = path + "/" + key;
    if (it->holds == Holds::map || it->holds == Holds::map_of_schema_or_names) {
      if (!value.is_object()) continue;
      for (const auto& [name, sub] : value.as_object())
        if (sub.is_object() || sub.is_bool()) index(sub, resource, below + "/" + escape_pointer(name), refusal);
    } else if (value.is_array() && it->holds != Holds::schema) {
      for (size_t i = 0; i < value.size(); ++i) index(value.as_array()[i], resource, below + "/" + std::to_string(i), refusal);
    } else {
      index(value, resource, below, refusal);
    }
  }
}

const SchemaDocument::Resource* SchemaDocument::find_resource(std::string_view base) const {
  for (const Resource& r : resources_)
    if (r.root && r.base == base) return &r;
  return nullptr;
}

SchemaId SchemaDocument::at_pointer(size_t resource, std::string_view pointer, std::string& reason) {
  const Json* at = resources_[resource].root;
  size_t owner = resource;
  for (size_t begin = 0; begin < pointer.size();) {
    const size_t end = std::min(pointer.find('/', begin + 1), pointer.size());
    std::string token;
    for (size_t i = begin + 1; i < end; ++i)
      if (pointer[i] == '~' && i + 1 < end && (pointer[i + 1] == '0' || pointer[i + 1] == '1'))
        token += pointer[++i] == '0' ? '~' : '/';
      else
        token += pointer[i];
    const Json* next = at->find(token);
    if (at->is_array() && !token.empty() && token.size() < 10 && token.find_first_not_of("0123456789") == std::string::npos) {
      const size_t i = std::stoul(token);
      next = i < at->size() ? &at->as_array()[i] : nullptr;
    }
    if (!next) {
      reason = fmt::format("there is nothing at '{}'", pointer);
      return 0;
    }
    at = next;
    if (const auto found = resource_of_.find(at); found != resource_of_.end()) owner = found->second;
    begin = end;
  }
  return add(*at, owner, resources_[resource].path + std::string(pointer));
}

SchemaId SchemaDocument::resolve(SchemaId from, std::string_view reference, std::string& reason) {
  const Resource& here = resources_[nodes_[static_cast<size_t>(from)].resource];
  const std::string uri = resolve_uri(here.base, reference);
  const size_t hash = std::min(uri.find('#'), uri.size());
  const std::string base = uri.substr(0, hash), fragment = hash < uri.size() ? percent_decoded(uri.substr(hash + 1)) : "";
  const Resource* target = base == here.base ? &here : find_resource(base);
  if (!target || !target->root) {
    // Old schemas name a subschema by an id that is only a fragment of nothing; and every document is itself.
    reason = fmt::format("the reference '{}' leads out of this document", reference);
    return 0;
  }
  const auto index_of = static_cast<size_t>(target - resources_.data());
  if (fragment.empty() || fragment.starts_with('/')) return at_pointer(index_of, fragment, reason);
  if (const auto it = target->anchors.find(fragment); it != target->anchors.end()) {
    return add(*it->second, resource_of_.at(it->second), target->path + " " + fragment);
  }
  reason = fmt::format("there is no anchor '{}'", fragment);
  return 0;
}

SchemaId SchemaDocument::resolve_dynamic(SchemaId from, std::string_view reference, std::string& reason) {
  const size_t resources =
      static_cast<size_t>(std::count_if(resources_.begin(), resources_.end(), [](const Resource& r) { return r.root != nullptr; }));
  const SchemaId target = resolve(from, reference, reason);
  if (target == 0 || resources == 1) return target;
  const std::string_view fragment = reference.find('#') == std::string_view::npos ? "" : reference.substr(reference.find('#') + 1);
  const Json& to = json(target);
  const bool dynamic = draft(from) == Draft::draft2019 ? to.find("$recursiveAnchor") != nullptr
                                                       : to.find("$dynamicAnchor") && to.find("$dynamicAnchor")->is_string() &&
                                                             to.find("$dynamicAnchor")->as_string() == fragment;
  if (!dynamic) return target;
  const auto holders = std::count_if(resources_.begin(), resources_.end(), [&](const Resource& r) {
    return draft(from) == Draft::draft2019 ? r.recursive_anchor : r.dynamic_anchors.contains(std::string(fragment));
  });
  if (holders <= 1) return target;
  reason = "what this dynamic reference means depends on the way that led to it";
  return 0;
}

}  // namespace quern
