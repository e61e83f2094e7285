// Talk that needs no tool: greetings, thanks, what quern is and can do.
#include <array>

#include "eval/families/families.h"
#include "eval/record_world.h"

namespace quern {
namespace {

struct Exchange {
  std::vector<std::string_view> questions;
  std::string_view answer;
};

const std::vector<Exchange>& exchanges() {
  static const std::vector<Exchange> all = {
      {{"Hello", "Hi", "Hello!", "Hi there", "Good morning", "Hey", "Good evening!", "hello", "hi!", "Hallo"},
       "Hello! What can I do for you?"},
      {{"Thank you", "Thanks!", "Thanks, that was helpful", "Great, thank you", "Thank you very much!", "thanks", "Perfect, thanks",
        "Well done, thank you"},
       "You are welcome."},
      {{"Who are you?", "What are you?", "What is your name?", "Tell me who you are", "Are you a human?", "who are you",
        "Introduce yourself", "Are you a robot?"},
       "I am quern's small built-in model. I carry out tasks with tools."},
      {{"How are you?", "How are you today?", "How is it going?", "Are you well?", "how are you", "How do you do?"},
       "I am fine, thank you. What can I do for you?"},
      {{"Goodbye", "Bye", "See you tomorrow", "Good night", "That is all for today", "Bye bye", "bye", "See you later"},
       "Goodbye!"},
      {{"How big are you?", "How many parameters do you have?", "Are you a large model?", "What is your size?",
        "How large are you?", "How small are you?"},
       "I am very small: 14 million parameters. I can carry out simple tasks with tools."},
      {{"What model are you?", "Which model is this?", "What architecture do you have?", "Which kind of model are you?",
        "What model do you use?", "Which model am I talking to?"},
       "I am pebble, a small model of the Qwen3-Next architecture, trained for calling tools."},
      {{"Tell me a joke", "Write me a poem", "What is the meaning of life?", "Who is the president?", "Explain physics to me",
        "Write a story about a cat", "What do you think about politics?", "What is the capital of France?",
        "How old is the universe?", "Write some code"},
       "I am a small model made for calling tools; I cannot help with that."},
  };
  return all;
}

std::string_view choose(Words& words, const std::vector<std::string_view>& options) {  // as Words::pick
  for (;;)
    if (const size_t i = words.random().below(options.size());
        options.size() < 5 || (i % 5 == 3) == (words.split() == Split::held_out))
      return options[i];
}

ToolEpisode talk(Random& random, Split split, int64_t) {
  Words words(random, split);
  FileScene scene(random, split, some_files(words, 3));
  if (words.chance(0.3)) scene.offer({});
  for (int64_t i = 0, n = words.chance(0.7) ? 1 : 2; i < n; ++i) {
    const Exchange& exchange = words.random().pick(exchanges());
    scene.user(std::string(choose(words, exchange.questions)));
    scene.say(std::string(exchange.answer));
  }
  return std::move(scene).finish("talk");
}

constexpr std::string_view kAbilities[] = {"What can you do?",
                                           "What are you able to do?",
                                           "How can you help me?",
                                           "Which tools do you have?",
                                           "What can you do for me?",
                                           "what can you do",
                                           "Help",
                                           "What are your tools?",
                                           "What do you know how to do?",
                                           "Tell me what you can do"};

ToolEpisode abilities(Random& random, Split split, int64_t) {
  Words words(random, split);
  const std::string question(choose(words, {std::begin(kAbilities), std::end(kAbilities)}));
  if (words.chance(0.6)) {
    FileScene scene(random, split, some_files(words, 3));
    scene.user(question);
    scene.say(
        "I work with the files in your folder: I can list, find, read, write, move, rename, copy and delete files, and make "
        "folders. Tell me what you need, for example: move all txt files to texts.");
    return std::move(scene).finish("abilities");
  }
  RecordWorld service = random_service(words, 1, 2);
  std::vector<std::string> names;
  for (const RecordTool& tool : service.tools) names.push_back(tool.name);
  Scene scene(random, split, definitions(service), std::make_unique<RecordWorld>(service));
  scene.user(question);
  scene.say(fmt::format("I can use these tools: {}.", listed(names)), {names[0]});
  return std::move(scene).finish("abilities");
}

constexpr std::array<Family, 2> kFamilies = {{{"talk", 2, talk}, {"abilities", 1, abilities}}};

}  // namespace

std::span<const Family> talk_families() { return kFamilies; }

}  // namespace quern
