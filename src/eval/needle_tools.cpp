// The haystack of tool calls: episodes of the file families before the request, moves of other files after it. Both are what training
// conversations are made of; one long tool result in their place is nothing that pebble has ever seen, and it is lost there from the first line.
#include <algorithm>
#include <set>

#include "eval/families/families.h"
#include "eval/needle.h"

namespace quern {
namespace {

constexpr size_t kFewestFiles = 3;  // the needle's and two others

struct Story {
  std::vector<std::string> extensions, folders;  // each extension's folder; the first is the needle's
  std::string request;
};

Story make_story(Words& words) {
  Story story;
  const auto add_new = [](std::vector<std::string>& to, std::string word) {
    if (std::find(to.begin(), to.end(), word) == to.end()) to.push_back(std::move(word));
  };
  while (story.extensions.size() < 4) add_new(story.extensions, words.extension());
  while (story.folders.size() < 4) add_new(story.folders, words.folder());
  story.request =
      words.pick({"Sort the files in this folder like this:", "Please sort the files by type:", "Tidy up this folder. The rules:",
                  "Move the files to these folders:", "Sort everything here by extension:", "Every file belongs into a folder:"});
  for (const size_t i : {size_t{1}, size_t{2}, size_t{0}, size_t{3}})
    story.request += fmt::format("\n- {} files: {}", story.extensions[i], story.folders[i]);
  return story;
}

// Names in order; the last is the needle's and the only one with its extension. Names of fewer files are among those of more.
class Files {
 public:
  Files(Random& random, Split split, const Story& story) : words_(random, split), story_(story) {}

  std::vector<std::string> first(size_t count) {
    while (stems_.size() < count) {
      std::string stem = words_.file_stem();
      if (!taken_.insert(stem).second) continue;
      stems_.push_back(std::move(stem));
      extensions_.push_back(story_.extensions[1 + words_.random().below(story_.extensions.size() - 1)]);
    }
    std::vector<size_t> order(count);
    for (size_t i = 0; i < count; ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return stems_[a] + "." < stems_[b] + "."; });
    std::vector<std::string> names;
    for (size_t i = 0; i < count; ++i)
      names.push_back(stems_[order[i]] + "." + (i + 1 == count ? story_.extensions[0] : extensions_[order[i]]));
    return names;
  }

 private:
  Words words_;
  const Story& story_;
  std::vector<std::string> stems_, extensions_;
  std::set<std::string> taken_;
};

// The messages of one episode with the file tools, without its system prompt.
std::vector<Message> earlier_turns(Random& random, Split split) {
  const std::span<const Family> families = file_families();
  std::vector<Message> messages = families[random.below(families.size())].play(random, split, 0).conversation.messages;
  std::erase_if(messages, [](const Message& message) { return message.role == Role::system; });
  return messages;
}

class ToolsNeedle {
 public:
  ToolsNeedle(const NeedleRequest& request, const Tokenizer& tokenizer)
      : request_(request), tokenizer_(tokenizer), story_random_(Random::mix(request.seed ^ 0x5702'4)) {
    Words words(story_random_, request.split);
    story_ = make_story(words);
  }

  Result<NeedleTask> make() {
    Random random(Random::mix(request_.seed ^ 0xEA2'11E2)), names(Random::mix(request_.seed ^ 0xF11'E5));
    Files files(names, request_.split, story_);
    size_t count = kFewestFiles;
    QUERN_TRY(build(files.first(count)));
    if (task_.tokens >= request_.length) return std::move(task_);
    QUERN_TRY(add_earlier_turns(random, request_.depth * static_cast<double>(request_.length - task_.tokens)));
    QUERN_TRY(build(files.first(count)));
    const auto tokens_with = [&](size_t more) -> Result<int64_t> {
      QUERN_TRY(build(files.first(more)));
      return task_.tokens;
    };
    const auto least = static_cast<double>(task_.tokens);
    QUERN_ASSIGN(const int64_t sample, tokens_with(count + 16));
    const double each = (static_cast<double>(sample) - least) / 16;
    const double room = static_cast<double>(request_.length) - least;
    count += room > 0 ? static_cast<size_t>(room / each) : 0;
    QUERN_TRY(build(files.first(count)));
    // Names differ in length: one file more or less until the next would be too much.
    while (task_.tokens > request_.length && count > kFewestFiles) {
      QUERN_TRY(build(files.first(--count)));
    }
    for (;;) {
      NeedleTask fits = task_;
      QUERN_TRY(build(files.first(count + 1)));
      if (task_.tokens > request_.length) return fits;
      ++count;
    }
  }

 private:
  // Whole episodes, as long as they fit: one that does not is left out, and a shorter one may follow.
  Result<void> add_earlier_turns(Random& random, double budget) {
    Conversation one;
    one.add_generation_prompt = false;
    for (int64_t misses = 0; misses < 12;) {
      one.messages = earlier_turns(random, request_.split);
      QUERN_ASSIGN(const int64_t tokens, count_tokens(one, request_.format, tokenizer_));
      if (static_cast<double>(tokens) > budget) {
        ++misses;
        continue;
      }
      budget -= static_cast<double>(tokens);
      earlier_.insert(earlier_.end(), one.messages.begin(), one.messages.end());
    }
    return {};
  }

  Result<void> build(const std::vector<std::string>& names) {
    FileWorld world;
    for (const std::string& name : names) world.add_file(name, "");
    Random random(Random::mix(request_.seed ^ 0x5CE'4E));
    FileScene scene(random, request_.split, std::move(world));
    scene.user(story_.request);
    scene.call("list_files", arguments({{"folder", "."}}));
    const auto move = [&](const std::string& name) {
      const auto kind =
          std::find(story_.extensions.begin(), story_.extensions.end(), extension_of(name)) - story_.extensions.begin();
      return ToolCall{"move_file", arguments({{"from", name}, {"to", in_folder(story_.folders[static_cast<size_t>(kind)], name)}})};
    };
    for (size_t i = 0; i + 1 < names.size(); ++i) scene.call(move(names[i]));
    task_.call = move(names.back());
    task_.needle = fmt::format("- {} files: {}", story_.extensions[0], story_.folders[0]);
    task_.value = story_.folders[0];
    task_.conversation = std::move(scene).finish("needle").conversation;
    task_.conversation.add_generation_prompt = true;
    std::vector<Message>& messages = task_.conversation.messages;
    const auto request = std::find_if(messages.begin(), messages.end(), [](const Message& m) { return m.role == Role::user; });
    messages.insert(request, earlier_.begin(), earlier_.end());
    QUERN_ASSIGN(task_.tokens, count_tokens(task_.conversation, request_.format, tokenizer_));
    return {};
  }

  const NeedleRequest& request_;
  const Tokenizer& tokenizer_;
  Random story_random_;
  Story story_;
  std::vector<Message> earlier_;
  NeedleTask task_;
};

}  // namespace

Result<NeedleTask> make_tools_needle(const NeedleRequest& request, const Tokenizer& tokenizer) {
  return ToolsNeedle(request, tokenizer).make();
}

}  // namespace quern
