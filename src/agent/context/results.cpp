#include "agent/context/results.h"

#include "base/utf8.h"

namespace quern {
namespace {

constexpr size_t kMaxBytes = 256 << 10;  // of one result that reaches the model, where it is not shown by pages

}  // namespace

Results::Results(const SecretStore* secrets, bool pages, size_t max_bytes) : secrets_(secrets), max_bytes_(max_bytes) {
  if (pages) read_result_ = read_result_tool(store_, max_bytes);
}

Results::Shown Results::show(std::string text, int64_t call, std::string_view tool) const {
  Shown shown{replace_invalid_utf8(redacted(std::move(text))), std::nullopt};
  const size_t whole = shown.text.size();
  if (read_result_ && whole > max_bytes_ && tool != kReadResult) {
    shown.whole = std::move(shown.text);
    shown.text = beginning_of(*shown.whole, call, max_bytes_);
  } else if (whole > kMaxBytes) {
    shown.text.resize(complete_utf8_prefix(std::string_view(shown.text).substr(0, kMaxBytes)));
    shown.text += fmt::format("\n(only the first {} of {} bytes are shown)", shown.text.size(), whole);
  }
  return shown;
}

}  // namespace quern
