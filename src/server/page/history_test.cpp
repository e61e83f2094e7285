#include "server/page/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/temporary_folder_test.h"

namespace quern {
namespace {

Json text_part(std::string_view text) {
  Json part = Json::object();
  part["type"] = "text";
  part["text"] = text;
  return part;
}

PageMessage said(std::optional<int64_t> parent, Role role, const std::string& text) {
  PageMessage message;
  message.parent = parent;
  message.role = role;
  message.parts.push_back(text_part(text));
  Message words;
  words.role = role;
  words.content = text;
  message.messages.push_back(words);
  return message;
}

TEST(PageHistory, AConversationIsATreeOfMessages) {
  auto history = *PageHistory::open({});
  const int64_t id = *history->create(Json::object());
  const int64_t question = *history->add(id, said({}, Role::user, "What is a quern?"));
  const int64_t first = *history->add(id, said(question, Role::assistant, "A mill."));
  const int64_t second = *history->add(id, said(question, Role::assistant, "A hand mill."));
  const auto conversation = history->get(id);
  ASSERT_TRUE(conversation.has_value());
  EXPECT_EQ(conversation->leaf, second);
  const auto path = conversation->path_to(first);
  ASSERT_EQ(path.size(), 2u);
  EXPECT_EQ(path[0]->id, question);
  EXPECT_EQ(path[1]->messages[0].content, "A mill.");
  EXPECT_EQ(conversation->path_to({}).size(), 0u);
}

TEST(PageHistory, AMessageBelongsToOneConversation) {
  auto history = *PageHistory::open({});
  const int64_t a = *history->create(Json::object()), b = *history->create(Json::object());
  const int64_t question = *history->add(a, said({}, Role::user, "hello"));
  EXPECT_EQ(history->add(b, said(question, Role::assistant, "hi")).error().code, Errc::not_found);
  EXPECT_EQ(history->add(99, said({}, Role::user, "hi")).error().code, Errc::not_found);
  EXPECT_EQ(history->change(b, {.title = {}, .settings = {}, .leaf = question}).error().code, Errc::not_found);
  EXPECT_TRUE(history->get(b)->nodes.empty());
}

TEST(PageHistory, AForkHasThePathAlone) {
  auto history = *PageHistory::open({});
  const int64_t id = *history->create(Json::object());
  const int64_t question = *history->add(id, said({}, Role::user, "one"));
  const int64_t answer = *history->add(id, said(question, Role::assistant, "two"));
  ASSERT_TRUE(history->add(id, said(question, Role::assistant, "another")).has_value());
  ASSERT_TRUE(history->add(id, said(answer, Role::user, "later")).has_value());
  const auto copy = history->get(*history->fork(id, answer));
  ASSERT_TRUE(copy.has_value());
  ASSERT_EQ(copy->nodes.size(), 2u);
  EXPECT_NE(copy->nodes[0].id, question);
  EXPECT_EQ(copy->nodes[1].parent, copy->nodes[0].id);
  EXPECT_EQ(copy->leaf, copy->nodes[1].id);
  EXPECT_EQ(history->get(id)->nodes.size(), 4u);
  EXPECT_EQ(history->fork(id, 12345).error().code, Errc::not_found);
}

TEST(PageHistory, SearchLooksAtTitlesAndWords) {
  auto history = *PageHistory::open({});
  const int64_t a = *history->create(Json::object()), b = *history->create(Json::object());
  ASSERT_TRUE(history->add(a, said({}, Role::user, "the price of 100% rye")).has_value());
  ASSERT_TRUE(history->add(b, said({}, Role::user, "barley")).has_value());
  ASSERT_TRUE(history->change(b, {.title = "Grain", .settings = {}, .leaf = {}}).has_value());
  const auto found = [&](std::string_view query) {
    std::vector<int64_t> ids;
    const auto all = history->list(query);
    for (const auto& one : *all) ids.push_back(one.id);
    return ids;
  };
  EXPECT_THAT(found(""), testing::ElementsAre(b, a));
  EXPECT_THAT(found("grain"), testing::ElementsAre(b));
  EXPECT_THAT(found("0% r"), testing::ElementsAre(a));
  EXPECT_THAT(found("_"), testing::IsEmpty());  // is no pattern
}

TEST(PageHistory, SurvivesTheProcessAndRefusesWhatIsNone) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "page" / "conversations.db";
  int64_t id = 0;
  {
    auto history = *PageHistory::open(file);
    id = *history->create(Json::object());
    ASSERT_TRUE(history->add(id, said({}, Role::user, "kept")).has_value());
  }
  EXPECT_EQ((*PageHistory::open(file))->get(id)->nodes.at(0).messages.at(0).content, "kept");
  const auto other = folder.path() / "other.db";
  ASSERT_TRUE(SqlDatabase::open(other, SqlDatabase::Mode::create)->execute("CREATE TABLE x(y)").has_value());
  EXPECT_EQ(PageHistory::open(other).error().code, Errc::malformed);
}

TEST(PageHistory, RemovingTakesALongConversationWithIt) {
  auto history = *PageHistory::open({});
  const int64_t id = *history->create(Json::object());
  std::optional<int64_t> last;
  for (int i = 0; i < 1500; ++i) last = *history->add(id, said(last, i % 2 ? Role::assistant : Role::user, "m"));
  ASSERT_TRUE(history->remove(id).has_value());
  EXPECT_EQ(history->get(id).error().code, Errc::not_found);
  EXPECT_EQ(history->remove(id).error().code, Errc::not_found);
}

}  // namespace
}  // namespace quern
