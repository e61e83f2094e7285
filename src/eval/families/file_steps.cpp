// Single operations on files, each in many wordings.
#include <array>

#include "eval/families/families.h"
#include "text/file_tools.h"

namespace quern {

const std::string_view kAgentPrompt =
    "You are quern, a careful assistant that carries out tasks with tools. Work inside the given folder, use one tool at a time, "
    "and say what you did when you are done.";

std::string system_prompt(Words& words) {
  if (words.chance(0.6)) return std::string(kAgentPrompt);
  if (words.chance(0.4)) return "";
  return std::string(
      words.pick({"You are a helpful assistant.", "You are an assistant with access to tools.",
                  "You help with everyday tasks. Use the tools you have.", "You are a careful agent. Carry out what the user asks.",
                  "Answer briefly. Use tools when they help.", "You are the office assistant. Be exact.",
                  "You work for a small company and keep its records.", "Use the functions to do what is asked, then report.",
                  "You are quern.", "You are a helpful assistant that calls functions. Do not make up values."}));
}

namespace {

std::vector<Json> offered_tools(Words& words) {
  std::vector<Json> tools = file_tools::definitions();
  if (words.chance(0.1))
    for (Json& extra : distractors(words, words.between(1, 4)))
      tools.insert(tools.begin() + static_cast<std::ptrdiff_t>(words.random().below(tools.size() + 1)), std::move(extra));
  return tools;
}

std::string any_file(Words& words, const FileWorld& plan) {
  auto at = plan.files.begin();
  std::advance(at, words.random().below(plan.files.size()));
  return at->first;
}

// How a user names a file: its path, or its name and folder.
std::string mention(Words& words, const std::string& path) {
  const std::string folder = folder_of(path), name = name_of(path);
  if (folder.empty() || words.chance(0.5)) return (words.chance(0.2) ? "the file " : "") + words.quoted(path);
  return words.quoted(name) + std::string(words.pick({" in ", " from ", " in the folder "})) + words.quoted(folder);
}

std::string new_folder(Words& words, const FileWorld& plan) {
  for (;;)
    if (std::string name = words.folder(); !plan.exists(name))
      return words.chance(0.08) && !plan.folders.empty() ? in_folder(*plan.folders.begin(), name) : name;
}

std::string destination(Words& words, const FileWorld& plan) {
  if (plan.folders.empty() || words.chance(0.4)) return new_folder(words, plan);
  auto at = plan.folders.begin();
  std::advance(at, words.random().below(plan.folders.size()));
  return *at;
}

// How a user names a folder as a goal.
std::string goal(Words& words, const std::string& folder) {
  if (words.chance(0.15)) return folder + "/";
  return std::string(words.pick({"", "", "the folder ", "the "})) == "the "
             ? "the " + words.quoted(folder) + " folder"
             : (words.chance(0.25) ? "the folder " : "") + words.quoted(folder);
}

std::string new_name(Words& words, const FileWorld& plan, const std::string& folder, const std::string& extension) {
  for (;;) {
    const std::string name = words.file_stem() + (extension.empty() ? "" : "." + extension);
    if (!plan.exists(in_folder(folder, name))) return name;
  }
}

std::string text_in_quotes(const std::string& text) {
  return text.find('\'') == std::string::npos && text.size() % 2 ? "'" + text + "'" : "\"" + text + "\"";
}

SceneStep move_step(Words& words, const FileWorld& plan) {
  const std::string from = any_file(words, plan), name = name_of(from);
  std::string folder = destination(words, plan);
  if (!folder_of(from).empty() && words.chance(0.15) && !plan.exists(name)) {
    const auto form =
        words.pick({"Move {0} to the top", "Move {0} up to the top folder", "Take {0} out of its folder and put it at the top",
                    "Bring {0} back to the main folder", "Move {0} to the root folder", "Put {0} at the top level"});
    return {fill(form, {mention(words, from)}),
            {"move_file", arguments({{"from", from}, {"to", name}})},
            fmt::format("I moved {} to the top folder.", name)};
  }
  while (plan.exists(in_folder(folder, name))) folder = new_folder(words, plan);
  if (words.chance(0.15)) {
    const std::string other = new_name(words, plan, folder, extension_of(from));
    const auto form =
        words.pick({"Move {0} to {1} and name it {2}", "Move {0} into {1} as {2}", "Move {0} to {1} under the new name {2}",
                    "Put {0} into {1} and call it {2}", "Move {0} to {1}, with the name {2}"});
    return {fill(form, {mention(words, from), goal(words, folder), words.quoted(other)}),
            {"move_file", arguments({{"from", from}, {"to", in_folder(folder, other)}})},
            fmt::format("I moved {} to {}.", name, in_folder(folder, other))};
  }
  if (words.chance(0.1))
    return {fill(words.pick({"Move {0} to {1}", "Make {1} the new path of {0}", "Move the file {0} to the path {1}",
                             "Move {0} so that its path is {1}", "Relocate {0} to {1}"}),
                 {from, in_folder(folder, name)}),
            {"move_file", arguments({{"from", from}, {"to", in_folder(folder, name)}})},
            fmt::format("I moved {} to {}.", name, folder)};
  const auto form = words.pick({"Move {0} to {1}", "Move {0} into {1}", "Put {0} into {1}", "Put {0} in {1}", "Bring {0} to {1}",
                                "Shift {0} to {1}", "Since {0} belongs in {1}, move it there", "Place {0} in {1}",
                                "Take {0} and move it to {1}", "File {0} under {1}", "Move {0} over to {1}", "Get {0} into {1}",
                                "Store {0} in {1}", "Transfer {0} to {1}", "Relocate {0} into {1}", "Drop {0} into {1}"});
  return {fill(form, {mention(words, from), goal(words, folder)}),
          {"move_file", arguments({{"from", from}, {"to", in_folder(folder, name)}})},
          fill(words.pick({"I moved {0} to {1}.", "{0} is now in {1}.", "Moved {0} into {1}."}), {name, folder})};
}

SceneStep rename_step(Words& words, const FileWorld& plan) {
  const std::string from = any_file(words, plan), folder = folder_of(from);
  const std::string name = new_name(words, plan, folder, words.chance(0.8) ? extension_of(from) : words.extension());
  const auto form = words.pick({"Rename {0} to {1}", "Rename {0} as {1}", "Change the name of {0} to {1}",
                                "Give {0} the new name {1}", "Call {0} {1} instead", "I want {0} to be called {1}, rename it",
                                "Rename the file {0} to {1}", "Let {0} have the name {1}", "The name of {0} must become {1}",
                                "Set the name of {0} to {1}", "Retitle {0} to {1}"});
  return {fill(form, {mention(words, from), words.quoted(name)}),
          {"move_file", arguments({{"from", from}, {"to", in_folder(folder, name)}})},
          fill(words.pick({"I renamed {0} to {1}.", "{0} is now called {1}.", "Renamed {0} to {1}."}), {name_of(from), name})};
}

SceneStep copy_step(Words& words, const FileWorld& plan) {
  const std::string from = any_file(words, plan), name = name_of(from);
  if (words.chance(0.3)) {
    const std::string other = new_name(words, plan, folder_of(from), extension_of(from));
    const auto form = words.pick({"Copy {0} as {1}", "Duplicate {0} as {1}", "Make a copy of {0} called {1}", "Copy {0} to {1}",
                                  "Make a duplicate of {0} with the name {1}", "Save a copy of {0} as {1}"});
    return {fill(form, {mention(words, from), words.quoted(other)}),
            {"copy_file", arguments({{"from", from}, {"to", in_folder(folder_of(from), other)}})},
            fmt::format("I copied {} to {}.", name, other)};
  }
  std::string folder = destination(words, plan);
  while (plan.exists(in_folder(folder, name))) folder = new_folder(words, plan);
  const auto form = words.pick({"Copy {0} to {1}", "Copy {0} into {1}", "Put a copy of {0} into {1}", "Make a copy of {0} in {1}",
                                "Back up {0} to {1}", "Save a copy of {0} in {1}", "I need a copy of {0} in {1}, make one",
                                "Keep a copy of {0} in {1}", "Duplicate {0} into {1}", "Place a copy of {0} in {1}",
                                "Make a backup of {0} in {1}"});
  return {fill(form, {mention(words, from), goal(words, folder)}),
          {"copy_file", arguments({{"from", from}, {"to", in_folder(folder, name)}})},
          fill(words.pick({"I copied {0} to {1}.", "A copy of {0} is now in {1}.", "Copied {0} to {1}."}), {name, folder})};
}

SceneStep delete_step(Words& words, const FileWorld& plan) {
  const std::string path = any_file(words, plan);
  const auto form =
      words.pick({"Delete {0}", "Remove {0}", "Erase {0}", "Get rid of {0}", "Throw away {0}", "I no longer need {0}, delete it",
                  "We do not need {0} any more, remove it", "Drop {0}", "Bin {0}", "Please remove {0}", "Trash {0}", "Wipe {0}"});
  return {fill(form, {mention(words, path)}),
          {"delete_file", arguments({{"path", path}})},
          fill(words.pick({"I deleted {0}.", "{0} is gone.", "Deleted {0}."}), {name_of(path)})};
}

SceneStep folder_step(Words& words, const FileWorld& plan) {
  std::string name = words.folder();
  while (plan.exists(name)) name = words.folder();
  if (words.chance(0.15) && !plan.folders.empty() && !plan.exists(in_folder(*plan.folders.begin(), name))) {
    const std::string parent = *plan.folders.begin(), path = in_folder(parent, name);
    return {fill(words.pick({"Make a folder {0} inside {1}", "Create the folder {0} in {1}", "Add a subfolder {0} to {1}",
                             "Inside {1}, make a folder called {0}", "Create a subfolder named {0} under {1}"}),
                 {words.quoted(name), parent}),
            {"make_folder", arguments({{"path", path}})},
            fmt::format("I made the folder {}.", path)};
  }
  const auto form =
      words.pick({"Make a folder called {0}", "Create a folder named {0}", "Create the folder {0}", "Make a new folder {0}",
                  "Add a folder {0}", "Set up a folder called {0}", "I need a folder named {0}, make it",
                  "Create an empty folder {0}", "Make me a folder called {0}", "Open a new folder named {0}",
                  "Create a directory {0}", "Make a directory called {0}", "Mkdir {0}"});
  return {fill(form, {words.quoted(name)}),
          {"make_folder", arguments({{"path", name}})},
          fill(words.pick({"I made the folder {0}.", "The folder {0} is there now.", "Created the folder {0}."}), {name})};
}

SceneStep write_step(Words& words, const FileWorld& plan) {
  const std::string folder = words.chance(0.8) ? "" : destination(words, plan);
  const std::string path = in_folder(folder, new_name(words, plan, folder, words.chance(0.8) ? "txt" : words.extension())),
                    text = words.sentence();
  const auto form = words.pick(
      {"Write {0} to {1}", "Create a file {1} with the text {0}", "Make a file called {1} that says {0}", "Save {0} as {1}",
       "Write the text {0} into a new file {1}", "Create {1} containing {0}", "Make {1} with the content {0}",
       "Put the text {0} into the file {1}", "Create a text file named {1} with {0} in it", "Store the words {0} in {1}",
       "Write a note {1} that says {0}", "Note {0} down in {1}", "Save the note {0} in a file called {1}"});
  return {fill(form, {text_in_quotes(text), words.chance(0.7) ? path : words.quoted(path)}),
          {"write_file", arguments({{"path", path}, {"text", text}})},
          fill(words.pick({"I wrote {0}.", "{0} is written.", "The text is in {0} now."}), {path})};
}

SceneStep append_step(Words& words, const FileWorld& plan) {
  const std::string path = any_file(words, plan), text = words.sentence();
  const auto form =
      words.pick({"Add the line {0} to {1}", "Append {0} to {1}", "Add {0} at the end of {1}", "Put the line {0} at the end of {1}",
                  "Write {0} at the bottom of {1}", "Append the line {0} to the file {1}", "Add a line to {1} that says {0}",
                  "Extend {1} by the line {0}", "Add {0} to {1}", "Attach the line {0} to {1}", "At the end of {1}, add {0}"});
  return {fill(form, {text_in_quotes(text), mention(words, path)}),
          {"append_file", arguments({{"path", path}, {"text", text}})},
          fill(words.pick({"I added the line to {0}.", "{0} has the new line.", "The line is in {0} now."}), {name_of(path)})};
}

}  // namespace

FileScene::FileScene(Random& random, Split split, FileWorld world)
    : Scene(random, split, {}, std::make_unique<FileWorld>(std::move(world))) {
  offer(offered_tools(words));
  system(system_prompt(words));
}

std::string some_text(Words& words) {
  std::string text;
  for (int64_t i = 0, n = words.between(1, 4); i < n; ++i)
    text += (words.chance(0.2) ? capitalised(words.pick(pools::fields)) + ": " + (words.chance(0.5) ? words.person() : words.word())
                               : words.sentence()) +
            "\n";
  if (words.chance(0.3)) text.pop_back();
  return text;
}

FileWorld some_files(Words& words, int64_t at_top) {
  FileWorld world;
  for (int64_t i = 0; i < at_top; ++i) world.add_file(words.file_name(), some_text(words));
  for (int64_t i = 0, folders = words.chance(0.35) ? 0 : words.between(1, 3); i < folders; ++i) {
    const std::string folder = words.folder();
    if (world.exists(folder)) continue;
    world.add_folder(folder);
    for (int64_t k = 0, n = words.between(0, 3); k < n; ++k) world.add_file(in_folder(folder, words.file_name()), some_text(words));
  }
  return world;
}

SceneStep file_step(Words& words, FileWorld& plan) {
  using Maker = SceneStep (*)(Words&, const FileWorld&);
  constexpr std::array<Maker, 12> kMakers = {move_step, move_step,   move_step,   move_step,  rename_step, rename_step,
                                             copy_step, delete_step, folder_step, write_step, append_step, append_step};
  for (;;) {
    const Maker make = words.random().pick(kMakers);
    if (plan.files.size() < 2 && make != folder_step && make != write_step) continue;
    SceneStep step = make(words, plan);
    if (!plan.execute(step.call).starts_with("error")) return step;
  }
}

}  // namespace quern
