#include "formats/checkpoint.h"

#include "formats/temporary_folder_test.h"

namespace quern {
namespace {

// A shard with these one-byte tensors.
void write_shard(const TemporaryFolder& folder, const std::string& name, std::initializer_list<const char*> tensors) {
  std::vector<SafetensorsWriter::Entry> entries;
  for (const char* tensor : tensors) entries.push_back({tensor, "U8", {1}});
  auto writer = SafetensorsWriter::create(folder / name, entries).value();
  for (size_t i = 0; i < entries.size(); ++i) ASSERT_TRUE(writer.write(std::as_bytes(std::span("x", 1))));
  ASSERT_TRUE(writer.commit());
}
void write_index(const TemporaryFolder& folder, std::string_view weight_map) {
  folder.write("model.safetensors.index.json", fmt::format(R"({{"metadata": {{}}, "weight_map": {}}})", weight_map));
}

TEST(Checkpoint, ReadsOneFileOrTheShardsOfAnIndex) {
  const TemporaryFolder one, many;
  write_shard(one, "model.safetensors", {"a", "b"});
  write_shard(many, "1.safetensors", {"a"});
  write_shard(many, "2.safetensors", {"b", "stale"});
  write_shard(many, "3.safetensors", {"not named by the index"});
  write_index(many, R"({"a": "1.safetensors", "b": "2.safetensors"})");
  for (const TemporaryFolder* folder : {&one, &many}) {
    const auto checkpoint = Checkpoint::open(folder->path());
    ASSERT_TRUE(checkpoint) << checkpoint.error().message;
    EXPECT_EQ(checkpoint->tensors().size(), 2u);
    EXPECT_NE(checkpoint->find("b"), nullptr);
    EXPECT_EQ(checkpoint->find("stale"), nullptr);
    EXPECT_EQ(checkpoint->total_bytes(), 2u);
  }
}

TEST(Checkpoint, TakesTheMtpBlockFromAFileOfItsOwnUnlessItHasOne) {
  const TemporaryFolder one, many, has_one, foreign;
  write_shard(one, "model.safetensors", {"a"});
  write_shard(many, "1.safetensors", {"a"});
  write_index(many, R"({"a": "1.safetensors"})");
  write_shard(has_one, "model.safetensors", {"a", "mtp.fc.weight"});
  write_shard(foreign, "model.safetensors", {"a"});
  for (const TemporaryFolder* folder : {&one, &many, &has_one}) {
    write_shard(*folder, "mtp.safetensors", {"mtp.fc.weight", "mtp.norm.weight"});
    const auto checkpoint = Checkpoint::open(folder->path());
    ASSERT_TRUE(checkpoint) << checkpoint.error().message;
    EXPECT_EQ(checkpoint->tensors().size(), folder == &has_one ? 2u : 3u);
    EXPECT_NE(checkpoint->find("mtp.fc.weight"), nullptr);
  }
  write_shard(foreign, "mtp.safetensors", {"mtp.fc.weight", "b"});
  EXPECT_TRUE(fails(Checkpoint::open(foreign.path()), Errc::mismatch, {"mtp.safetensors", "b"}));
}

TEST(Checkpoint, SaysWhatAFolderWithoutTensorsLacks) {
  const TemporaryFolder folder;
  EXPECT_TRUE(fails(Checkpoint::open(folder.path()), Errc::not_found, {"model.safetensors", folder.path().string()}));
  EXPECT_TRUE(fails(Checkpoint::open(folder / "absent"), Errc::not_found));
}

TEST(Checkpoint, ReachesNoFileOutsideItsFolder) {
  const TemporaryFolder outside, folder;
  write_shard(outside, "x", {"a"});
  for (const std::string& name :
       {std::string("../") + outside.path().filename().string() + "/x", (outside / "x").string(), std::string(".."),
        std::string("."), std::string(""), std::string("sub/x"), std::string("x\\u0000y")}) {
    write_index(folder, fmt::format(R"({{"a": "{}"}})", name));
    EXPECT_TRUE(fails(Checkpoint::open(folder.path()), Errc::malformed, {"not a file name"})) << name;
  }
}

TEST(Checkpoint, NamesAShardThatIsMissingAndATensorThatIsNotThere) {
  const TemporaryFolder folder;
  write_shard(folder, "1.safetensors", {"a"});
  write_index(folder, R"({"a": "1.safetensors", "b": "2.safetensors"})");
  EXPECT_TRUE(fails(Checkpoint::open(folder.path()), Errc::not_found, {"2.safetensors"}));
  write_index(folder, R"({"a": "1.safetensors", "b": "1.safetensors"})");
  EXPECT_TRUE(fails(Checkpoint::open(folder.path()), Errc::mismatch, {"1.safetensors", "b"}));
}

TEST(Checkpoint, RefusesABrokenIndex) {
  const TemporaryFolder folder;
  for (const char* text : {"", "[]", "{}", R"({"weight_map": []})", R"({"weight_map": {"a": 3}})", R"({"weight_map": {"a": null}})",
                           "{\"weight_map\": {\"a\": \"\xff\"}}"}) {
    folder.write("model.safetensors.index.json", text);
    EXPECT_TRUE(fails(Checkpoint::open(folder.path()), Errc::malformed, {"index.json"})) << text;
  }
}

TEST(Checkpoint, RefusesABrokenShard) {
  const TemporaryFolder folder;
  write_index(folder, R"({"a": "1.safetensors"})");
  folder.write("1.safetensors", "junk of no particular kind");
  EXPECT_TRUE(fails(Checkpoint::open(folder.path()), Errc::malformed, {"1.safetensors"}));
}

TEST(Checkpoint, KeepsAnErrorOnOneLineWhateverTheNames) {
  const TemporaryFolder folder;
  write_index(folder, R"({"a\nb": 3})");
  EXPECT_TRUE(fails(Checkpoint::open(folder.path()), Errc::malformed));
  write_index(folder, R"({"a": "x\ny"})");
  EXPECT_TRUE(fails(Checkpoint::open(folder.path()), Errc::not_found));
}

}  // namespace
}  // namespace quern
