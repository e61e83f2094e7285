#include "eval/scene.h"

#include <algorithm>
#include <array>

namespace quern {

Scene::Scene(Random& random, Split split, std::vector<Json> tools, std::unique_ptr<World> world)
    : words(random, split), tools_(std::move(tools)), start_(world->clone()), world_(std::move(world)) {}

void Scene::user(std::string text) { conversation_.messages.push_back({.role = Role::user, .content = std::move(text)}); }

std::string Scene::call(std::string_view tool, Json arguments) { return call(ToolCall{std::string(tool), std::move(arguments)}); }
std::string Scene::call(const ToolCall& one, std::string said) { return parallel({one}, std::move(said)).front(); }

std::vector<std::string> Scene::parallel(const std::vector<ToolCall>& calls, std::string said) {
  Message turn{.role = Role::assistant, .content = std::move(said)};
  turn.tool_calls = calls;
  conversation_.messages.push_back(std::move(turn));
  std::vector<std::string> results;
  for (const ToolCall& one : calls) {
    results.push_back(world_->execute(one));
    conversation_.messages.push_back({.role = Role::tool, .content = results.back()});
    ++calls_;
  }
  return results;
}

void Scene::say(std::string text, std::vector<std::string> facts) {
  conversation_.messages.push_back({.role = Role::assistant, .content = std::move(text)});
  facts_ = std::move(facts);
}

ToolEpisode Scene::finish(std::string kind) && {
  if (!system_.empty()) conversation_.messages.insert(conversation_.messages.begin(), {.role = Role::system, .content = system_});
  conversation_.tools = std::move(tools_);
  conversation_.add_generation_prompt = false;
  return {std::move(kind), std::move(conversation_), calls_, std::move(start_), world_->state(), std::move(facts_)};
}

Json arguments(std::initializer_list<std::pair<std::string_view, Json>> members) {
  Json object = Json::object();
  for (const auto& [name, value] : members) object.as_object().emplace_back(std::string(name), value);
  return object;
}

namespace {

// Swaps or doubles one letter in a word of plain lower-case letters of the request's first few words: values stay as they are.
void mistype(Words& words, std::string& text) {
  constexpr std::string_view kCommon[] = {"please", "folder", "could",  "would", "files", "every", "create",
                                          "delete", "rename", "called", "there", "their", "which"};
  for (const std::string_view word : kCommon) {
    const size_t at = text.find(word);
    if (at == std::string::npos) continue;
    const size_t i = at + 1 + words.random().below(word.size() - 2);
    if (words.chance(0.5))
      std::swap(text[i], text[i + 1]);
    else
      text.insert(i, 1, text[i]);
    return;
  }
}

}  // namespace

std::string spoken(Words& words, std::string text) {
  const auto lower_first = [](std::string s) {
    if (s.size() > 1 && !(s[1] >= 'A' && s[1] <= 'Z')) s[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(s[0])));
    return s;
  };
  const bool question = text.ends_with('?');
  // "Can you" and its like go before an imperative only.
  constexpr std::array<std::string_view, 19> kOtherwise = {"I ",     "We ",    "The ",   "This ",      "Please ", "Go ",    "You ",
                                                           "Every ", "Each ",  "Since ", "Somewhere ", "It ",     "There ", "My ",
                                                           "Next ",  "Begin ", "New ",   "With ",      "All "};
  const bool imperative =
      std::none_of(kOtherwise.begin(), kOtherwise.end(), [&](std::string_view start) { return text.starts_with(start); });
  if (!question && imperative && words.chance(0.45)) {
    const std::string_view form =
        words.pick({"Please {0}", "Can you {0}", "Could you {0}", "Could you please {0}", "I want you to {0}", "I need you to {0}",
                    "Hi, {0}", "Hello! Please {0}", "Would you {0}", "Hey, can you {0}", "I would like you to {0}",
                    "Your task: {0}", "Kindly {0}", "Next, {0}", "Now {0}", "{0}"});
    text = fill(form, {lower_first(text)});
    if ((form.find("an you") != std::string_view::npos || form.find("ould you") != std::string_view::npos) && text.ends_with('.') &&
        words.chance(0.8))
      text.back() = '?';
  } else if (question && words.chance(0.3)) {
    text = fill(words.pick({"Quick question: {0}", "Please tell me: {0}", "Hi! {0}", "Can you check: {0}", "Tell me, {0}"}),
                {lower_first(text)});
  }
  if (words.chance(0.12))
    text = std::string(words.pick({"I am cleaning up today. ", "I need some help here. ", "We have little time. ", "Good morning! ",
                                   "I just came back from a trip. ", "One more thing. ", "My desk is a mess. ",
                                   "This is for my boss. ", "Okay. ", "Let's go on. "})) +
           text;
  if (words.chance(0.12))
    text += words.pick({" Thanks!", " Thank you.", " That would be great.", " It is important.", " Take your time.",
                        " Thanks in advance!", " Tell me when you are done.", " Nothing else."});
  if (words.chance(0.12)) text = lower_first(text);
  if (words.chance(0.12) && text.ends_with('.')) text.pop_back();
  if (words.chance(0.05)) mistype(words, text);
  return text;
}

