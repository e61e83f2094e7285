// The models that this server offers, by name: loaded when first asked for, within a budget of memory, and let go of when nobody has used
// them for a while. Names come from the configuration alone; a request can only choose among them.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "runtime/engine.h"
#include "runtime/prefix_cache.h"
#include "runtime/scheduler.h"

namespace quern {

struct ModelEntry {
  std::string name;
  std::filesystem::path path;
  std::vector<std::string> aliases;
  bool pinned = false;                     // never let go of
  std::chrono::duration<double> keep{-1};  // after its last use; negative: as long as there is memory
};

// A loaded model with all that serves it. Whoever holds one keeps it loaded.
struct ServedModel {
  ModelEntry entry;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<PrefixCache> cache;
  std::unique_ptr<Scheduler> scheduler;  // destroyed first
};

struct ModelState {
  ModelEntry entry;
  enum class Status { absent, loading, loaded } status = Status::absent;
  size_t bytes = 0;     // of the files
  size_t resident = 0;  // while loaded: weights and states
  double idle_s = 0;    // since its last use
};

class ModelPool {
 public:
  struct Options {
    std::vector<ModelEntry> models;  // the first is the default
    EngineOptions engine;            // but for the model's path
    SchedulerOptions scheduler;
    PrefixCacheOptions cache;  // each model keeps its states in a folder of its own below
    size_t memory = 0;         // of all loaded models' weights and states; 0: what the machine has, less a reserve
  };
  explicit ModelPool(Options options);
  ~ModelPool();

  // Loads it if it has to, letting go of the longest unused others if they are in the way; waits for a loading that is under way.
  // on_progress: called now and then while waiting; false gives up (denied). An empty name means the default. Errors: not_found with the
  // names there are; out_of_range when it does not fit beside what is in use or pinned; what loading says.
  Result<std::shared_ptr<ServedModel>> acquire(const std::string& name, const std::function<bool()>& on_progress);
  Result<void> unload(const std::string& name);  // as soon as nobody uses it
  std::vector<ModelState> list() const;
  void drain(double seconds);  // of all schedulers

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quern
