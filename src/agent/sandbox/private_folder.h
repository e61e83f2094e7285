// A folder for one confined program's temporary files, where it cannot have a /tmp of its own.
#pragma once

#include <filesystem>
#include <utility>

#include "base/result.h"

namespace quern {

// Gone with its object, and all that is in it.
class PrivateFolder {
 public:
  PrivateFolder() = default;
  static Result<PrivateFolder> create();
  PrivateFolder(PrivateFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  PrivateFolder& operator=(PrivateFolder&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~PrivateFolder();
  const std::filesystem::path& path() const { return path_; }  // empty: none

 private:
  std::filesystem::path path_;
};

}  // namespace quern
