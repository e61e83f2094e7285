#include "base/slabs.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <iterator>
#include <new>
#include <utility>

#include "base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#define QUERN_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define QUERN_ADDRESS_SANITIZER 1
#endif
#endif
#if defined(QUERN_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) (static_cast<void>(at), static_cast<void>(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) (static_cast<void>(at), static_cast<void>(size))
#endif

namespace quern {
namespace {

constexpr size_t kLine = 64, kLargePage = size_t{2} << 20;

constexpr size_t rounded_up(size_t size, size_t to) { return (size + to - 1) / to * to; }

// Beginning at a large page. What is left of the address space is given back: a piece before it, so that the next one may end where this begins.
std::byte* map_slab(size_t bytes) {
  void* const got = ::mmap(nullptr, bytes + kLargePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (got == MAP_FAILED) throw std::bad_alloc();
  auto* const first = static_cast<std::byte*>(got);
  const size_t before = kLargePage - reinterpret_cast<uintptr_t>(first) % kLargePage, behind = kLargePage - before;
  ::munmap(first, before);
  if (behind > 0) ::munmap(first + before + bytes, behind);
  ::madvise(first + before, bytes, MADV_HUGEPAGE);  // only a wish
  return first + before;
}

}  // namespace

Slabs::Slabs(size_t piece_bytes)
    : piece_bytes_(piece_bytes),
      step_(rounded_up(piece_bytes, kLine)),
      slab_bytes_(rounded_up(step_, kLargePage)),
      pieces_(slab_bytes_ / step_) {
  QUERN_CHECK(piece_bytes > 0, piece_bytes);
}

Slabs::~Slabs() { QUERN_CHECK(all_.empty(), "a piece outlives its slabs", all_.size()); }

size_t Slabs::slabs() const {
  const std::lock_guard lock(mutex_);
  return all_.size();
}

void Slabs::add_slab() {
  std::byte* const memory = map_slab(slab_bytes_);
  try {
    Slab& slab = all_[memory];
    slab.dropped.reserve(pieces_);
    with_room_.emplace(memory, &slab);
  } catch (...) {
    all_.erase(memory);
    ::munmap(memory, slab_bytes_);
    throw;
  }
  ASAN_POISON_MEMORY_REGION(memory, slab_bytes_);
}

Slabs::Piece Slabs::take() {
  std::unique_lock lock(mutex_);
  if (with_room_.empty()) add_slab();
  const auto first = with_room_.begin();
  const auto [memory, slab] = *first;
  std::byte* piece;
  const bool used = !slab->dropped.empty();
  if (used) {
    piece = slab->dropped.back();
    slab->dropped.pop_back();
  } else {
    piece = memory + slab->fresh++ * step_;
  }
  if (slab->dropped.empty() && slab->fresh == pieces_) slab->full = with_room_.extract(first);
  lock.unlock();
  ASAN_UNPOISON_MEMORY_REGION(piece, piece_bytes_);
  if (used) std::memset(piece, 0, piece_bytes_);
  return Piece(piece, GiveBack{this});
}

void Slabs::give_back(std::byte* piece) {
  const std::lock_guard lock(mutex_);
  const auto of = std::prev(all_.upper_bound(piece));
  auto& [memory, slab] = *of;
  ASAN_POISON_MEMORY_REGION(piece, piece_bytes_);
  slab.dropped.push_back(piece);
  if (slab.full) with_room_.insert(std::move(slab.full));
  if (slab.dropped.size() < slab.fresh) return;
  with_room_.erase(memory);
  ASAN_UNPOISON_MEMORY_REGION(memory, slab_bytes_);  // the address may become somebody else's
  ::munmap(memory, slab_bytes_);
  all_.erase(of);
}

}  // namespace quern
