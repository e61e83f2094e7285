// StateFolder: settled states of one model's sequences as files, for PrefixCache. Keys and values lie in blocks of kBlock positions, each
// in a file of its own that all states share whose sequences hold those very tokens and values; a state's file holds the rest: the
// recurrent part, and the positions behind its last whole block.
//
//   block-ID, state-ID   "quern-kept-2\n", one line of JSON, then two zstd frames: tokens, and numbers as planes of bytes
//
// A block's ID comes of the ID before it, its tokens and its content, a state's likewise, so the chain says of itself that it belongs
// together. Whatever stands in a file is checked before it is used: model, settings, sizes, checksums. Files are written whole or not at
// all, and are nobody else's business: the folder is made private.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "model/sequence_state.h"
#include "runtime/timeline.h"

namespace quern {

// A state in the folder.
struct StoredState {
  uint64_t id = 0;
  std::vector<uint64_t> blocks;
  size_t bytes = 0;  // of its own file
};

// write() may run on another thread than the rest, and load() on a third, as long as nobody removes what it loads.
class StateFolder {
 public:
  static constexpr int64_t kBlock = 512;

  using Warn = std::function<void(std::string)>;
  // Makes the folder (below `folder`, one for each model and settings) if it has to, and looks at what is there: files that are not right
  // are left alone, and one warning tells how many and why the first; what no state needs any more is deleted. Errors: busy when another
  // process has it open; io.
  static Result<std::unique_ptr<StateFolder>> open(const std::filesystem::path& folder, const Runner& runner, const Warn& warn);

  struct Found {
    StoredState state;
    std::vector<int32_t> tokens;
  };
  std::vector<Found> take_found() { return std::move(found_); }  // once; the longest unused first

  // Writes what is not there yet. `state` is settled and belongs to nobody who would change it.
  Result<StoredState> write(const std::shared_ptr<const SequenceState>& state, std::span<const int32_t> tokens);
  // Blocks that a state in memory holds are shared with it, not read. Errors: io, malformed when something was changed since.
  Result<SequenceState> load(const StoredState& stored, std::span<const int32_t> tokens);
  // Blocks of `stored` may be shared from `state` from now on, as long as somebody has it.
  void share(const StoredState& stored, const std::shared_ptr<const SequenceState>& state);
  void remove(const StoredState& stored);

  size_t bytes() const;  // of all files
  size_t removal_frees(const StoredState& stored) const;
  const std::filesystem::path& path() const { return path_; }

 private:
  struct Block {
    size_t bytes = 0;
    int64_t users = 0;
    std::weak_ptr<const SequenceState> holder;
  };
  struct Header;
  class Scan;

  StateFolder(std::filesystem::path path, const Runner& runner) : path_(std::move(path)), runner_(runner) {}
  Header header(std::string_view kind) const;
  Result<void> write_block(uint64_t id, uint64_t before, int64_t first, std::span<const int32_t> tokens,
                           std::span<const std::byte> numbers);
  Result<void> load_block(uint64_t id, uint64_t before, int64_t at, std::span<const int32_t> tokens, SequenceState& state);
  std::filesystem::path file(std::string_view kind, uint64_t id) const;
  void let_go(const std::vector<uint64_t>& blocks);  // with mutex_ held

  std::filesystem::path path_;
  const Runner& runner_;
  UniqueFd lock_;
  std::vector<Found> found_;
  mutable std::mutex mutex_;
  std::map<uint64_t, Block> blocks_;
  size_t bytes_ = 0;
};

}  // namespace quern
