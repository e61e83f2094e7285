// The leaderboard's files are JSON lines that anybody may have written: read with a place for every error, "FILE:LINE: …".
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace quern {

using BfclLineVisitor = std::function<Result<void>(const Json& line, const std::string& where)>;
// The objects of a file, one by one. Errors: not_found, malformed, and the visitor's.
Result<void> each_bfcl_line(const std::filesystem::path& file, const BfclLineVisitor& visit);

// A member of this kind; malformed otherwise.
Result<const Json*> bfcl_member(const Json& object, std::string_view name, Json::Kind kind, const std::string& where);

// A function's doc has what a tool is made of: a name, and parameters with properties.
Result<void> check_bfcl_function(const Json& function, const std::string& where);

}  // namespace quern
