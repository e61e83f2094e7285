// What a pull that goes on later finds again: pull.json in NAME.partial, and PART.json beside each file on its way.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quern {

struct PullRecord {
  std::string repository;
  uint64_t total = 0;                           // bytes that the model will have
  std::map<std::string, std::string> finished;  // verified files: path and identity

  static constexpr std::string_view kFile = "pull.json";
  Result<void> save(const std::filesystem::path& partial) const;
  static std::optional<PullRecord> load(const std::filesystem::path& partial);  // nothing: no such folder, or not a pull's
  // Of the model, in finished files and in those on their way.
  uint64_t bytes_there(const std::filesystem::path& partial) const;
};

}  // namespace quern
