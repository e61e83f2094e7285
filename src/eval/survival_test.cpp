#include "eval/survival.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "eval/survival_chart.h"

namespace quern {
namespace {

ToolScores scores_of(std::vector<EpisodeOutcome> outcomes) {
  ToolScores scores;
  scores.outcomes = std::move(outcomes);
  return scores;
}

std::string call(const ToolCall& call) {
  Json object = Json::object();
  object["name"] = call.name;
  object["arguments"] = call.arguments;
  return "<tool_call>\n" + object.dump() + "\n</tool_call>";
}

constexpr std::string_view kMalformed = "<tool_call>\n{\"name\": \"no_such_tool\", \"arguments\": {}}\n</tool_call>";

// A chain of single calls, and what the expert says turn by turn.
struct Chain {
  ToolEpisode episode;
  std::vector<std::string> replies;
};

Chain chain_of(int64_t length) {
  for (uint64_t seed = 1;; ++seed) {
    Chain chain{.episode = make_episode(Suite::chain, Split::held_out, length, seed), .replies = {}};
    int64_t users = 0, most = 0;
    for (const Message& message : chain.episode.conversation.messages) {
      users += message.role == Role::user ? 1 : 0;
      most = std::max(most, static_cast<int64_t>(message.tool_calls.size()));
      if (message.role == Role::assistant)
        chain.replies.push_back(message.tool_calls.empty() ? message.content : call(message.tool_calls[0]));
    }
    if (users == 1 && most == 1) return chain;
  }
}

// What became of the chain when these were the replies; past their end the context is full.
ToolScores play(const Chain& chain, const std::vector<std::string>& replies) {
  size_t at = 0;
  return play_episode(chain.episode,
                      [&](const Conversation&) -> Result<std::string> {
                        if (at == replies.size()) return fail(Errc::out_of_range, "full");
                        return replies[at++];
                      })
      ->scores;
}

TEST(Survival, CountsRightCallsUpToTheFirstDifferenceAndCallsBeforeTheFirstMalformedOne) {
  const Chain chain = chain_of(5);
  ToolScores all = play(chain, chain.replies);
  auto malformed_third = chain.replies;
  malformed_third.insert(malformed_third.begin() + 2, std::string(kMalformed));
  all.add(play(chain, malformed_third));
  auto wrong_then_malformed = chain.replies;
  wrong_then_malformed[1] = wrong_then_malformed[0];
  wrong_then_malformed[3] = kMalformed;
  all.add(play(chain, wrong_then_malformed));
  all.add(play(chain, {chain.replies.begin(), chain.replies.begin() + 4}));  // cut before the fifth call
  EXPECT_EQ(all.cut, 1);
  EXPECT_EQ(all.malformed, 2);

  const SurvivalCurve curve = survival_curve(all);
  EXPECT_EQ(curve.length(), 5);
  EXPECT_EQ(curve.exact, (std::vector<double>{1, 1, 0.75, 0.5, 0.5, 0.25}));
  EXPECT_EQ(curve.well_formed, (std::vector<double>{1, 1, 1, 0.75, 0.5, 0.5}));
  EXPECT_EQ(curve.complete, 0.25);
}

TEST(Survival, ACallWithoutItsOpenerIsMalformed) {
  const Chain chain = chain_of(3);
  const std::string opener = "<tool_call>\n";
  const ToolScores scores = play(chain, {chain.replies[0], chain.replies[1].substr(opener.size())});
  EXPECT_EQ(survival_curve(scores).well_formed, (std::vector<double>{1, 1, 0, 0}));
}

TEST(Survival, AnAnswerThatLacksWhatItMustNameSurvivesItsCallsOnly) {
  Chain chain = chain_of(3);
  chain.episode.facts = {"what nobody says"};
  const SurvivalCurve curve = survival_curve(play(chain, chain.replies));
  EXPECT_EQ(curve.exact.back(), 1);
  EXPECT_EQ(curve.complete, 0);
}

TEST(Survival, AShortEpisodeIsJudgedByTheCallsItHas) {
  const SurvivalCurve curve = survival_curve(scores_of({{.expected = 1, .right = 1, .before_malformed = {}, .complete = true},
                                                        {.expected = 4, .right = 2, .before_malformed = {}, .complete = false}}));
  EXPECT_EQ(curve.exact, (std::vector<double>{1, 1, 1, 0.5, 0.5}));
  EXPECT_EQ(curve.exact_at(100), 0.5);
}

std::vector<NamedCurve> two_curves() {
  return {{"held", survival_curve(scores_of({{.expected = 12, .right = 12, .before_malformed = {}, .complete = true},
                                             {.expected = 12, .right = 4, .before_malformed = {}, .complete = false}}))},
          {"a<b> & \"free\"", survival_curve(scores_of({{.expected = 12, .right = 3, .before_malformed = 9, .complete = false}}))}};
}

TEST(Survival, TextHasTheCurvesSideBySide) {
  const auto curves = two_curves();
  EXPECT_EQ(survival_text(curves),
            "                held                                 a<b> & \"free\"\n"
            "first n calls   all exact           none malformed   all exact           none malformed\n"
            "            1   ██████████ 100.0 %         100.0 %   ██████████ 100.0 %         100.0 %\n"
            "            2   ██████████ 100.0 %         100.0 %   ██████████ 100.0 %         100.0 %\n"
            "            3   ██████████ 100.0 %         100.0 %   ██████████ 100.0 %         100.0 %\n"
            "            5   █████       50.0 %         100.0 %                0.0 %         100.0 %\n"
            "            8   █████       50.0 %         100.0 %                0.0 %         100.0 %\n"
            "           10   █████       50.0 %         100.0 %                0.0 %           0.0 %\n"
            "           12   █████       50.0 %         100.0 %                0.0 %           0.0 %\n"
            "   and answer   █████       50.0 %                                0.0 %\n");
  EXPECT_EQ(survival_text(std::span(curves).first(1)).find("held"), std::string::npos);  // nothing to tell apart
}

TEST(Survival, BarsShowEighths) {
  const auto curve = [](int64_t right, int64_t all) {
    std::vector<EpisodeOutcome> outcomes(static_cast<size_t>(all),
                                         {.expected = 1, .right = 0, .before_malformed = {}, .complete = false});
    for (int64_t i = 0; i < right; ++i) outcomes[static_cast<size_t>(i)].right = 1;
    return std::vector<NamedCurve>{{"", survival_curve(scores_of(std::move(outcomes)))}};
  };
  EXPECT_NE(survival_text(curve(1, 80)).find("1   ▏            1.2 %"), std::string::npos) << survival_text(curve(1, 80));
  EXPECT_NE(survival_text(curve(79, 80)).find("1   █████████▉  98.8 %"), std::string::npos) << survival_text(curve(79, 80));
}

TEST(Survival, JsonHasOneShareForEachN) {
  const SurvivalCurve curve = survival_curve(scores_of({{.expected = 2, .right = 2, .before_malformed = {}, .complete = true},
                                                        {.expected = 2, .right = 1, .before_malformed = 0, .complete = false}}));
  EXPECT_EQ(survival_json(curve).dump(), R"({"exact": [1, 1, 0.5], "well_formed": [1, 0.5, 0.5], "complete": 0.5})");
}

// Every element is closed where XML wants it, and nothing stands bare in text or attributes. A "<" in an attribute would be found as a tag
// within a tag.
void expect_well_formed(std::string_view xml) {
  std::vector<std::string> open;
  for (size_t at = xml.find('<'), end = 0; at != std::string_view::npos; at = xml.find('<', end)) {
    EXPECT_EQ(xml.substr(end, at - end).find('>'), std::string_view::npos);
    const size_t close = xml.find('>', at);
    ASSERT_NE(close, std::string_view::npos);
    std::string_view tag = xml.substr(at + 1, close - at - 1);
    end = close + 1;
    ASSERT_EQ(tag.find('<'), std::string_view::npos) << tag;
    EXPECT_EQ(std::count(tag.begin(), tag.end(), '"') % 2, 0) << tag;
    if (tag.starts_with('/')) {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(open.back(), tag.substr(1));
      open.pop_back();
    } else if (!tag.ends_with('/')) {
      open.emplace_back(tag.substr(0, tag.find(' ')));
    }
  }
  EXPECT_TRUE(open.empty());
  for (size_t at = xml.find('&'); at != std::string_view::npos; at = xml.find('&', at + 1)) {
    const auto is = [&](std::string_view entity) { return xml.substr(at, entity.size()) == entity; };
    EXPECT_TRUE(is("&amp;") || is("&lt;") || is("&gt;") || is("&quot;")) << xml.substr(at, 20);
  }
}

TEST(SurvivalChart, IsXmlWithALinePairForEachCurve) {
  const auto curves = two_curves();
  const std::string svg = survival_svg("Chains <of> 12 & more", curves);
  expect_well_formed(svg);
  EXPECT_EQ(svg, survival_svg("Chains <of> 12 & more", curves));
  EXPECT_NE(svg.find("a&lt;b&gt; &amp; &quot;free&quot;: none malformed, 0.0 % to the end"), std::string::npos);
  EXPECT_NE(svg.find("held: all exact, 50.0 % with the answer"), std::string::npos);
  EXPECT_EQ(svg.find("http", svg.find("http") + 1), std::string::npos);  // the name of SVG, and nothing to load
  // Of two episodes one breaks at the fifth of twelve calls: half way down, there.
  EXPECT_NE(svg.find(R"(<path class="exact colour0" stroke-width="5" d="M56.0 64.0H332.9V214.0H776.0"/>)"), std::string::npos)
      << svg;
  EXPECT_NE(svg.find(R"(<path class="well-formed colour0" stroke-width="5" d="M56.0 64.0H776.0"/>)"), std::string::npos);
}

TEST(SurvivalChart, HasFewTicksOnLongChains) {
  EpisodeOutcome outcome{.expected = 60, .right = 60, .before_malformed = {}, .complete = true};
  const std::vector<NamedCurve> curves = {{"long", survival_curve(scores_of({outcome}))}};
  const std::string svg = survival_svg("Long", curves);
  EXPECT_NE(svg.find(">60</text>"), std::string::npos);
  EXPECT_EQ(svg.find(">61</text>"), std::string::npos);
  EXPECT_EQ(svg.find(">7</text>"), std::string::npos);
}

}  // namespace
}  // namespace quern
