// A JSON Schema document as a graph of subschemas: where each stands, which draft reads it, and what its references mean. Drafts 4, 6, 7,
// 2019-09 and 2020-12, chosen by $schema; without it 2020-12 that also accepts definitions, dependencies and arrays as items.
// References are resolved inside the document only: nothing is loaded from elsewhere.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace quern {

enum class Draft { draft4, draft6, draft7, draft2019, draft2020 };

using SchemaId = int32_t;  // of a subschema; from 1

// Why a schema is not enforced: the keyword's place as a JSON pointer ("#/properties/a/not"), and a reason in words.
struct Refusal {
  std::string path, reason;
};

class SchemaDocument {
 public:
  // refusal is filled, and the document unusable, when this is no schema document.
  SchemaDocument(Json schema, Refusal& refusal);
  SchemaDocument(const SchemaDocument&) = delete;

  SchemaId root() const { return 1; }
  // The subschema at this value inside the document, which stands below `parent` under `step` ("properties/a").
  SchemaId child(SchemaId parent, const Json& json, std::string_view step);
  // A schema made up by the compiler, read as draft 2020-12, where `path` says what it stands for.
  SchemaId synthetic(Json schema, std::string path);
  // What a reference means; 0 and a reason when it means nothing in this document.
  SchemaId resolve(SchemaId from, std::string_view reference, std::string& reason);
  // $dynamicRef and $recursiveRef, where the answer does not depend on the way that led there; else 0 and a reason.
  SchemaId resolve_dynamic(SchemaId from, std::string_view reference, std::string& reason);

  const Json& json(SchemaId id) const { return *nodes_[static_cast<size_t>(id)].json; }
  const std::string& path(SchemaId id) const { return nodes_[static_cast<size_t>(id)].path; }
  Draft draft(SchemaId id) const { return resources_[nodes_[static_cast<size_t>(id)].resource].draft; }
  bool lenient() const { return lenient_; }  // no $schema was given
  size_t size() const { return nodes_.size(); }

 private:
  struct Node {
    const Json* json;
    size_t resource;
    std::string path;
  };
  struct Resource {
    std::string base;  // absolute where known; no fragment
    Draft draft;
    const Json* root;
    std::string path;
    std::map<std::string, const Json*, std::less<>> anchors, dynamic_anchors;
    bool recursive_anchor = false;
  };

  SchemaId add(const Json& json, size_t resource, std::string path);
  void index(const Json& json, size_t resource, const std::string& path, Refusal& refusal);
  const Resource* find_resource(std::string_view base) const;
  SchemaId at_pointer(size_t resource, std::string_view pointer, std::string& reason);

  Json document_;
  std::deque<Json> synthetic_;
  std::vector<Node> nodes_;
  std::vector<Resource> resources_;
  std::unordered_map<const Json*, SchemaId> by_json_;
  std::unordered_map<const Json*, size_t> resource_of_;
  bool lenient_ = false;
};

// A member's name as a step of a JSON pointer (RFC 6901).
std::string escape_pointer(std::string_view token);

// RFC 3986, section 5: `reference` as seen from `base`. Neither has to be a valid URI.
std::string resolve_uri(std::string_view base, std::string_view reference);

}  // namespace quern