std::string script(Words& words, const std::vector<std::string>& requests) {
  if (requests.size() == 1) return spoken(words, requests[0] + ".");
  const auto lower_first = [](std::string s) {
    s[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(s[0])));
    return s;
  };
  std::string text;
  const int64_t style = words.between(0, requests.size() > 3 ? 4 : 6);
  if (style <= 2) {
    text = std::string(words.pick(
        {"Please do the following, in this order:", "Here is what I need:", "Do these things one after the other:",
         "My list for today:", "Carry out these steps:", "Work through this list from top to bottom:", "Can you do this for me?",
         "To do:", "These are your tasks:", "Please take care of the following:"}));
    for (size_t i = 0; i < requests.size(); ++i)
      text += style == 0   ? fmt::format("\n{}. {}", i + 1, requests[i])
              : style == 1 ? "\n- " + requests[i]
                           : fmt::format("\n{}) {}.", i + 1, requests[i]);
    if (words.chance(0.2))
      text += words.pick(
          {"\nThanks!", "\nKeep to the order.", "\nTell me when it is all done.", "\nThat is all.", "\nPlease leave nothing out."});
    return text;
  }
  if (style == 3) {
    for (size_t i = 0; i < requests.size(); ++i) text += (i ? " " : "") + requests[i] + ".";
    return spoken(words, text);
  }
  if (style == 4) {
    for (size_t i = 0; i < requests.size(); ++i)
      text += i == 0 ? (words.chance(0.7) ? "First " : "First, ") + lower_first(requests[i]) + "."
                     : " " +
                           std::string(i + 1 == requests.size()
                                           ? words.pick({"Finally ", "Finally, ", "Last, ", "And then ", "At the end "})
                                           : words.pick({"Then ", "After that, ", "Next, ", "Then please ", "Now "})) +
                           lower_first(requests[i]) + ".";
    return text;
  }
  for (size_t i = 0; i < requests.size(); ++i)
    text += i == 0 ? requests[i]
                   : (i + 1 == requests.size() ? words.chance(0.5) ? " and then " : " and " : ", ") + lower_first(requests[i]);
  return spoken(words, text + ".");
}

void play(Scene& scene, const std::vector<SceneStep>& steps) {
  std::vector<std::string> requests;
  for (const SceneStep& step : steps) requests.push_back(step.request);
  scene.user(script(scene.words, requests));
  for (const SceneStep& step : steps) scene.call(step.call, steps.size() > 1 ? step.request + "." : "");
  if (steps.size() == 1) {
    scene.say(steps[0].report);
  } else if (steps.size() <= 4) {
    std::string text = "Done.";
    for (const SceneStep& step : steps) text += " " + step.report;
    scene.say(text);
  } else {
    scene.say(steps.size() <= 9 ? fmt::format("Done. All {} steps are finished.", steps.size()) : "Done. All steps are finished.");
  }
}

}  // namespace quern
