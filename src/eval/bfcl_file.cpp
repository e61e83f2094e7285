#include "eval/bfcl_file.h"

#include <algorithm>

#include "base/file.h"

namespace quern {

Result<void> each_bfcl_line(const std::filesystem::path& file, const BfclLineVisitor& visit) {
  constexpr size_t kMaxFile = size_t{256} << 20;
  QUERN_ASSIGN(const std::string text, read_file(file, kMaxFile));
  std::string_view rest = text;
  for (size_t number = 1; !rest.empty(); ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}:{}", file.string(), number);
    QUERN_ASSIGN(const Json value, Json::parse(line, where));
    if (!value.is_object()) return fail(Errc::malformed, "{}: an {}, expected an object", where, value.kind_name());
    QUERN_TRY(visit(value, where));
  }
  return {};
}

Result<const Json*> bfcl_member(const Json& object, std::string_view name, Json::Kind kind, const std::string& where) {
  const Json* value = object.find(name);
  if (!value) return fail(Errc::malformed, "{}: \"{}\" is missing", where, name);
  if (value->kind() != kind)
    return fail(Errc::malformed, "{}: \"{}\": {}, expected {}", where, name, value->kind_name(), Json::kind_name(kind));
  return value;
}

Result<void> check_bfcl_function(const Json& function, const std::string& where) {
  if (!function.is_object()) return fail(Errc::malformed, "{}: \"function\": not an object", where);
  QUERN_TRY(bfcl_member(function, "name", Json::Kind::string, where));
  QUERN_ASSIGN(const Json* parameters, bfcl_member(function, "parameters", Json::Kind::object, where));
  QUERN_ASSIGN(const Json* properties, bfcl_member(*parameters, "properties", Json::Kind::object, where));
  for (const auto& [name, property] : properties->as_object())
    if (!property.is_object()) return fail(Errc::malformed, "{}: parameter \"{}\": not an object", where, name);
  return {};
}

}  // namespace quern
