// A model from a hub into the catalogue: it appears there whole and verified, or not at all.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "catalogue/catalogue.h"
#include "catalogue/download.h"
#include "catalogue/selection.h"

namespace quern {

// What is going to be pulled; nothing has been written yet.
struct PullPlan {
  Repository repository;
  Selection selection;  // its name: where it will be
};

struct PullWishes {
  std::string revision = "main";
  std::string name;  // in the catalogue; empty: the selection's own
  std::vector<std::string> include, exclude;
};

// Asks the hub. Errors: those of fetch_repository and select_files; invalid_argument (a name that the catalogue does not take).
Result<PullPlan> plan_pull(const HubAccess& access, const ModelReference& reference, const PullWishes& wishes,
                           const std::function<bool()>& cancelled);

struct PullOptions {
  DownloadOptions download;         // on_file is the pull's own
  std::filesystem::path hub_cache;  // what the hub's own tools have downloaded, which is not fetched again; empty: nowhere
  bool any_model = false;           // also one that quern cannot run, which config.json tells before the weights are fetched
  std::function<uint64_t(const std::filesystem::path&)> free_bytes;  // of a folder's disk; empty: the system's word
};

struct PullOutcome {
  std::filesystem::path path;
  bool already_there = false;  // of this commit, with these files
  uint64_t fetched_bytes = 0;  // by this call
  uint64_t cached_bytes = 0;   // taken by it from the hub's cache
  uint64_t bytes = 0;
};

// Replaces a model of the same repository whose commit or files are others, reusing what is the same. Goes on where an earlier call was cut off.
// Errors: those of download; denied (the name is another model's), busy (another process pulls it), out_of_range (the disk is too small; the
// message says by how much), unsupported and others (ModelConfig's, about a model that quern cannot run), io.
Result<PullOutcome> pull(const Catalogue& catalogue, const HubAccess& access, const PullPlan& plan, const PullOptions& options);

}  // namespace quern
