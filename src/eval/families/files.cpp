// One call or a few on a folder of files: single steps, questions, errors, several turns.
#include <algorithm>
#include <array>

#include "eval/families/families.h"

namespace quern {
namespace {

FileScene any_scene(Random& random, Split split) {
  Words words(random, split);
  return FileScene(random, split, some_files(words, words.between(2, 8)));
}

std::string choose(Words& words, const std::vector<std::string>& items) { return items[words.random().below(items.size())]; }

std::vector<std::string> all_paths(const FileWorld& world) {
  std::vector<std::string> paths;
  for (const auto& [path, text] : world.files) paths.push_back(path);
  return paths;
}

std::string folder_argument(const std::string& folder) { return folder.empty() ? "." : folder; }

// "." said in words.
std::string place(Words& words, const std::string& folder) {
  if (!folder.empty()) return (words.chance(0.5) ? "the folder " : "") + words.quoted(folder);
  return std::string(words.pick({"this folder", "the top folder", "the current folder", "here", "the main folder", "my folder"}));
}

std::string in_place(Words& words, const std::string& folder) {
  const std::string where = place(words, folder);
  return where == "here" ? where : "in " + where;
}

std::string some_folder(Words& words, const FileWorld& world) {
  if (world.folders.empty() || words.chance(0.5)) return "";
  auto at = world.folders.begin();
  std::advance(at, words.random().below(world.folders.size()));
  return *at;
}

std::string things(int64_t n, std::string_view one, std::string_view many) {
  return n == 1 ? fmt::format("1 {}", one) : fmt::format("{} {}", n, many);
}

ToolEpisode one_step(Random& random, Split split, int64_t) {
  FileScene scene = any_scene(random, split);
  FileWorld plan = scene.files();
  play(scene, {file_step(scene.words, plan)});
  return std::move(scene).finish("file_step");
}

ToolEpisode few_steps(Random& random, Split split, int64_t) {
  FileScene scene = any_scene(random, split);
  FileWorld plan = scene.files();
  std::vector<SceneStep> steps;
  for (int64_t i = 0, n = scene.words.between(2, 5); i < n; ++i) steps.push_back(file_step(scene.words, plan));
  play(scene, steps);
  return std::move(scene).finish("file_steps");
}

ToolEpisode move_listed(Random& random, Split split, int64_t) {
  FileScene scene = any_scene(random, split);
  Words& words = scene.words;
  std::vector<std::string> names = scene.files().files_in("");
  while (names.size() > 4 || (names.size() > 2 && words.chance(0.3)))
    names.erase(names.begin() + static_cast<std::ptrdiff_t>(words.random().below(names.size())));
  std::string folder = words.folder();
  const int64_t kind = words.between(0, 2);
  const std::string all = listed(names);
  if (kind == 0) {
    scene.user(spoken(words, fill(words.pick({"Delete {0}.", "Remove {0}.", "Get rid of {0}.", "Erase {0}.",
                                              "Throw away the files {0}.", "I no longer need {0}, delete them."}),
                                  {all})));
    for (const std::string& name : names) scene.call("delete_file", arguments({{"path", name}}));
    scene.say(fmt::format("I deleted {}.", all));
  } else {
    const bool move = kind == 1;
    scene.user(spoken(
        words,
        fill(move ? words.pick({"Move {0} to {1}.", "Move {0} into {1}.", "Put {0} into {1}.", "Put {0} into the folder {1}.",
                                "Bring {0} to {1}.", "Move the files {0} to the folder {1}.", "File {0} under {1}."})
                  : words.pick({"Copy {0} to {1}.", "Copy {0} into {1}.", "Back up {0} to {1}.", "Put copies of {0} into {1}.",
                                "Copy the files {0} to the folder {1}.", "Make copies of {0} in {1}."}),
             {all, words.quoted(folder)})));
    for (const std::string& name : names)
      scene.call(move ? "move_file" : "copy_file", arguments({{"from", name}, {"to", in_folder(folder, name)}}));
    scene.say(fmt::format("I {} {} to {}.", move ? "moved" : "copied", all, folder));
  }
  return std::move(scene).finish("file_listed");
}

ToolEpisode several_folders(Random& random, Split split, int64_t) {
  FileScene scene = any_scene(random, split);
  Words& words = scene.words;
  std::vector<std::string> names;
  for (int64_t i = 0, n = words.between(2, 6); i < n; ++i)
    if (std::string name = words.folder();
        !scene.files().exists(name) && std::find(names.begin(), names.end(), name) == names.end())
      names.push_back(name);
  scene.user(spoken(words, fill(words.pick({"Make the folders {0}.", "Create folders called {0}.", "Create these folders: {0}.",
                                            "I need the folders {0}.", "Set up folders named {0}.", "Make folders for {0}.",
                                            "Add the folders {0}."}),
                                {listed(names)})));
  for (const std::string& name : names) scene.call("make_folder", arguments({{"path", name}}));
  scene.say(fmt::format("I made {}: {}.", things(static_cast<int64_t>(names.size()), "folder", "folders"), listed(names)));
  return std::move(scene).finish("file_folders");
}

ToolEpisode write_lines(Random& random, Split split, int64_t) {
  FileScene scene = any_scene(random, split);
  Words& words = scene.words;
  std::string path = words.file_stem() + (words.chance(0.8) ? ".txt" : ".md");
  std::vector<std::string> lines;
  for (int64_t i = 0, n = words.between(2, 6); i < n; ++i) lines.push_back(words.chance(0.5) ? words.word() : words.sentence());
  const bool plain = std::all_of(lines.begin(), lines.end(),
                                 [](const std::string& line) { return line.find_first_of(",:") == std::string::npos; });
  std::string joined;
  for (const std::string& line : lines) joined += (joined.empty() ? "" : "\n") + line;
  if (plain && words.chance(0.4)) {
    scene.user(
        spoken(words, fill(words.pick({"Create a file {0} with the lines {1}.", "Write a list {0} with {1}, one on each line.",
                                       "Make a file called {0} with these lines: {1}.", "Write {1} into {0}, each on its own line.",
                                       "Save the list {1} as {0}, one per line.", "Create the list {0} with the entries {1}."}),
                           {path, listed(lines)})));
  } else {
    std::string text = spoken(words, fill(words.pick({"Create a file {0} with these lines:", "Write the following to {0}:",
                                                      "Make a file called {0} with this text:", "Save this as {0}:",
                                                      "Put this into a new file {0}:", "Write {0} with exactly these lines:"}),
                                          {path}));
    const std::string bullet(words.pick({"", "", "- ", "* "}));
    for (const std::string& line : lines) text += "\n" + bullet + line;
    scene.user(text);
  }
  scene.call("write_file", arguments({{"path", path}, {"text", joined}}));
  scene.say(fmt::format("I wrote {} to {}.", things(static_cast<int64_t>(lines.size()), "line", "lines"), path));
  return std::move(scene).finish("file_lines");
}

void look(FileScene& scene) {
  Words& words = scene.words;
  const std::string folder = some_folder(words, scene.files());
  const bool count = words.chance(0.5);
  scene.user(spoken(words, fill(count ? words.pick({"How many files are {0}?", "Count the files {0}.",
                                                    "How many files do I have {0}?", "Tell me the number of files {0}.",
                                                    "What is the number of files {0}?", "How many files can you see {0}?"})
                                      : words.pick({"Which files are {0}?", "What is {0}?", "List the files {0}.",
                                                    "Show me what is {0}.", "What do we have {0}?", "Tell me what files are {0}.",
                                                    "What files can you find {0}?", "Show me the files {0}."}),
                                {in_place(words, folder)})));
  scene.call("list_files", arguments({{"folder", folder_argument(folder)}}));
  const std::vector<std::string> files = scene.files().files_in(folder);
  std::vector<std::string> names;
  for (const std::string& path : files) names.push_back(name_of(path));
  const auto n = static_cast<int64_t>(files.size());
  if (count)
    scene.say(n == 0 ? "There are no files." : fmt::format("There {} {}.", n == 1 ? "is" : "are", things(n, "file", "files")),
              {n == 0 ? "no files" : fmt::format(" {} file", n)});
  else
    scene.say(n == 0 ? "There are no files."
                     : fmt::format("There {} {}: {}.", n == 1 ? "is" : "are", things(n, "file", "files"), listed(names)),
              names);
}

ToolEpisode what_is_in(Random& random, Split split, int64_t) {
  FileScene scene = any_scene(random, split);
  look(scene);
  return std::move(scene).finish("file_look");
}

ToolEpisode several_turns(Random& random, Split split, int64_t) {
  FileScene scene = any_scene(random, split);
  for (int64_t i = 0, n = scene.words.between(2, 6); i < n; ++i) {
    FileWorld plan = scene.files();
    if (scene.words.chance(0.12)) {
      look(scene);
      continue;
    }
    std::vector<SceneStep> steps = {file_step(scene.words, plan)};
    if (scene.words.chance(0.15)) steps.push_back(file_step(scene.words, plan));
    play(scene, steps);
  }
  return std::move(scene).finish("file_turns");
}

ToolEpisode what_does_it_say(Random& random, Split split, int64_t) {
  Words setup(random, split);
  FileWorld world = some_files(setup, setup.between(1, 6));
  const std::string path = choose(setup, all_paths(world)), field = setup.pick(pools::fields),
                    value = setup.chance(0.4)   ? setup.person()
                            : setup.chance(0.5) ? setup.word()
                            : setup.chance(0.5) ? setup.money()
                                                : setup.code();
  std::string text = world.files[path];
  const bool asks_field = setup.chance(0.6);
  if (asks_field) {
    if (!text.empty() && !text.ends_with('\n')) text += "\n";
    text = setup.chance(0.5) ? text + capitalised(field) + ": " + value + "\n" : capitalised(field) + ": " + value + "\n" + text;
    if (text.find(capitalised(field)) != text.rfind(capitalised(field))) text = capitalised(field) + ": " + value + "\n";
    world.files[path] = text;
  }
  FileScene scene(random, split, world);
  Words& words = scene.words;
  if (asks_field) {
    scene.user(spoken(words, fill(words.pick({"What is the {0} in {1}?", "Which {0} does {1} give?", "Look up the {0} in {1}.",
                                              "Read {1} and tell me the {0}.", "Tell me the {0} that is written in {1}.",
                                              "What {0} does {1} mention?", "Find the {0} in the file {1}."}),
                                  {field, words.quoted(path)})));
    scene.call("read_file", arguments({{"path", path}}));
    scene.say(fmt::format("The {} is {}.", field, value), {value});
  } else {
    scene.user(spoken(words, fill(words.pick({"What does {0} say?", "Read {0} to me.", "Show me {0}.", "What is written in {0}?",
                                              "Open {0} and tell me what it says.", "Print the file {0}.",
                                              "What is in the file {0}?", "Show the content of {0}.", "Read the file {0}."}),
                                  {words.quoted(path)})));
    scene.call("read_file", arguments({{"path", path}}));
    while (text.ends_with('\n')) text.pop_back();
    scene.say(fmt::format("{} says:\n{}", path, text), {text});
  }
  return std::move(scene).finish(asks_field ? "file_field" : "file_read");
}

// How a user speaks of files with an extension, and the pattern.
std::string kind_of_files(Words& words, const std::string& extension) {
  return fill(words.pick({"{0} files", ".{0} files", "files ending in .{0}", "*.{0} files", "files with the extension {0}",
                          "{1} files", "files of the type {0}"}),
              {extension, [&] {
                 std::string upper = extension;
                 for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
                 return upper;
               }()});
}

ToolEpisode find_matching(Random& random, Split split, int64_t) {
  FileScene scene = any_scene(random, split);
  Words& words = scene.words;
  const std::string extension = words.chance(0.85) ? extension_of(choose(words, all_paths(scene.files()))) : words.extension(),
                    pattern = "*." + extension;
  const bool count = words.chance(0.3);
  scene.user(
      spoken(words, fill(count ? words.pick({"How many {0} are there in all?", "Count all {0}, in every folder.",
                                             "How many {0} do I have in total?", "What is the total number of {0}?",
                                             "In all folders, how many {0} are there?"})
                               : words.pick({"Find all {0}.", "Where are the {0}?", "Which {0} do I have?", "Search for {0}.",
                                             "Look for {0} everywhere.", "Find every one of the {0}, wherever they are.",
                                             "Give me the paths of all {0}.", "Are there any {0}?"}),
                         {kind_of_files(words, extension)})));
  scene.call("find_files", arguments({{"pattern", pattern}}));
  std::vector<std::string> found;
  for (const auto& [path, text] : scene.files().files)
    if (extension_of(path) == extension) found.push_back(path);
  const auto n = static_cast<int64_t>(found.size());
  if (n == 0)
    scene.say(fmt::format("There are no {} files.", extension), {"no "});
  else if (count)
    scene.say(fmt::format("There {} {}.", n == 1 ? "is" : "are", things(n, extension + " file", extension + " files")),
              {fmt::format(" {} ", n)});
  else
    scene.say(fmt::format("I found {}: {}.", things(n, extension + " file", extension + " files"), listed(found)), found);
  return std::move(scene).finish("file_find");
}

ToolEpisode find_then(Random& random, Split split, int64_t) {  // "delete report.txt, wherever it is"
  Words setup(random, split);
  FileWorld world = some_files(setup, setup.between(2, 5));
  const std::string folder = setup.folder(), deep = setup.chance(0.5) ? in_folder(folder, setup.folder()) : folder,
                    name = setup.file_name(), path = in_folder(deep, name);
  if (world.exists(name) || world.exists(folder)) return find_then(random, split, 0);
  world.add_file(path, some_text(setup));
  for (const auto& [other, text] : world.files)
    if (other != path && name_of(other) == name) return find_then(random, split, 0);
  FileScene scene(random, split, world);
  Words& words = scene.words;
  const std::string target = words.folder(), wanted = (words.chance(0.3) ? "the file " : "") + words.quoted(name);
  switch (words.between(0, 2)) {
    case 0:
      scene.user(spoken(words, fill(words.pick({"Find {0} and delete it.", "Delete {0}, I do not know which folder it is in.",
                                                "{0} is somewhere in here. Delete it.", "Look for {0} and remove it.",
                                                "Search for {0} and throw it away."}),
                                    {wanted})));
      scene.call("find_files", arguments({{"pattern", name}}));
      scene.call("delete_file", arguments({{"path", path}}));
      scene.say(fmt::format("I found {} and deleted it.", path));
      break;
    case 1:
      scene.user(spoken(words, fill(words.pick({"Find {0} and move it to {1}.", "Move {0} to {1}, I do not know where it is.",
                                                "{0} is somewhere in here. Move it into {1}.", "Look for {0} and put it into {1}.",
                                                "Search for {0}, then move it to the folder {1}."}),
                                    {wanted, target})));
      scene.call("find_files", arguments({{"pattern", name}}));
      scene.call("move_file", arguments({{"from", path}, {"to", in_folder(target, name)}}));
      scene.say(fmt::format("I found {} and moved it to {}.", path, target));
      break;
    default:
      scene.user(
          spoken(words, fill(words.pick({"Where is {0}?", "Find {0}.", "In which folder is {0}?", "I cannot find {0}, where is it?",
                                         "Look for {0} and tell me where it is.", "Tell me where {0} is."}),
                             {wanted})));
      scene.call("find_files", arguments({{"pattern", name}}));
      scene.say(fmt::format("{} is in {}.", name, deep), {deep});
  }
  return std::move(scene).finish("file_find_then");
}

std::string misspelt(Words& words, const std::string& name) {
  std::string wrong = name;
  const size_t stem = name.rfind('.'), i = words.random().below(stem - 1);
  if (words.chance(0.5))
    std::swap(wrong[i], wrong[i + 1]);
  else
    wrong.erase(i, 1);
  const bool ascii = std::all_of(name.begin(), name.end(), [](char c) { return (c & 0x80) == 0; });
  return ascii && wrong != name ? wrong : "";
}

// The file does not exist: the expert looks, then takes the one that was meant or says that there is none.
ToolEpisode missing_file(Random& random, Split split, int64_t) {
  Words setup(random, split);
  FileWorld world = some_files(setup, setup.between(2, 6));
  const std::string name = setup.file_name(), wrong = misspelt(setup, name), folder = setup.folder();
  const bool there = setup.chance(0.5);
  if (wrong.empty() || world.exists(wrong) || world.exists(name)) return missing_file(random, split, 0);
  if (there) world.add_file(name, some_text(setup));
  FileScene scene(random, split, world);
  Words& words = scene.words;
  const bool move = words.chance(0.5);
  const auto act = [&](const std::string& path) {
    return move ? scene.call("move_file", arguments({{"from", path}, {"to", in_folder(folder, path)}}))
                : scene.call("delete_file", arguments({{"path", path}}));
  };
  const std::string asked = there ? wrong : name;
  scene.user(spoken(
      words, move ? fill(words.pick({"Move {0} to {1}.", "Put {0} into {1}.", "Move {0} into the folder {1}.", "Bring {0} to {1}.",
                                     "File {0} under {1}."}),
                         {asked, folder})
                  : fill(words.pick({"Delete {0}.", "Remove {0}.", "Get rid of {0}.", "Erase the file {0}.", "Throw {0} away."}),
                         {asked})));
  act(asked);
  scene.call("list_files", arguments({{"folder", "."}}));
  if (there) {
    act(name);
    scene.say(fmt::format("There is no {}, but there is {}. I {} it{}.", asked, name, move ? "moved" : "deleted",
                          move ? " to " + folder : ""));
  } else {
    scene.say(fmt::format("There is no file called {}. Nothing was changed.", asked), {"no file"});
  }
  return std::move(scene).finish("file_missing");
}

ToolEpisode target_exists(Random& random, Split split, int64_t) {
  Words setup(random, split);
  FileWorld world = some_files(setup, setup.between(2, 5));
  const std::string folder = setup.folder(), name = choose(setup, all_paths(world));
  if (name.find('/') != std::string::npos || world.exists(folder)) return target_exists(random, split, 0);
  world.add_file(in_folder(folder, name), some_text(setup));
  FileScene scene(random, split, world);
  Words& words = scene.words;
  scene.user(spoken(words, fill(words.pick({"Move {0} to {1}.", "Put {0} into {1}.", "Move {0} into the folder {1}.",
                                            "Bring {0} to {1}.", "Place {0} in {1}."}),
                                {name, folder})));
  scene.call("move_file", arguments({{"from", name}, {"to", in_folder(folder, name)}}));
  scene.say(fmt::format("{} already exists, so I did not move {}.", in_folder(folder, name), name), {"already exists"});
  return std::move(scene).finish("file_exists");
}

ToolEpisode replace_text(Random& random, Split split, int64_t) {
  Words setup(random, split);
  FileWorld world = some_files(setup, setup.between(1, 5));
  const std::string path = choose(setup, all_paths(world)), before = setup.word(), after = setup.word();
  std::string text;
  for (int64_t i = 0, n = setup.between(1, 4), at = setup.between(0, n - 1); i < n; ++i)
    text += setup.sentence() + (i == at ? " " + before + (setup.chance(0.5) ? " " + setup.word() : "") : "") + "\n";
  if (before == after || text.find(before) != text.rfind(before)) return replace_text(random, split, 0);
  world.files[path] = text;
  FileScene scene(random, split, world);
  Words& words = scene.words;
  scene.user(spoken(words, fill(words.pick({"In {0}, replace {1} by {2}.", "Replace {1} with {2} in {0}.",
                                            "Change {1} to {2} in {0}.", "In the file {0}, {1} should read {2}.",
                                            "Edit {0}: {1} becomes {2}.", "Open {0} and replace the word {1} with {2}."}),
                                {path, words.quoted(before), words.quoted(after)})));
  scene.call("read_file", arguments({{"path", path}}));
  std::string changed = text;
  changed.replace(changed.find(before), before.size(), after);
  scene.call("write_file", arguments({{"path", path}, {"text", changed}}));
  scene.say(fmt::format("I replaced {} by {} in {}.", before, after, path));
  return std::move(scene).finish("file_replace");
}

ToolEpisode merge_two(Random& random, Split split, int64_t) {
  Words setup(random, split);
  FileWorld world = some_files(setup, setup.between(2, 5));
  const std::vector<std::string> paths = all_paths(world);
  const std::string a = choose(setup, paths), b = choose(setup, paths), target = setup.file_stem() + ".txt";
  if (a == b || world.exists(target)) return merge_two(random, split, 0);
  const auto whole = [](std::string text) {
    if (!text.ends_with('\n')) text += "\n";
    return text;
  };
  const std::string joined = whole(world.files[a]) + whole(world.files[b]);
  FileScene scene(random, split, world);
  Words& words = scene.words;
  scene.user(spoken(
      words, fill(words.pick({"Merge {0} and {1} into {2}.", "Join {0} and {1} into one file {2}.", "Combine {0} and {1} as {2}.",
                              "Put the text of {0} and {1} together into {2}.",
                              "Write {2} with the contents of {0} followed by {1}.", "Make one file {2} out of {0} and {1}."}),
                  {a, b, target})));
  scene.call("read_file", arguments({{"path", a}}));
  scene.call("read_file", arguments({{"path", b}}));
  scene.call("write_file", arguments({{"path", target}, {"text", joined}}));
  scene.say(fmt::format("I wrote {} with the text of {} and {}.", target, a, b));
  return std::move(scene).finish("file_merge");
}

ToolEpisode which_mentions(Random& random, Split split, int64_t) {
  Words setup(random, split);
  FileWorld world;
  for (int64_t i = 0, n = setup.between(2, 6); i < n; ++i) world.add_file(setup.file_name(), some_text(setup));
  const std::string path = choose(setup, all_paths(world)), word = setup.chance(0.5) ? setup.person() : setup.made_up();
  for (const auto& [other, text] : world.files)
    if (text.find(word) != std::string::npos) return which_mentions(random, split, 0);
  world.files[path] = setup.sentence() + " " + word + " " + setup.sentence() + "\n";
  FileScene scene(random, split, world);
  Words& words = scene.words;
  scene.user(
      spoken(words, fill(words.pick({"Which file mentions {0}?", "Find the file that mentions {0}.",
                                     "In which file does the word {0} occur?", "Which of the files here contains {0}?",
                                     "Look for {0} inside the files and tell me which one has it.", "What file speaks of {0}?"}),
                         {words.quoted(word)})));
  scene.call("list_files", arguments({{"folder", "."}}));
  for (const std::string& file : scene.files().files_in("")) scene.call("read_file", arguments({{"path", file}}));
  scene.say(fmt::format("{} mentions {}.", path, word), {path});
  return std::move(scene).finish("file_mentions");
}

ToolEpisode unclear(Random& random, Split split, int64_t) {
  FileScene scene = any_scene(random, split);
  Words& words = scene.words;
  const std::string name = choose(words, all_paths(scene.files())), folder = words.folder();
  switch (words.between(0, 2)) {
    case 0: {
      scene.user(spoken(words, fill(words.pick({"Rename {0}.", "I want to rename {0}.", "Give {0} a new name.",
                                                "Change the name of {0}.", "The file {0} needs another name."}),
                                    {words.quoted(name)})));
      scene.say("What should it be called?");
      std::string other = words.file_stem() + "." + extension_of(name);
      if (scene.files().exists(in_folder(folder_of(name), other))) other = "new-" + other;
      scene.user(fill(words.pick({"{0}", "Call it {0}.", "{0} please", "It should be {0}.", "Make it {0}."}), {other}));
      scene.call("move_file", arguments({{"from", name}, {"to", in_folder(folder_of(name), other)}}));
      scene.say(fmt::format("I renamed {} to {}.", name_of(name), other));
      break;
    }
    case 1:
      scene.user(spoken(words, fill(words.pick({"Move {0}.", "Move {0} somewhere else.", "The file {0} is in the wrong place.",
                                                "Please put {0} away.", "Move {0} to another folder."}),
                                    {words.quoted(name)})));
      scene.say("Where should I move it?");
      if (scene.files().exists(in_folder(folder, name_of(name)))) break;
      scene.user(fill(words.pick({"To {0}", "{0}", "Into the folder {0}.", "{0} please", "Put it into {0}."}), {folder}));
      scene.call("move_file", arguments({{"from", name}, {"to", in_folder(folder, name_of(name))}}));
      scene.say(fmt::format("I moved {} to {}.", name_of(name), folder));
      break;
    default:
      scene.user(spoken(words, std::string(words.pick({"Delete the file.", "Remove that file.", "Can you delete it?",
                                                       "Delete the old one.", "Throw the file away."}))));
      scene.say("Which file should I delete?");
      scene.user(fill(words.pick({"{0}", "The file {0}.", "I mean {0}", "{0} please", "Take {0}."}), {name}));
      scene.call("delete_file", arguments({{"path", name}}));
      scene.say(fmt::format("I deleted {}.", name_of(name)));
  }
  return std::move(scene).finish("file_unclear");
}

ToolEpisode cannot(Random& random, Split split, int64_t) {
  FileScene scene = any_scene(random, split);
  Words& words = scene.words;
  const std::string person = words.person(), city = words.pick(pools::cities), name = choose(words, all_paths(scene.files()));
  scene.user(spoken(
      words, fill(words.pick({"Send an email to {0}.", "Send {2} to {0} by email.", "What is the weather in {1}?",
                              "Book a flight to {1}.", "Call {0}.", "Print {2} on paper.", "Order a pizza.", "Play some music.",
                              "What time is it in {1}?", "Translate {2} into French.", "Buy me a ticket to {1}.",
                              "Remind me tomorrow to call {0}.", "Search the web for {1}.", "Upload {2} to the cloud.",
                              "Turn off the lights.", "Compress {2} into a zip archive.", "Send {0} a message."}),
                  {person, city, words.quoted(name)})));
  scene.say("I cannot do that: I only have tools for files and folders.", {"tool"});
  return std::move(scene).finish("file_cannot");
}

constexpr std::array<Family, 17> kFamilies = {{
    {"file_step", 4, one_step},
    {"file_steps", 4, few_steps},
    {"file_turns", 7, several_turns},
    {"file_listed", 2.5, move_listed},
    {"file_folders", 1, several_folders},
    {"file_lines", 2, write_lines},
    {"file_look", 2.5, what_is_in},
    {"file_read", 2.5, what_does_it_say},
    {"file_find", 1.5, find_matching},
    {"file_find_then", 1.2, find_then},
    {"file_missing", 1.5, missing_file},
    {"file_exists", 0.5, target_exists},
    {"file_replace", 1.2, replace_text},
    {"file_merge", 1, merge_two},
    {"file_mentions", 1, which_mentions},
    {"file_unclear", 0.7, unclear},
    {"file_cannot", 0.7, cannot},
}};

}  // namespace

std::span<const Family> file_families() { return kFamilies; }

}  // namespace quern
