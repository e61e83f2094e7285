// The models that this server offers, by name: loaded when first asked for, within a budget of memory, and let go of when nobody has used
// them for a while. Names come from the configuration alone; a request can only choose among them.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/residency.h"
#include "base/result.h"
#include "runtime/engine.h"
#include "runtime/prefix_cache.h"
#include "runtime/scheduler.h"
#include "text/replay.h"

namespace quern {

struct ModelEntry {
  std::string name;
  std::filesystem::path path;
  std::vector<std::string> aliases;
  bool pinned = false;                     // never let go of
  std::chrono::duration<double> keep{-1};  // after its last use; negative: as long as there is memory
};

// What a prefix cache had when it was last looked at. The cache belongs to its scheduler's thread, which may be in a step of seconds; whoever
// asks here does not wait for that.
class CacheReport {
 public:
  void note(const PrefixCache& cache) {  // on the thread that has the cache
    const PrefixCacheStats now = cache.stats();
    const std::lock_guard lock(mutex_);
    stats_ = now;
  }
  PrefixCacheStats stats() const {  // from any thread
    const std::lock_guard lock(mutex_);
    return stats_;
  }

 private:
  mutable std::mutex mutex_;
  PrefixCacheStats stats_;
};

// A loaded model with all that serves it. Whoever holds one keeps it loaded.
struct ServedModel {
  ModelEntry entry;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<MappedResidency> weights;  // of the engine's files; nullptr: not looked at
  std::unique_ptr<PrefixCache> cache;
  CacheReport cache_report;              // as of the last turn's end
  std::unique_ptr<ReplayStore> replay;   // nullptr: what the model said is not known again
  std::unique_ptr<Scheduler> scheduler;  // destroyed first
};

struct ModelState {
  ModelEntry entry;
  enum class Status { absent, loading, loaded } status = Status::absent;
  size_t bytes = 0;                               // of the files
  size_t resident = 0;                            // while loaded: weights and states
  int64_t users = 0;                              // who hold it at the moment
  double idle_s = 0;                              // since its last use; 0 while it is used
  double expires_s = -1;                          // until it is let go of, if nobody uses it; negative: not by time
  SchedulerStats stats;                           // while loaded
  PrefixCacheStats cache;                         // while loaded; see CacheReport
  int64_t context = 0;                            // tokens, while loaded
  ChatFormat chat_format = ChatFormat::instruct;  // while loaded
};

class ModelPool {
 public:
  struct Options {
    std::vector<ModelEntry> models;  // the first is the default
    EngineOptions engine;            // but for the model's path
    SchedulerOptions scheduler;
    PrefixCacheOptions cache;  // each model keeps its states in a folder of its own below
    size_t memory = 0;         // of all loaded models' weights and states; 0: what the machine has, less a reserve
    std::function<void(const std::string& line)> on_event;  // loaded, let go of: for the log
    // How a model comes to be; empty: load_served_model. states: bytes for its sequences and its cache.
    std::function<Result<std::shared_ptr<ServedModel>>(const ModelEntry&, size_t states)> load;
  };
  // invalid_argument: no model, or a name or alias that two of them have.
  static Result<std::unique_ptr<ModelPool>> create(Options options);
  ~ModelPool();  // nobody may hold a model any more

  // Loads it if it has to, letting go of the longest unused others if they are in the way; waits for a loading that is under way.
  // on_progress: called a few times a second while waiting; false gives up (denied). An empty name means the default. Errors: not_found
  // with the names there are; out_of_range when it does not fit beside what is pinned, busy when it does not beside what is in use just
  // now; what loading says.
  Result<std::shared_ptr<ServedModel>> acquire(const std::string& name, const std::function<bool()>& on_progress);
  Result<void> unload(const std::string& name);  // as soon as nobody uses it, pinned or not; loaded again when it is asked for
  // From now on, until it is let go of, this long after its last use instead of as configured. 0: as soon as nobody uses it.
  Result<void> keep(const std::string& name, std::chrono::duration<double> time);

  // Of a name, an alias (either with ":latest" behind it, too) or "" the name; not_found with the names there are.
  Result<std::string> resolve(const std::string& name) const;
  std::vector<ModelState> list() const;
  struct Busy {
    int64_t running = 0, waiting = 0;  // generations of all models
  };
  Busy busy() const;
  void drain(
      double
          seconds);  // of all schedulers, at the same time; then their caches are flushed. Nothing is loaded from then on (busy).

 private:
  struct Impl;
  explicit ModelPool(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

// A folder's name for a model's name, which may hold slashes and colons.
std::string model_folder_name(const std::string& model);

// Bytes of a model's files: a folder's weights, or a GGUF file with its other parts.
size_t model_bytes(const std::filesystem::path& path);

// An engine with a cache and a scheduler over it. `states`: bytes for the sequences' states and the cache together.
Result<std::shared_ptr<ServedModel>> load_served_model(const ModelPool::Options& options, const ModelEntry& entry, size_t states);

}  // namespace quern
