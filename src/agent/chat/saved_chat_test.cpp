#include "agent/chat/saved_chat.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "agent/temporary_folder_test.h"
#include "base/file.h"

namespace quern {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

SavedChat some_chat() {
  SavedChat chat;
  chat.model = "models/pebble";
  chat.format = ChatFormat::thinking;
  chat.sampling = {.temperature = 0.7, .top_p = 0.9, .top_k = 20, .seed = 7};
  for (const Role role : {Role::system, Role::user, Role::assistant, Role::tool, Role::assistant}) {
    Message m;
    m.role = role;
    m.content = fmt::format("{} says \"`漢字`\"\n<|im_end|>", role_name(role));
    chat.messages.push_back(std::move(m));
  }
  chat.messages[2].reasoning = "Hm.";
  chat.messages[2].tool_calls = {{"read_file", *Json::parse(R"({"path": "a.txt", "n": 1.0})", "test")}};
  chat.messages[2].verbatim = "<tool_call>…";
  return chat;
}

TEST(SavedChats, ComeBackAsTheyWere) {
  const TemporaryFolder top;
  const ChatFolder folder(top.path() / "quern/chats");
  const SavedChat chat = some_chat();
  ASSERT_TRUE(folder.save("one", chat));
  ASSERT_TRUE(folder.save("two.2", chat));
  ASSERT_TRUE(write_file(top.path() / "quern/chats/.odd name.json", "{}"));
  EXPECT_THAT(folder.names(), ElementsAre("one", "two.2"));
  const auto back = folder.load("one");
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->to_json(), chat.to_json());
  EXPECT_EQ(back->messages[2].tool_calls[0].arguments, chat.messages[2].tool_calls[0].arguments);
  EXPECT_EQ(back->messages[2].verbatim, chat.messages[2].verbatim);
  EXPECT_EQ(back->sampling.temperature, 0.7);
  struct stat info{};
  ASSERT_EQ(::stat((top.path() / "quern/chats").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 077, 0U);
}

TEST(SavedChats, RefuseWhatDoesNotFollowTheForm) {
  const std::string good = some_chat().to_json();
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    const auto read = SavedChat::from_json(text, "x.json");
    return read ? std::string("taken") : read.error().message;
  };
  EXPECT_EQ(with("0.7", "0.8"), "taken");
  EXPECT_THAT(with("\"quern_chat\": 1", "\"quern_chat\": 2"), HasSubstr("newer quern"));
  EXPECT_THAT(with("\"quern_chat\": 1", "\"quern_chat\": \"1\""), HasSubstr("x.json: quern_chat: expected number"));
  EXPECT_THAT(with("\"quern_chat\": 1,", ""), HasSubstr("quern_chat: is missing"));
  EXPECT_THAT(with("\"role\": \"tool\"", "\"role\": \"root\""), HasSubstr("messages[3].role"));
  EXPECT_THAT(with("\"role\": \"user\"", "\"role\": \"system\""), HasSubstr("messages[1]: a system message"));
  EXPECT_THAT(with("\"role\": \"assistant\"", "\"role\": \"user\""), HasSubstr("messages[2].role: only an assistant"));
  EXPECT_THAT(with("\"name\": \"read_file\"", "\"name\": []"), HasSubstr("messages[2].tool_calls[0].name"));
  EXPECT_THAT(with("0.7", "-1"), HasSubstr("sampling.temperature"));
  EXPECT_THAT(with("0.9", "2"), HasSubstr("sampling.top_p"));
  EXPECT_THAT(with("\"thinking\"", "\"shouting\""), HasSubstr("format"));
  for (size_t size = 0; size < good.size() - 2; size += 7) EXPECT_FALSE(SavedChat::from_json(good.substr(0, size), "x.json"));
  for (const char* text : {"[]", "null", "3", "{\"quern_chat\": 1}", "{\"quern_chat\": 1e99}"})
    EXPECT_FALSE(SavedChat::from_json(text, "x.json"));
}

TEST(SavedChats, NamesArePathsToNowhere) {
  const TemporaryFolder top;
  const ChatFolder folder(top.path());
  for (const std::string& name : {std::string(""), std::string("../a"), std::string("a/b"), std::string(".a"), std::string("a b"),
                                  std::string("\x1b[2J"), std::string("a\0b", 3), std::string(65, 'a')}) {
    EXPECT_FALSE(folder.save(name, some_chat())) << name;
    EXPECT_FALSE(folder.load(name)) << name;
  }
  EXPECT_EQ(folder.load("none").error().code, Errc::not_found);
  EXPECT_EQ(ChatFolder::usual("/data", "/home/me")->file("a"), "/data/quern/chats/a.json");
  EXPECT_EQ(ChatFolder::usual("relative", "/home/me")->file("a"), "/home/me/.local/share/quern/chats/a.json");
  EXPECT_FALSE(ChatFolder::usual(nullptr, nullptr));
}

TEST(SavedChats, AreExportedWithFencesThatHold) {
  SavedChat chat = some_chat();
  chat.messages[3].content = "```\nnot the end\n````\x1b[2J";
  const std::string page = chat_markdown(chat.messages, "A chat");
  EXPECT_THAT(page, HasSubstr("# A chat\n\n## System\n"));
  EXPECT_THAT(page, HasSubstr("`````\n```\nnot the end\n````␛[2J\n`````\n"));
  EXPECT_THAT(page, HasSubstr("calls read_file\n\n```\n{\n  \"path\": \"a.txt\""));
}

}  // namespace
}  // namespace quern
