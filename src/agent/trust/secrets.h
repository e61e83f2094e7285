// SecretStore: values that a run may use and a model must not see. The model reads and writes {{secret:NAME}}; the value takes its place
// only in the arguments of a call that is being carried out, of tools that may have it; and wherever a tool's output contains the value,
// the placeholder stands in what the model, the journal and the events get.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace quern {

// May be read from several threads once it is filled.
class SecretStore {
 public:
  static constexpr size_t kMinBytes = 6;  // what is shorter occurs everywhere by chance

  // tools: those whose arguments may hold it; empty: none. invalid_argument: a name that is not letters, digits, - and _, one that is
  // taken, a value shorter than kMinBytes.
  Result<void> add(std::string name, std::string value, std::vector<std::string> tools);
  bool empty() const { return secrets_.empty(); }
  std::vector<std::string> names() const;

  static std::string placeholder(std::string_view name);  // {{secret:NAME}}

  // Text without the values: as they are, each long line of one with several, and as JSON, a URL or base64 would hold them.
  std::string redact(std::string text) const;
  // The arguments with values for placeholders, in strings and not in keys. denied: one that `tool` may not have; not_found: no such secret.
  Result<Json> reveal(const Json& arguments, std::string_view tool) const;

 private:
  struct Secret {
    std::string name, value;
    std::vector<std::string> tools;
  };
  Result<std::string> reveal_text(std::string_view text, std::string_view tool) const;

  std::vector<Secret> secrets_;
  std::vector<std::pair<std::string, std::string>> forms_;  // what must not be seen, the longest first; what stands there instead
};

}  // namespace quern
