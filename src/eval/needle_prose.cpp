// The haystack of prose: sentences from templates, in paragraphs. None has a number of more than two digits, which the needle's has seven of.
#include <algorithm>
#include <array>

#include "eval/needle.h"

namespace quern {
namespace {

constexpr int64_t kParagraph = 6;  // sentences

std::string sentence(Words& words) {
  constexpr std::array<std::string_view, 24> kForms = {
      "{0} took the early train to {1} and left the {2} {3} on the seat.",
      "In {4} the market of {1} sells little but a {2} {3} and some bread.",
      "Nobody at {6} could say where the {3} had been kept before.",
      "It rained for {5} days, and the road to {1} was closed.",
      "{0} repaired the {3} in an afternoon and asked for nothing in return.",
      "The library in {1} opens late, since {0} has to walk there from the station.",
      "A {2} {3} stood in the hall for {5} years before anybody noticed it.",
      "When {0} came back from {1}, the garden had grown over the wall.",
      "They talked about the {3} until the candles were low.",
      "{6} moved its office to {1}, where the rent is lower and the winters are longer.",
      "The children counted {5} boats on the river and gave each of them a name.",
      "{0} prefers the {2} {3} to the one that was bought in {1}.",
      "By {4} the harvest was in, and the mill worked through the night.",
      "There was a letter from {1}, but {0} did not open it until the evening.",
      "The bridge near {1} carries a path, a railway and a pipe for water.",
      "On the table lay a {3}, a map of {1} and {5} pencils.",
      "{0} learned to bake from a neighbour who never weighed anything.",
      "In the museum of {1} a {2} {3} is shown behind glass.",
      "The bus was late again, so {0} read the notice about the {3} twice.",
      "Each {4} the choir of {1} sings in the old station.",
      "{6} had ordered {5} of them, and a {2} {3} came instead.",
      "The path goes uphill for a while, passes a {3} and ends at a gate.",
      "{0} and a friend from {1} painted the door and forgot the windows.",
      "What became of the {2} {3} is told differently in every village."};
  return fill(words.random().pick(kForms),
              {words.person(), words.pick(pools::cities), words.pick(pools::adjectives), words.pick(pools::nouns),
               words.pick(pools::months), std::to_string(words.between(2, 40)), words.pick(pools::companies)});
}

// Sentences are made as they are wanted; a trial's are the same whatever the length.
struct Haystack {
  Words& words;
  std::vector<std::string> sentences;

  std::string text(size_t count, double depth, const std::string& needle) {
    while (sentences.size() < count) sentences.push_back(sentence(words));
    const auto before = static_cast<size_t>(depth * static_cast<double>(count) + 0.5);
    std::string out;
    for (size_t i = 0; i <= count; ++i) {
      if (i > 0) out += i % kParagraph == 0 ? "\n\n" : " ";
      out += i == before ? needle : sentences[i < before ? i : i - 1];
    }
    return out;
  }
};

}  // namespace

Result<NeedleTask> make_prose_needle(const NeedleRequest& request, const Tokenizer& tokenizer) {
  Random random(Random::mix(request.seed ^ 0x9E0'5E)), filler_random(Random::mix(request.seed ^ 0xF11'1E));
  Words words(random, request.split), filler_words(filler_random, request.split);
  NeedleTask task;
  const std::string place = capitalised(words.made_up());
  task.value = std::to_string(words.between(1'000'000, 9'999'999));
  task.needle = fmt::format("The registration number of the lighthouse at {} is {}.", place, task.value);
  Haystack haystack{filler_words, {}};
  const auto build = [&](size_t sentences) -> Result<void> {
    task.conversation.messages = {
        {.role = Role::user,
         .content = fmt::format("Read this text. A question about it follows at the end.\n\n{}\n\nThe text "
                                "ends here. What is the registration number of the lighthouse at {}? "
                                "Answer with the number alone.",
                                haystack.text(sentences, request.depth, task.needle), place)}};
    QUERN_ASSIGN(task.tokens, count_tokens(task.conversation, request.format, tokenizer));
    return {};
  };
  QUERN_TRY(build(0));
  if (task.tokens >= request.length) return task;
  // Tokens grow nearly in proportion to sentences: a guess from what is there, corrected until the next sentence would be too much.
  const int64_t bare = task.tokens;
  constexpr size_t kSample = 32;
  QUERN_TRY(build(kSample));
  const double each = static_cast<double>(task.tokens - bare) / kSample;
  auto count = static_cast<size_t>(static_cast<double>(request.length - bare) / each);
  QUERN_TRY(build(count));
  while (task.tokens > request.length && count > 0) {
    const auto excess = static_cast<size_t>(static_cast<double>(task.tokens - request.length) / each) + 1;
    count -= std::min(count, excess);
    QUERN_TRY(build(count));
  }
  const auto missing = static_cast<size_t>(static_cast<double>(request.length - task.tokens) / (1.5 * each));
  if (missing == 0) return task;
  const NeedleTask shorter = task;
  QUERN_TRY(build(count + missing));
  return task.tokens <= request.length ? std::move(task) : shorter;
}

}  // namespace quern
