#include "base/residency.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "base/memory.h"

namespace quern {
namespace {

constexpr size_t kPiece = size_t{32} << 20;
constexpr double kLookEvery = 0.4, kLookCost = 5;  // seconds; and times as long as a look took: 13 ms/GB

size_t page_size() {
  static const auto size = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

void read_piece(std::span<const std::byte> piece) {
  auto* address = const_cast<std::byte*>(piece.data());
  if (::madvise(address, piece.size(), MADV_POPULATE_READ) == 0) return;
  if (errno == EINVAL) ::madvise(address, piece.size(), MADV_WILLNEED);  // Linux before 5.14
}

}  // namespace

size_t resident_bytes(std::span<const std::byte> mapping) {
  const size_t page = page_size();
  std::vector<unsigned char> pages;
  size_t resident = 0;
  for (size_t at = 0; at < mapping.size(); at += kPiece) {
    const size_t bytes = std::min(kPiece, mapping.size() - at);
    pages.resize((bytes + page - 1) / page);
    if (::mincore(const_cast<std::byte*>(mapping.data()) + at, bytes, pages.data()) != 0) return mapping.size();
    const auto there = static_cast<size_t>(std::count_if(pages.begin(), pages.end(), [](unsigned char p) { return p & 1; }));
    resident += std::min(bytes, there * page);
  }
  return resident;
}

MappedResidency::~MappedResidency() {
  stop_ = true;
  if (reader_.joinable()) reader_.join();
}

void MappedResidency::read_ahead() {
  std::call_once(reading_, [this] { reader_ = std::thread([this] { read_all(); }); });
}

void MappedResidency::read_all() const {
  size_t total = 0;
  for (const std::span<const std::byte> mapping : mappings_) total += mapping.size();
  if (const size_t room = available_memory(); room > 0 && total > room) return;
  for (const std::span<const std::byte> mapping : mappings_)
    for (size_t at = 0; at < mapping.size() && !stop_; at += kPiece) {
      const auto piece = mapping.subspan(at, std::min(kPiece, mapping.size() - at));
      if (resident_bytes(piece) < piece.size()) read_piece(piece);
    }
}

Residency MappedResidency::look() {
  const std::lock_guard lock(mutex_);
  const auto start = Clock::now();
  if (start < next_look_ || (last_.total > 0 && last_.whole())) return last_;
  last_ = {};
  for (const std::span<const std::byte> mapping : mappings_) {
    last_.resident += resident_bytes(mapping);
    last_.total += mapping.size();
  }
  const std::chrono::duration<double> pause(std::max(kLookEvery, kLookCost * seconds_since(start)));
  next_look_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(pause);
  return last_;
}

}  // namespace quern
