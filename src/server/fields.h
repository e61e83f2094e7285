// Reading members of JSON whose shape depends on more than a declaration (shape.h) can say: blocks that differ by their type.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace quern {

// A member of `object`; null counts as absent. Errors name it: "messages[1].content[0].id: 7: expected a string".
class FieldReader {
 public:
  explicit FieldReader(const Json& object, std::string where = {}) : object_(object), where_(std::move(where)) {}

  const Json* find(std::string_view name) const;
  Result<std::optional<bool>> boolean(std::string_view name) const;
  Result<std::optional<std::string>> text(std::string_view name) const;
  Result<const Json::Array*> array(std::string_view name) const;        // nullptr: absent
  Result<const Json*> object(std::string_view name) const;              // nullptr: absent
  Result<std::vector<std::string>> texts(std::string_view name) const;  // none of them empty

  const std::string& where() const { return where_; }
  std::string place(std::string_view name) const { return where_.empty() ? std::string(name) : where_ + "." + std::string(name); }

 private:
  tl::unexpected<Error> wrong(std::string_view name, std::string_view expected) const;
  const Json& object_;
  std::string where_;
};

}  // namespace quern
