// A mapped file for tests of which nothing is in memory yet.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/residency.h"

namespace quern {

class ColdFile {
 public:
  explicit ColdFile(size_t size) {
    const int fd = ::mkstemp(path_.data());
    EXPECT_GE(fd, 0);
    const std::string bytes(size, 'x');
    EXPECT_EQ(::write(fd, bytes.data(), size), static_cast<ssize_t>(size));
    EXPECT_EQ(::fsync(fd), 0);
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ::close(fd);
    auto opened = MappedFile::open(path_);
    EXPECT_TRUE(opened);
    if (opened) file_ = *opened;
  }
  ~ColdFile() { std::filesystem::remove(path_); }
  ColdFile(const ColdFile&) = delete;
  ColdFile& operator=(const ColdFile&) = delete;

  std::span<const std::byte> bytes() const { return file_->bytes(); }
  bool is_cold() const { return resident_bytes(bytes()) < bytes().size() / 2; }  // not on a file system that lives in memory
  void touch(size_t at) const {
    volatile auto sink = bytes()[at];
    static_cast<void>(sink);
  }

 private:
  std::string path_ = (std::filesystem::temp_directory_path() / "quern-cold-XXXXXX").string();
  std::shared_ptr<const MappedFile> file_;
};

}  // namespace quern
