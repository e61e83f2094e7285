// Slabs: memory for many pieces of one size that come and go, cut from large pages where the system has them. What is read in whole at
// every step, as a long context's keys and values are, otherwise costs a walk of the page table every 4 KB.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace quern {

// Threads may take and drop pieces at the same time. A slab goes back to the system with the last of its pieces.
class Slabs {
 public:
  // piece_bytes > 0. Pieces begin at lines of the cache.
  explicit Slabs(size_t piece_bytes);
  ~Slabs();  // every piece has been dropped
  Slabs(const Slabs&) = delete;
  Slabs& operator=(const Slabs&) = delete;

  struct GiveBack {
    Slabs* to;
    void operator()(std::byte* piece) const { to->give_back(piece); }
  };
  using Piece = std::unique_ptr<std::byte[], GiveBack>;
  // Zeros. Throws std::bad_alloc.
  Piece take();

  size_t slabs() const;  // that the system has given and not got back

 private:
  struct Slab;
  using ByPlace = std::map<std::byte*, Slab*>;
  struct Slab {
    std::vector<std::byte*> dropped;  // and free again
    size_t fresh = 0;                 // pieces from this one on were never taken: they are zeros
    ByPlace::node_type full;          // its place in with_room_, while there is none: giving back allocates nothing
  };
  void add_slab();
  void give_back(std::byte* piece);

  const size_t piece_bytes_, step_, slab_bytes_, pieces_;
  mutable std::mutex mutex_;
  std::map<std::byte*, Slab> all_;  // by where they begin
  ByPlace with_room_;               // the lowest is used first, so that the others may become empty
};

}  // namespace quern
