#include "server/fields.h"

#include "base/utf8.h"

namespace quern {

const Json* FieldReader::find(std::string_view name) const {
  const Json* found = object_.find(name);
  return found && !found->is_null() ? found : nullptr;
}

tl::unexpected<Error> FieldReader::wrong(std::string_view name, std::string_view expected) const {
  const Json* value = find(name);
  std::string found(value->kind_name());
  if (!value->is_array() && !value->is_object()) {
    found = value->dump();
    if (found.size() > 60) found = found.substr(0, complete_utf8_prefix(std::string_view(found).substr(0, 57))) + "…";
  }
  return fail(Errc::malformed, "{}: {}: expected {}", place(name), found, expected);
}

Result<std::optional<bool>> FieldReader::boolean(std::string_view name) const {
  const Json* value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_bool()) return wrong(name, "true or false");
  return value->as_bool();
}

Result<std::optional<std::string>> FieldReader::text(std::string_view name) const {
  const Json* value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_string()) return wrong(name, "a string");
  return value->as_string();
}

Result<const Json::Array*> FieldReader::array(std::string_view name) const {
  const Json* value = find(name);
  if (value && !value->is_array()) return wrong(name, "an array");
  return value ? &value->as_array() : nullptr;
}

Result<const Json*> FieldReader::object(std::string_view name) const {
  const Json* value = find(name);
  if (value && !value->is_object()) return wrong(name, "an object");
  return value;
}

Result<std::vector<std::string>> FieldReader::texts(std::string_view name) const {
  QUERN_ASSIGN(const Json::Array* const array, this->array(name));
  std::vector<std::string> texts;
  for (size_t i = 0; array && i < array->size(); ++i) {
    const Json& text = (*array)[i];
    if (!text.is_string() || text.as_string().empty())
      return fail(Errc::malformed, "{}[{}]: expected a string that is not empty", place(name), i);
    texts.push_back(text.as_string());
  }
  return texts;
}

}  // namespace quern
