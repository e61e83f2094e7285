// How much of mapped files is in memory, and bringing in the rest. A mapping costs nothing to make; what takes time after a cold start is the
// disk, page by page as each is first touched.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

namespace quern {

// Bytes of the mapping that need not be read from a disk any more (mincore). The kernel tells that only of files that this user owns or may
// write; all others count as there.
size_t resident_bytes(std::span<const std::byte> mapping);

struct Residency {
  size_t resident = 0, total = 0;  // bytes
  bool whole() const { return resident >= total; }
};

using Mappings = std::vector<std::span<const std::byte>>;

// Of mappings that outlive it. May be shared between threads.
class MappedResidency {
 public:
  explicit MappedResidency(Mappings mappings) : mappings_(std::move(mappings)) {}
  ~MappedResidency();  // ends reading ahead, within a piece
  MappedResidency(const MappedResidency&) = delete;
  MappedResidency& operator=(const MappedResidency&) = delete;

  // Reads them from their beginning to their end, in large pieces, on a thread of its own; pieces that are in memory are passed over. Others may
  // use the mappings meanwhile. Does nothing the second time, nor where memory has no room for all of them.
  void read_ahead();

  // Looked at again after some time only: a look goes over every page. Once they were whole they stay so: what the kernel drops later is read
  // again page by page.
  Residency look();

 private:
  void read_all() const;

  Mappings mappings_;
  std::atomic<bool> stop_ = false;
  std::once_flag reading_;
  std::thread reader_;

  std::mutex mutex_;  // of the two below
  Residency last_;
  std::chrono::steady_clock::time_point next_look_{};
};

}  // namespace quern
