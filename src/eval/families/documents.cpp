// Questions about documents, as `quern ask` puts them: the expert copies the lines that say it, and answers with their numbers.
#include <array>

#include "base/digest.h"
#include "eval/families/families.h"
#include "text/document_prompt.h"

namespace quern {
namespace {

struct Fact {
  std::string field, subject, value, line, document;
};

struct Page {
  std::string name, text;
};

std::string fact_value(Words& words) {
  switch (words.between(0, 4)) {
    case 0:
      return words.person();
    case 1:
      return words.money();
    case 2:
      return words.proper(pools::cities);
    case 3:
      return words.code();
    default:
      return words.number(9999);
  }
}

Fact make_fact(Words& words, const std::vector<Fact>& others) {
  for (;;) {
    Fact fact;
    fact.field = words.pick(pools::fields);
    fact.subject = words.chance(0.5) ? words.proper(pools::projects) : words.proper(pools::companies);
    const auto same = [&](const Fact& other) { return other.field == fact.field && other.subject == fact.subject; };
    if (std::any_of(others.begin(), others.end(), same)) continue;
    fact.value = fact_value(words);
    fact.line =
        fill(words.pick({"The {0} of {1} is {2}.", "{1} has the {0} {2}.", "For {1}, the {0} is {2}.", "{1}: {0} {2}",
                         "As {0} of {1} we have {2}.", "{0} of {1}: {2}", "{1}, {0}: {2}", "We noted {2} as the {0} of {1}."}),
             {fact.field, fact.subject, fact.value});
    return fact;
  }
}

// Pages of which each has some of the facts, among sentences that say nothing of them.
std::vector<Page> make_pages(Words& words, std::vector<Fact>& facts) {
  std::vector<Page> pages;
  size_t at = 0;
  for (const auto n = static_cast<size_t>(words.between(1, 3)); pages.size() < n;) {
    const std::string name = words.file_stem() + (words.chance(0.5) ? ".md" : ".txt");
    if (std::any_of(pages.begin(), pages.end(), [&](const Page& page) { return page.name == name; })) continue;
    Page page{name, words.chance(0.3) ? "# " + capitalised(words.word()) + "\n\n" : ""};
    const size_t last = pages.size() + 1 == n ? facts.size() : std::min(facts.size(), at + facts.size() / n);
    for (; at < last; ++at) {
      if (words.chance(0.6)) page.text += words.sentence() + "\n";
      page.text += facts[at].line + "\n";
      facts[at].document = name;
    }
    page.text += words.sentence() + "\n";
    pages.push_back(std::move(page));
  }
  return pages;
}

std::string prompt_of(const std::vector<Page>& pages, std::string_view question) {
  std::string all, text;
  for (const Page& page : pages) all += page.name + "\n" + sha256_hex(page.text) + "\n";
  const std::string mark = document_prompt::mark_for(all);
  for (const Page& page : pages) {
    document_prompt::begin_document(text, mark, page.name);
    document_prompt::add_part(text, page.text, 0, false);
    document_prompt::end_document(text, mark, false);
  }
  return text + document_prompt::question(question);
}

Json quote_of(const Fact& fact) { return arguments({{"document", fact.document}, {"text", fact.line}}); }

ToolEpisode answer_from_documents(Random& random, Split split, int64_t) {
  Scene scene(random, split, {}, std::make_unique<FileWorld>());
  Words& words = scene.words;
  std::vector<Fact> facts;
  for (int64_t i = 0, n = words.between(3, 8); i < n; ++i) facts.push_back(make_fact(words, facts));
  const std::vector<Page> pages = make_pages(words, facts);
  const auto asked = [&](const Fact& fact) {
    return fill(
        words.pick({"What is the {0} of {1}?", "Which {0} does {1} have?", "Tell me the {0} of {1}.", "I need the {0} of {1}.",
                    "Find out the {0} of {1}.", "{1}: what is its {0}?", "Look up the {0} of {1}."}),
        {fact.field, fact.subject});
  };
  scene.system(std::string(document_prompt::kInstruction));
  Json answer = Json::object();
  answer["quotes"] = Json::array();
  if (words.chance(0.2)) {  // nobody says it
    scene.user(prompt_of(pages, asked(make_fact(words, facts))));
    answer["answer"] = "The documents do not say.";
    scene.say(answer.dump(), {"\"quotes\": []", "do not say"});
    return std::move(scene).finish("document_silent");
  }
  const Fact& one = facts[words.random().below(facts.size())];
  const Fact& two = facts[words.random().below(facts.size())];
  const bool both = words.chance(0.3) && &one != &two;
  scene.user(prompt_of(pages, asked(one) + (both ? " " + asked(two) : "")));
  std::string text;
  std::vector<std::string> needed;
  for (const Fact* fact : both ? std::vector{&one, &two} : std::vector{&one}) {
    answer["quotes"].push_back(quote_of(*fact));
    text += fmt::format("{}The {} of {} is {} [{}].", text.empty() ? "" : " ", fact->field, fact->subject, fact->value,
                        answer["quotes"].size());
    needed.push_back(quote_of(*fact).dump());
    needed.push_back(fmt::format("{} [{}]", fact->value, answer["quotes"].size()));
  }
  answer["answer"] = text;
  scene.say(answer.dump(), needed);
  return std::move(scene).finish(both ? "document_two_facts" : "document_fact");
}

constexpr std::array<Family, 1> kFamilies = {{{"document_fact", 1, answer_from_documents}}};

}  // namespace

std::span<const Family> document_families() { return kFamilies; }

}  // namespace quern
