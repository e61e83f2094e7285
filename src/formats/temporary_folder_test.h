// A folder of its own for each test that writes files; gone with the test. Included by tests only.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quern {

class TemporaryFolder {
 public:
  TemporaryFolder() : path_(std::filesystem::path(::testing::TempDir()) / fmt::format("quern-{}-{}", ::getpid(), next_++)) {
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }
  // Writes a file and returns its path.
  std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }

 private:
  static inline int next_ = 0;
  std::filesystem::path path_;
};

// An error of this code in one line that contains every one of `words`.
template <class T>
::testing::AssertionResult fails(const Result<T>& result, Errc code, std::initializer_list<std::string_view> words = {}) {
  if (result) return ::testing::AssertionFailure() << "succeeded";
  const Error& error = result.error();
  if (error.code != code) return ::testing::AssertionFailure() << "code " << static_cast<int>(error.code) << ": " << error.message;
  if (error.message.empty() || error.message.find('\n') != std::string::npos)
    return ::testing::AssertionFailure() << "not one line: " << error.message;
  if (error.message.size() > 2000) return ::testing::AssertionFailure() << error.message.size() << " bytes of message";
  for (const std::string_view word : words)
    if (error.message.find(word) == std::string::npos)
      return ::testing::AssertionFailure() << "no \"" << word << "\" in: " << error.message;
  return ::testing::AssertionSuccess();
}

}  // namespace quern
