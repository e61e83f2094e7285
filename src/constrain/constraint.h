// What generated text must be: the ways to say it, compiled to a Machine. This is the layer's face to the commands and to runtime/.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "constrain/machine.h"
#include "constrain/schema_machine.h"

namespace quern {

// Errors name the keyword's place and the reason: "schema: #/properties/a/not: …" (unsupported), "grammar:3:14: …" (malformed).
Result<std::unique_ptr<Machine>> compile_schema(const Json& schema, const SchemaMachineOptions& options);
Result<std::unique_ptr<Machine>> compile_any_json();
// Does the value satisfy the schema? mismatch says up to where its plain dump could; errors of compile_schema.
Result<void> check_json(const Json& schema, const Json& value);
// The whole text matches the ECMA-262 pattern.
Result<std::unique_ptr<Machine>> compile_regex(std::string_view pattern);
// GBNF, whose rule `root` is the whole text.
Result<std::unique_ptr<Machine>> compile_grammar(std::string_view gbnf);

}  // namespace quern
