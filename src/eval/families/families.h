// Families of tasks. Each function plays one episode; `calls` is about how many calls it should take (0: as few as is natural), which
// the loops and scripts follow. What they draw comes from scene.words, so a split's episodes use that split's words alone.
#pragma once

#include <span>

#include "eval/file_world.h"
#include "eval/scene.h"

namespace quern {

struct Family {
  std::string_view name;
  double weight;  // in the training mixture, within its group
  ToolEpisode (*play)(Random& random, Split split, int64_t calls);
};

// One call or a few on a folder of files.
std::span<const Family> file_families();
// Loops over a folder: sort, rename, collect; long scripts.
std::span<const Family> file_loop_families();
// Several calls in one turn.
std::span<const Family> file_parallel_families();
// Lists of which some steps cannot be done.
std::span<const Family> file_fault_families();
// Questions about documents; no tools.
std::span<const Family> document_families();
// One call of a service with a random schema.
std::span<const Family> single_call_families();
// Chains, loops, errors, questions and refusals over services.
std::span<const Family> service_families();
// Key-value stores, counters, HTTP-like requests, calculators.
std::span<const Family> small_service_families();
// Talk that needs no tool.
std::span<const Family> talk_families();

// The system prompt that `quern run` uses (agent/task/task.h has the same text).
extern const std::string_view kAgentPrompt;
std::string system_prompt(Words& words);  // that one mostly, another, or none

// A few tools of random services that have nothing to do with the task.
std::vector<Json> distractors(Words& words, int64_t count);

// Files.
struct FileScene : Scene {
  FileScene(Random& random, Split split, FileWorld world);
  const FileWorld& files() const { return static_cast<const FileWorld&>(world()); }
};
// A folder as people have them: files at the top, some folders with files.
FileWorld some_files(Words& words, int64_t at_top);
std::string some_text(Words& words);
// One operation that is possible in `plan`, which is then carried out there.
SceneStep file_step(Words& words, FileWorld& plan);

}  // namespace quern
