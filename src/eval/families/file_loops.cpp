// Loops over a folder of files: list, then one or two calls for each file.
#include <algorithm>
#include <array>
#include <map>

#include "eval/families/families.h"

namespace quern {
namespace {

// How many files make about `calls` calls, `each` a file after one call to list them.
int64_t file_count(Words& words, int64_t calls, int64_t each, int64_t most) {
  const int64_t n = calls > 0 ? (calls - 1) / each : words.chance(0.75) ? words.between(2, 9) : words.between(2, most);
  return std::max<int64_t>(1, std::min(n, calls > 0 ? n : most));
}

std::string counted(int64_t n, std::string_view what = "file") {
  return n == 1 ? fmt::format("1 {}", what) : fmt::format("{} {}s", n, what);
}

FileScene with_files(Random& random, Split split, std::vector<std::string> names) {
  Words words(random, split);
  FileWorld world;
  for (const std::string& name : names) world.add_file(name, some_text(words));
  for (int64_t i = 0, n = words.chance(0.6) ? 0 : words.between(1, 2); i < n; ++i)
    if (const std::string folder = words.folder(); !world.exists(folder)) world.add_folder(folder);
  return FileScene(random, split, std::move(world));
}

std::vector<std::string> unique_names(Words& words, int64_t count, const std::vector<std::string>& extensions) {
  std::vector<std::string> names;
  while (static_cast<int64_t>(names.size()) < count)
    if (std::string name = words.file_stem() + "." + extensions[words.random().below(extensions.size())];
        std::find(names.begin(), names.end(), name) == names.end())
      names.push_back(std::move(name));
  return names;
}

std::vector<std::string> some_extensions(Words& words, int64_t count) {
  std::vector<std::string> extensions;
  while (static_cast<int64_t>(extensions.size()) < count)
    if (std::string e = words.extension(); std::find(extensions.begin(), extensions.end(), e) == extensions.end())
      extensions.push_back(std::move(e));
  return extensions;
}

// Moves (or what `act` does) for every file at the top that has a goal; returns how many.
template <class Act>
int64_t for_each_listed(FileScene& scene, const std::string& folder, const Act& act) {
  const std::vector<std::string> paths = scene.files().files_in(folder);
  scene.call("list_files", arguments({{"folder", folder.empty() ? "." : folder}}));
  int64_t done = 0;
  for (const std::string& path : paths) done += act(path) ? 1 : 0;
  return done;
}

void move_into(FileScene& scene, const std::string& path, const std::string& folder) {
  scene.call("move_file", arguments({{"from", path}, {"to", in_folder(folder, name_of(path))}}));
}

std::string finished(int64_t n, std::string_view verb, std::string_view rest) {
  if (n == 0) return fmt::format("There was nothing to do: no file had to be {}.", verb);
  if (n > 12) return fmt::format("Done. All files are {}{}.", verb, rest);
  return fmt::format("Done. I {} {}{}.", verb, counted(n), rest);
}

std::string tail(Words& words) {
  if (words.chance(0.6)) return "";
  return std::string(words.pick({" Leave nothing loose.", " Work until everything is done.", " Do not touch anything else.",
                                 " Use one call for each file.", " Nothing may get lost.", " Keep the names as they are.",
                                 " Do not delete anything.", " When you are done, tell me how many files you moved.",
                                 " Start by looking at what is there."}));
}

ToolEpisode sort_mapping(Random& random, Split split, int64_t calls) {  // every extension has the folder the user says
  Words setup(random, split);
  const int64_t kinds = setup.between(2, 5);
  const std::vector<std::string> extensions = some_extensions(setup, kinds + (setup.chance(0.4) ? 1 : 0));
  std::map<std::string, std::string> goal;
  std::vector<std::string> order;
  for (int64_t i = 0; i < kinds; ++i) goal[extensions[static_cast<size_t>(i)]] = setup.folder();
  FileScene scene =
      with_files(random, split,
                 unique_names(setup, file_count(setup, calls, 1, 30),
                              calls > 0 ? std::vector<std::string>(extensions.begin(), extensions.begin() + kinds) : extensions));
  Words& words = scene.words;
  const int64_t style = words.between(0, 2);
  const std::string rest = words.chance(0.2) ? words.folder() : "";
  std::string text;
  if (style == 0) {
    const std::string_view pair =
        words.pick({"{0} files into {1}", "every {0} into {1}", "all .{0} files to {1}", "{0} into {1}", "every {0} file into {1}",
                    "{0} files go to {1}", "each {0} file to the folder {1}", "the {0} files into the folder {1}"});
    std::vector<std::string> parts;
    for (int64_t i = 0; i < kinds; ++i)
      parts.push_back(fill(pair, {extensions[static_cast<size_t>(i)], goal[extensions[static_cast<size_t>(i)]]}));
    if (!rest.empty())
      parts.push_back(fill(words.pick({"everything else into {0}", "all other files to {0}", "the rest into {0}",
                                       "whatever is left to {0}", "other files into {0}"}),
                           {rest}));
    std::string joined;
    for (size_t i = 0; i < parts.size(); ++i)
      joined += (i ? i + 1 == parts.size() && words.chance(0.6) ? " and " : ", " : "") + parts[i];
    text =
        spoken(words,
               fill(words.pick({"Move {0}.", "Sort the files in this folder: {0}.", "Sort the files by their extension: move {0}.",
                                "Tidy this folder: {0}.", "Put {0}.", "Sort this folder. Move {0}.", "Clean up here: {0}.",
                                "Sort the files in this folder by their extension: move {0}.",
                                "Look at the files here and move {0}.", "List the files, then move {0}.", "Order my files: {0}."}),
                    {joined})) +
        tail(words);
  } else {
    text = std::string(words.pick(
        {"Sort the files in this folder like this:", "Please sort the files by type:", "Tidy up this folder. The rules:",
         "Move the files to these folders:", "Sort everything here by extension:", "Every file belongs into a folder:"}));
    for (int64_t i = 0; i < kinds; ++i)
      text += (style == 1 ? "\n- " : "\n") + fill(style == 1 ? "{0} files: {1}" : ".{0} -> {1}",
                                                  {extensions[static_cast<size_t>(i)], goal[extensions[static_cast<size_t>(i)]]});
    if (!rest.empty())
      text += (style == 1 ? "\n- " : "\n") +
              fill(style == 1 ? words.pick({"everything else: {0}", "other files: {0}", "the rest: {0}"}) : "other -> {0}", {rest});
    else if (words.chance(0.3))
      text += "\nLeave other files where they are.";
  }
  scene.user(text);
  const int64_t n = for_each_listed(scene, "", [&](const std::string& path) {
    const auto folder = goal.find(extension_of(path));
    if (folder == goal.end() && rest.empty()) return false;
    move_into(scene, path, folder == goal.end() ? rest : folder->second);
    return true;
  });
  scene.say(finished(n, "moved", " into folders"));
  return std::move(scene).finish("sort_mapping");
}

ToolEpisode sort_extension(Random& random, Split split, int64_t calls) {  // a folder named like the extension
  Words setup(random, split);
  FileScene scene =
      with_files(random, split, unique_names(setup, file_count(setup, calls, 1, 30), some_extensions(setup, setup.between(2, 6))));
  Words& words = scene.words;
  scene.user(
      spoken(words, std::string(words.pick(
                        {"Sort the files in this folder by extension, each into a folder named after it.",
                         "Sort all files by their extension.", "Move every file into a folder named like its extension.",
                         "Make a folder for each file extension and move the files there.", "Group the files here by extension.",
                         "Put each file into a folder with the name of its extension, such as pdf or txt.",
                         "Sort this folder by file extension.", "Order the files by extension: one folder for each extension.",
                         "I want one folder per extension with the files in it.",
                         "Each file should go to a folder called like its extension."}))) +
      tail(words));
  const int64_t n = for_each_listed(scene, "", [&](const std::string& path) {
    move_into(scene, path, extension_of(path));
    return true;
  });
  scene.say(finished(n, "sorted", " by extension"));
  return std::move(scene).finish("sort_extension");
}

// What kind of file an extension means, for "tidy up".
struct Category {
  std::string_view folder;
  std::vector<std::string> extensions;
};
const std::vector<Category>& categories() {
  static const std::vector<Category> all = {{"documents", {"pdf", "doc", "docx", "odt", "rtf", "epub"}},
                                            {"texts", {"txt", "md", "log"}},
                                            {"pictures", {"jpg", "jpeg", "png", "gif", "bmp", "svg", "webp", "heic", "tiff"}},
                                            {"music", {"mp3", "wav", "flac", "ogg"}},
                                            {"videos", {"mp4", "mov", "avi", "mkv"}},
                                            {"tables", {"csv", "xls", "xlsx", "ods"}},
                                            {"code", {"py", "js", "cpp", "h", "java", "html", "css", "rs", "go", "sh"}},
                                            {"archives", {"zip", "tar", "gz"}}};
  return all;
}

ToolEpisode tidy(Random& random, Split split, int64_t calls) {
  Words setup(random, split);
  std::vector<std::string> extensions;
  for (int64_t i = 0, n = setup.between(2, 6); i < n; ++i)
    extensions.push_back(setup.random().pick(setup.random().pick(categories()).extensions));
  FileScene scene = with_files(random, split, unique_names(setup, file_count(setup, calls, 1, 30), extensions));
  Words& words = scene.words;
  scene.user(spoken(
      words,
      std::string(words.pick(
          {"Tidy up this folder.", "Clean up this folder.", "Sort the files here by type.", "Put the files into folders by kind.",
           "Organise this folder.", "Tidy this folder: put each kind of file in its own folder.",
           "Sort my files into sensible folders.", "This folder is a mess, please tidy it up.",
           "Organize the files in this folder by type.", "Sort everything here into folders such as documents, pictures and music.",
           "Bring order into this folder.", "Please sort these files by what they are: documents, pictures, music and so on.",
           "Sort the files in this folder into documents, texts, pictures, music, videos, tables, code and archives."}))));
  const int64_t n = for_each_listed(scene, "", [&](const std::string& path) {
    for (const Category& category : categories())
      if (std::find(category.extensions.begin(), category.extensions.end(), extension_of(path)) != category.extensions.end())
        move_into(scene, path, std::string(category.folder));
    return true;
  });
  scene.say(finished(n, "sorted", " by type"));
  return std::move(scene).finish("tidy");
}

// Files by a property of their names: an extension, a beginning, a word inside; moved, copied, deleted or renamed.
ToolEpisode act_on_matching(Random& random, Split split, int64_t calls) {
  Words setup(random, split);
  const int64_t property = setup.between(0, 4), action = setup.between(0, 4);
  const std::vector<std::string> extensions = some_extensions(setup, property == 0   ? setup.between(2, 3)
                                                                     : property == 4 ? setup.between(3, 4)
                                                                                     : setup.between(1, 3));
  const std::string mark = property == 2 && setup.chance(0.4) ? fmt::format("{}", setup.between(2015, 2029))
                           : setup.chance(0.5)                ? setup.pick(pools::file_stems)
                                                              : setup.made_up();
  std::vector<std::string> names;
  const int64_t n = file_count(setup, calls, 1, 24);
  const auto matches = [&](const std::string& name) {
    return property == 0   ? extension_of(name) == extensions[0]
           : property == 1 ? name.starts_with(mark)
           : property == 2 ? name.find(mark) != std::string::npos
                           : property == 3 || extension_of(name) == extensions[0] || extension_of(name) == extensions[1];
  };
  while (static_cast<int64_t>(names.size()) < n) {  // about half of them match; all when a number of calls is wanted
    std::string name = setup.file_stem() + "." + setup.random().pick(extensions);
    if ((calls > 0 || setup.chance(0.5)) && !matches(name))
      name = property == 0 || property == 4 ? setup.file_stem() + "." + extensions[0]
             : property == 1 ? mark + setup.random().pick(std::array<std::string_view, 3>{"-", "_", " "}).data() + name
                             : setup.file_stem() + "-" + mark + "." + extensions[0];
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  }
  FileScene scene = with_files(random, split, names);
  Words& words = scene.words;
  const std::string folder = words.folder(), affix = words.chance(0.4)   ? fmt::format("{}-", words.between(2015, 2029))
                                                     : words.chance(0.5) ? words.word() + "-"
                                                                         : words.made_up() + "_";
  std::string upper = extensions[0];
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  const std::string which =
      property == 0
          ? fill(words.pick({"all {0} files", "every {0} file", "all .{0} files", "the {0} files", "all files ending in .{0}",
                             "all files with the extension {0}", "each {0} file", "every .{0}", "all {1} files", "the {1} files",
                             "all the {0} files", "all my {0} files", "any {0} files"}),
                 {extensions[0], upper})
      : property == 1 ? fill(words.pick({"every file whose name starts with {0}", "all files that start with {0}",
                                         "the files beginning with {0}", "all files whose names begin with {0}",
                                         "each file that begins with {0}", "all {0} files whose name starts like that"}),
                             {words.quoted(mark)})
      : property == 2 ? fill(words.pick({"every file with {0} in its name", "all files whose name contains {0}",
                                         "the files with {0} in the name", "all files that have {0} in their names",
                                         "each file containing {0} in its name", "every file named something with {0}"}),
                             {words.quoted(mark)})
      : property == 4 ? fill(words.pick({"all {0} and {1} files", "every {0} and {1} file", "the {0} and {1} files",
                                         "all files ending in {0} or {1}", "all .{0} and .{1} files", "{0} and {1} files",
                                         "all the {0} and {1} files"}),
                             {extensions[0], extensions[1]})
                      : std::string(words.pick({"all files", "every file", "everything", "all the files here", "each of the files",
                                                "the files in this folder", "all of my files"}));
  const std::string_view here = property != 3 ? words.pick({" here", " in this folder", "", "", " at the top"}) : "";
  const std::string whom = which + std::string(here);
  std::string_view form;
  if (action <= 1)
    form =
        words.pick({"Move {0} to {1}.", "Move {0} into {1}.", "Put {0} into {1}.", "Put {0} into the folder {1}.",
                    "Bring {0} to {1}.", "Collect {0} in {1}.", "Take {0} and move them to {1}.", "Gather {0} in the folder {1}."});
  else if (action == 2)
    form = words.pick({"Copy {0} to {1}.", "Copy {0} into {1}.", "Back up {0} to {1}.", "Make a copy of {0} in {1}.",
                       "Put copies of {0} into {1}.", "Save a copy of {0} in the folder {1}."});
  else if (action == 3)
    form = words.pick(
        {"Delete {0}.", "Remove {0}.", "Erase {0}.", "Get rid of {0}.", "Throw away {0}.", "Clean up: delete {0}.", "Wipe {0}."});
  else
    form = words.pick({"Put {2} in front of the name of {0}.", "Rename {0} so that the name starts with {2}.",
                       "Add the prefix {2} to {0}.", "Prefix {0} with {2}.", "Give {0} the prefix {2}.",
                       "Rename {0}: put {2} before the name."});
  scene.user(spoken(words, fill(form, {whom, words.quoted(folder), words.quoted(affix)})));
  const int64_t done = for_each_listed(scene, "", [&](const std::string& path) {
    if (!matches(path)) return false;
    if (action <= 1)
      move_into(scene, path, folder);
    else if (action == 2)
      scene.call("copy_file", arguments({{"from", path}, {"to", in_folder(folder, path)}}));
    else if (action == 3)
      scene.call("delete_file", arguments({{"path", path}}));
    else
      scene.call("move_file", arguments({{"from", path}, {"to", affix + path}}));
    return true;
  });
  scene.say(finished(done,
                     action <= 1   ? "moved"
                     : action == 2 ? "copied"
                     : action == 3 ? "deleted"
                                   : "renamed",
                     action <= 2 ? " to " + folder : ""));
  return std::move(scene).finish("act_on_matching");
}

ToolEpisode gather_everywhere(Random& random, Split split, int64_t) {  // find_files, then each
  Words setup(random, split);
  FileWorld world = some_files(setup, setup.between(1, 5));
  const std::string extension = setup.extension(), folder = setup.folder();
  if (world.exists(folder)) return gather_everywhere(random, split, 0);
  for (const std::string& at : std::vector<std::string>(world.folders.begin(), world.folders.end()))
    world.add_file(in_folder(at, setup.file_stem() + "." + extension), some_text(setup));
  std::vector<std::string> found, names;
  for (const auto& [path, text] : world.files)
    if (extension_of(path) == extension) {
      if (std::find(names.begin(), names.end(), name_of(path)) != names.end()) return gather_everywhere(random, split, 0);
      found.push_back(path), names.push_back(name_of(path));
    }
  FileScene scene(random, split, world);
  Words& words = scene.words;
  const bool move = words.chance(0.6);
  scene.user(spoken(
      words,
      move ? fill(words.pick({"Find all {0} files in all folders and move them to {1}.",
                              "Move every {0} file, wherever it is, to {1}.", "Collect all {0} files from every folder in {1}.",
                              "Search all folders for {0} files and put them into {1}.",
                              "Gather the {0} files of all folders in {1}."}),
                  {extension, folder})
           : fill(words.pick({"Delete all {0} files in all folders.", "Find every {0} file, wherever it is, and delete it.",
                              "Remove the {0} files from all folders.", "Search all folders for {0} files and delete them.",
                              "Get rid of the {0} files everywhere."}),
                  {extension})));
  scene.call("find_files", arguments({{"pattern", "*." + extension}}));
  for (const std::string& path : found)
    move ? move_into(scene, path, folder) : static_cast<void>(scene.call("delete_file", arguments({{"path", path}})));
  scene.say(finished(static_cast<int64_t>(found.size()), move ? "moved" : "deleted", move ? " to " + folder : ""));
  return std::move(scene).finish("gather_everywhere");
}

// Files with lines "Field: value"; `fields` of them in every file.
struct Records {
  std::vector<std::string> names, fields;
  std::vector<std::vector<std::string>> values;  // [file][field]
  FileWorld world;
};

Records records(Words& words, int64_t count, int64_t fields, bool few_values) {
  Records r;
  while (static_cast<int64_t>(r.fields.size()) < fields)
    if (std::string field = words.chance(0.6) ? words.pick(pools::fields) : words.word();
        std::find(r.fields.begin(), r.fields.end(), field) == r.fields.end())
      r.fields.push_back(std::move(field));
  const std::vector<std::string> extensions = {words.chance(0.8) ? "txt" : words.extension()};
  r.names = words.chance(0.4) ? std::vector<std::string>() : unique_names(words, count, extensions);
  const std::string stem = words.chance(0.6) ? words.pick(pools::file_stems) : words.word();
  for (int64_t i = 0, at = words.between(1, 90); static_cast<int64_t>(r.names.size()) < count; ++i)
    r.names.push_back(fmt::format("{}-{:02}.{}", stem, at + i, extensions[0]));
  std::sort(r.names.begin(), r.names.end());
  const auto value = [&] {
    switch (words.between(0, 6)) {
      case 0:
        return words.person();
      case 1:
        return words.proper(pools::companies) + (words.chance(0.3) ? " " + capitalised(words.word()) : "");
      case 2:
        return words.money();
      case 3:
        return words.proper(pools::cities);
      case 4:
        return words.proper(pools::projects);
      case 5:
        return words.code();
      default:
        return words.chance(0.5) ? capitalised(words.word()) : words.made_up();
    }
  };
  std::vector<std::string> few;
  for (int64_t i = 0, n = words.between(2, 4); i < n; ++i)
    few.push_back(words.chance(0.5)   ? words.proper(pools::projects)
                  : words.chance(0.5) ? words.proper(pools::companies)
                  : words.chance(0.5) ? words.folder()
                                      : words.made_up());
  const bool note_first = words.chance(0.3), note_last = words.chance(0.5);
  for (const std::string& name : r.names) {
    std::vector<std::string> values;
    std::string text = note_first ? words.sentence() + "\n" : "";
    for (const std::string& field : r.fields) {
      values.push_back(few_values && values.empty() ? words.random().pick(few) : value());
      text += capitalised(field) + ": " + values.back() + "\n";
    }
    if (note_last) text += words.sentence() + "\n";
    r.world.add_file(name, text);
    r.values.push_back(std::move(values));
  }
  return r;
}

ToolEpisode sort_by_field(Random& random, Split split, int64_t calls) {
  Words setup(random, split);
  Records r = records(setup, file_count(setup, calls, 2, 12), setup.between(1, 3), true);
  FileScene scene(random, split, r.world);
  Words& words = scene.words;
  const std::string field = r.fields[0], label = capitalised(field);
  scene.user(
      spoken(words,
             fill(words.pick(
                      {"Every file here has a line {1}. Move each file into a folder named after its {0}.",
                       "Read each file and move it into a folder named after the {0} it mentions.",
                       "Sort the files by {0}: read each one and move it to a folder with that name.",
                       "File everything by {0}. The {0} stands in each file after \"{1}:\".",
                       "For each file, look up the {0} inside and move the file into a folder of that name.",
                       "Group the files by the {0} that is written in them.",
                       "Each text names a {0}. Put every file into a folder with the name of its {0}.",
                       "Move every file to the folder of its {0}; read the file to find out.",
                       "Sort these files into one folder per {0}, as written in the files.",
                       "The files in this folder contain a line \"{1}: NAME\". Read every file and move it into the folder NAME."}),
                  {field, label})) +
      tail(words));
  scene.call("list_files", arguments({{"folder", "."}}));
  for (size_t i = 0; i < r.names.size(); ++i) {
    scene.call("read_file", arguments({{"path", r.names[i]}}));
    move_into(scene, r.names[i], r.values[i][0]);
  }
  scene.say(finished(static_cast<int64_t>(r.names.size()), "moved", fmt::format(" by {}", field)));
  return std::move(scene).finish("sort_by_field");
}

// An index of what the files say: written at the end, or a line added after each.
ToolEpisode index_fields(Random& random, Split split, int64_t calls) {
  Words setup(random, split);
  const bool append = calls > 14 || setup.chance(0.4);
  const int64_t used = setup.between(1, 3);
  Records r = records(
      setup, append ? file_count(setup, calls, 2, 12) : std::min<int64_t>(file_count(setup, calls > 0 ? calls - 1 : 0, 1, 10), 12),
      used + (setup.chance(0.4) ? 1 : 0), false);
  FileScene scene(random, split, r.world);
  Words& words = scene.words;
  const bool with_name = used == 1 || words.chance(0.7), csv = words.chance(0.7);
  const std::string separator =
      csv ? words.chance(0.8) ? "," : ";" : words.random().pick(std::array<std::string_view, 3>{" ", ": ", " - "}).data();
  std::string target = (words.chance(0.6) ? "index" : words.file_stem()) + (csv ? ".csv" : ".txt");
  if (scene.files().exists(target)) target = "the-" + target;
  std::vector<std::string> columns;
  if (with_name) columns.push_back(std::string(words.pick({"file name", "name of the file", "file"})));
  for (int64_t k = 0; k < used; ++k) columns.push_back(r.fields[static_cast<size_t>(k)]);
  std::string shape;
  for (const std::string& column : columns) {
    std::string upper = column == "name of the file" || column == "file" ? "FILENAME" : column;
    for (char& c : upper) c = c == ' ' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    shape += (shape.empty() ? "" : separator) + upper;
  }
  const std::string all = listed(columns);
  if (append) {
    scene.user(spoken(words, fill(words.pick({"Read each file here and add a line \"{1}\" to {0} for it.",
                                              "For every file, append one line with the {2} to {0}. The form is {1}.",
                                              "Go through the files one by one; after reading each, add its {2} to {0} as {1}.",
                                              "Keep a list in {0}: for each file read it and append the line {1}.",
                                              "Read the files and, for each, add one line {1} at the end of {0}."}),
                                  {target, shape, all})) +
               tail(words));
  } else {
    scene.user(
        spoken(words,
               fill(words.pick({"Read all files here and write {0} with one line {1} for each.",
                                "Make {0} with one line for every file: {1}.", "Write an index {0} of these files. Each line: {1}.",
                                "Read every file and write {0} with the {2} of each, one line per file, as {1}.",
                                "Create {0} from the files in this folder: one line per file, in the form {1}.",
                                "Collect the {2} of every file in {0}, one line each like {1}.",
                                "Read all the files, then write {0}. For each file it has one line \"{1}\", sorted by file name.",
                                "Write {0} with one line \"{1}\" per file, in the order of the file names."}),
                    {target, shape, all})) +
        tail(words));
  }
  scene.call("list_files", arguments({{"folder", "."}}));
  std::string text;
  for (size_t i = 0; i < r.names.size(); ++i) {
    scene.call("read_file", arguments({{"path", r.names[i]}}));
    std::string line = with_name ? r.names[i] : "";
    for (int64_t k = 0; k < used; ++k) line += (line.empty() ? "" : separator) + r.values[i][static_cast<size_t>(k)];
    if (append) scene.call("append_file", arguments({{"path", target}, {"text", line}}));
    text += line + "\n";
  }
  if (!append) scene.call("write_file", arguments({{"path", target}, {"text", text}}));
  const auto n = static_cast<int64_t>(r.names.size());
  scene.say(n > 12 ? fmt::format("Done. {} has a line for every file.", target)
                   : fmt::format("Done. {} has {}.", target, counted(n, "line")));
  return std::move(scene).finish(append ? "index_append" : "index_write");
}

// A trail of files, each naming the next.
ToolEpisode follow_files(Random& random, Split split, int64_t calls) {
  Words setup(random, split);
  const int64_t n = calls > 0 ? calls : setup.chance(0.7) ? setup.between(2, 8) : setup.between(2, 25);
  const std::vector<std::string> names = unique_names(setup, n, {"txt"});
  FileWorld world;
  const std::string end = setup.chance(0.5) ? setup.code() : setup.sentence();
  const std::string_view link =
      setup.pick({"Next: {0}", "Go on with {0}", "Continue in {0}", "See {0}", "The next one is {0}", "next file: {0}"});
  for (size_t i = 0; i < names.size(); ++i)
    world.add_file(names[i], i + 1 < names.size()
                                 ? (setup.chance(0.4) ? setup.sentence() + "\n" : "") + fill(link, {names[i + 1]}) + "\n"
                                 : "The end: " + end + "\n");
  FileScene scene(random, split, world);
  Words& words = scene.words;
  scene.user(spoken(
      words,
      fill(words.pick({"Start with {0}. Each file names the next one; follow them to the end and tell me what the last one says.",
                       "Read {0} and follow the trail from file to file. What is at the end?",
                       "Follow the chain of files that starts at {0}. What does the last file say?",
                       "Every file says which to read next. Begin with {0} and tell me what you find at the end.",
                       "Read {0}, then the file it names, and so on. What stands in the last one?",
                       "Open {0}. It tells you where to go on; keep going until the end and repeat what is written there.",
                       "From {0} each text leads to another. Go through them all and give me the last message.",
                       "{0} names a file, and that names one again. Which text is in the last of them?",
                       "Begin at {0} and read whatever file is named there, as long as there is one. What does the last say?",
                       "Go from file to file, starting with {0}, until no next one is named. What did it say?"}),
           {names[0]})));
  for (const std::string& name : names) scene.call("read_file", arguments({{"path", name}}));
  scene.say(fmt::format("The last file says: {}", end), {end});
  return std::move(scene).finish("follow_files");
}

ToolEpisode long_script(Random& random, Split split, int64_t calls) {
  Words setup(random, split);
  const int64_t n = calls > 0 ? calls : setup.between(4, 25);
  FileScene scene(random, split, some_files(setup, std::max<int64_t>(6, n / 2)));
  FileWorld plan = scene.files();
  std::vector<SceneStep> steps;
  for (int64_t i = 0; i < n; ++i) steps.push_back(file_step(scene.words, plan));
  play(scene, steps);
  return std::move(scene).finish("file_script");
}

constexpr std::array<Family, 9> kLoops = {{
    {"sort_mapping", 4, sort_mapping},
    {"sort_extension", 1.5, sort_extension},
    {"tidy", 2, tidy},
    {"act_on_matching", 4, act_on_matching},
    {"gather_everywhere", 1, gather_everywhere},
    {"sort_by_field", 3, sort_by_field},
    {"index_fields", 3.5, index_fields},
    {"follow_files", 1, follow_files},
    {"file_script", 2, long_script},
}};

}  // namespace

std::span<const Family> file_loop_families() { return kLoops; }

}  // namespace quern
