// Several independent operations on files, asked for at once and carried out by the calls of one turn.
#include <array>
#include <set>

#include "eval/families/families.h"

namespace quern {
namespace {

// The paths in a call's arguments, which another call of the same turn must not touch.
std::set<std::string> paths_of(const ToolCall& call) {
  std::set<std::string> paths;
  for (const char* name : {"path", "from", "to"})
    if (const Json* path = call.arguments.find(name)) paths.insert(path->as_string());
  return paths;
}

std::string lower_first(std::string text) {
  text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

ToolEpisode at_once(Random& random, Split split, int64_t calls) {
  Words setup(random, split);
  const auto n = static_cast<size_t>(calls > 0 ? calls : setup.between(2, 5));
  FileScene scene(random, split, some_files(setup, static_cast<int64_t>(n) * 2 + 2));
  Words& words = scene.words;
  FileWorld plan = scene.files();
  std::vector<SceneStep> steps;
  std::set<std::string> touched;
  for (int tries = 0; steps.size() < n && tries < 200; ++tries) {
    FileWorld after = plan;
    SceneStep step = file_step(words, after);
    const std::set<std::string> own = paths_of(step.call);
    if (std::any_of(own.begin(), own.end(), [&](const std::string& path) { return touched.contains(path); })) continue;
    touched.insert(own.begin(), own.end());
    plan = std::move(after);
    steps.push_back(std::move(step));
  }
  std::vector<std::string> requests;
  std::vector<ToolCall> all;
  std::string report = "Done.";
  for (const SceneStep& step : steps) {
    requests.push_back(lower_first(step.request));
    all.push_back(step.call);
    report += " " + step.report;
  }
  scene.user(spoken(words, fill(words.pick({"In parallel, {0}.", "Do this at the same time: {0}.", "All at once: {0}.",
                                            "With parallel calls, {0}.", "In one go, {0}.", "Do these in parallel: {0}.",
                                            "Make these calls together: {0}.", "Side by side, please: {0}."}),
                                {listed(requests)})));
  scene.parallel(all);
  scene.say(steps.size() <= 4 ? report : fmt::format("Done. All {} steps are finished.", steps.size()));
  return std::move(scene).finish("file_parallel");
}

// Several files are read in one turn; the answer says what stands in each.
ToolEpisode read_at_once(Random& random, Split split, int64_t) {
  Words setup(random, split);
  FileWorld world = some_files(setup, setup.between(1, 4));
  std::vector<std::string> names, contents;
  for (const auto n = static_cast<size_t>(setup.between(2, 4)); names.size() < n;) {
    std::string name = setup.file_stem() + ".txt";
    if (world.exists(name)) continue;
    contents.push_back(setup.code());
    world.add_file(name, contents.back() + "\n");
    names.push_back(std::move(name));
  }
  FileScene scene(random, split, std::move(world));
  Words& words = scene.words;
  scene.user(spoken(
      words,
      fill(words.pick({"Read {0} in parallel and tell me what they say.", "At the same time, read {0}. What do they say?",
                       "In one go, read {0} and give me their contents.", "Read all at once: {0}. Tell me what is in each.",
                       "With parallel calls, read {0}. What stands in them?", "Open {0} together and tell me what they hold."}),
           {listed(names)})));
  std::vector<ToolCall> all;
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    all.push_back({"read_file", arguments({{"path", names[i]}})});
    text += fmt::format("{}{}: {}", i > 0 ? "\n" : "", names[i], contents[i]);
  }
  scene.parallel(all);
  scene.say(text, contents);
  return std::move(scene).finish("file_read_parallel");
}

constexpr std::array<Family, 2> kFamilies = {{{"file_parallel", 2, at_once}, {"file_read_parallel", 1, read_at_once}}};

}  // namespace

std::span<const Family> file_parallel_families() { return kFamilies; }

}  // namespace quern
