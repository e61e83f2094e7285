// SessionStore: live sessions by name. One is made empty or as a fork of another, goes on turn by turn without being read again, is
// saved to a folder and restored from it, in this process or a later one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/engine.h"

namespace quern {

struct SessionStoreOptions {
  std::filesystem::path folder;     // where save() puts them, one file each; empty: nothing is saved or restored (unsupported)
  size_t memory = size_t{1} << 30;  // bytes of live sessions; KV pages that forks share count once
  size_t disk = size_t{16} << 30;   // bytes of saved ones
  size_t count = 1024;              // live sessions
};

struct SessionInfo {
  std::string name;
  int64_t tokens = 0;  // that it holds; of one that is only saved: 0 until it is restored
  bool live = false, saved = false, busy = false;
  size_t bytes = 0, bytes_saved = 0;  // live: its own, without what it shares with another one
};

// May be used from several threads; each session is held by one at a time.
class SessionStore {
 public:
  SessionStore(const Engine& engine, SessionStoreOptions options);
  ~SessionStore();

  // 1 to 64 of A-Z a-z 0-9 . _ -, the first no dot. invalid_argument otherwise, here and wherever a name is given.
  static Result<void> check_name(std::string_view name);

  // Errors, of all that make one: invalid_argument when there is a live session of that name already, out_of_range when there are
  // `count` of them, or their bytes have reached `memory`: nothing is let go of unasked.
  Result<SessionInfo> create(const std::string& name);
  // A second session with the same past, for the bytes of one settled state (SequenceState::settled): KV pages and checkpoints are shared.
  // Errors besides: not_found, busy while `from` is held.
  Result<SessionInfo> fork(const std::string& from, const std::string& name);
  // Errors: not_found, busy; out_of_range when the folder holds `disk` bytes already; io.
  Result<SessionInfo> save(const std::string& name);
  // Makes a live session of a saved one. Errors besides create's: not_found, and what Session::restore says.
  Result<SessionInfo> restore(const std::string& name);
  // The live one and its file. Errors: not_found, busy.
  Result<void> remove(const std::string& name);
  Result<SessionInfo> info(const std::string& name) const;
  std::vector<SessionInfo> list() const;  // live and saved, by name

  // The session for one use: a job of the scheduler, a generation. Nobody else gets it until the pointer and its copies are gone.
  // Errors: not_found, busy.
  Result<std::shared_ptr<Session>> hold(const std::string& name);
  // Reads the tokens behind what the session holds, on the calling thread (with a scheduler: in between_steps, or as a job of it that
  // generates nothing). Errors besides hold's: an id outside the vocabulary, the context's end.
  Result<SessionInfo> append(const std::string& name, std::span<const int32_t> tokens);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // held sessions hold it, too
};

}  // namespace quern
