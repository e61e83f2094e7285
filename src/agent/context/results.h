// What becomes of a tool's result before anybody sees it: secrets are taken out, the text is valid and no longer than a prompt can bear. The
// whole of each result is kept for read_result, where that tool is offered.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/context/long_results.h"
#include "agent/tools/tool.h"
#include "agent/trust/secrets.h"

namespace quern {

class Results {
 public:
  // secrets: not owned, may be null. pages: long results are shown by their beginning, and read_result is offered; otherwise they are cut.
  Results(const SecretStore* secrets, bool pages, size_t max_bytes);
  Results(const Results&) = delete;  // the tool refers to what is kept here
  Results& operator=(const Results&) = delete;

  const Tool* read_result() const { return read_result_ ? &*read_result_ : nullptr; }
  std::string redacted(std::string text) const { return secrets_ ? secrets_->redact(std::move(text)) : text; }

  struct Shown {
    std::string text;
    std::optional<std::string> whole;  // where text is only its beginning
  };
  Shown show(std::string text, int64_t call, std::string_view tool) const;
  const std::map<int64_t, std::string>& kept() const { return store_.all(); }
  void keep(int64_t call, const std::string& whole) { store_.put(call, whole); }

 private:
  const SecretStore* secrets_;
  const size_t max_bytes_;
  ResultStore store_;
  std::optional<Tool> read_result_;
};

}  // namespace quern
