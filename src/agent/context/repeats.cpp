#include "agent/context/repeats.h"

#include <fmt/format.h>

#include "base/digest.h"

namespace quern {

std::string Repeats::name_of(const SeenCall& seen) { return std::string(seen.key) + "\n" + sha256_hex(seen.result); }

bool Repeats::nudges(const SeenCall& seen) const {
  if (seen.is_error) return false;  // an error says itself what is wrong
  const auto found = same_.find(name_of(seen));
  return found != same_.end() && found->second + 1 >= kNudge * patience(seen);
}

std::optional<std::string> Repeats::count(const SeenCall& seen) {
  if (seen.is_error) {
    if (++failures_[std::string(seen.key)] < kFailures) return std::nullopt;
    return fmt::format("the same call failed {} times: {}", kFailures, seen.result);
  }
  const std::string name = name_of(seen);
  const int times = ++same_[name];
  if (seen.changes) {
    failures_.clear();
    std::erase_if(same_, [&](const auto& one) { return one.first != name; });
  }
  if (times < kStop * patience(seen)) return std::nullopt;
  return fmt::format("the same call gave the same result {} times: {}", times, seen.key.substr(0, 200));
}

}  // namespace quern
