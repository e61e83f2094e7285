// Synthetic folders: the weights that the golden vectors were made with, and the bytes that quantising them afterwards would have.
#include "convert/synth.h"

#include "base/file.h"
#include "convert/quantize.h"
#include "formats/temporary_folder_test.h"
#include "model/model_test.h"

namespace quern {
namespace {

namespace fs = std::filesystem;
using model_test::fixture;

// The preset tiny, but with rows that every recipe's groups fit.
Json small_config() {
  Json config = synth_preset("tiny").value();
  for (const char* key : {"moe_intermediate_size", "shared_expert_intermediate_size"}) config[key] = 64;
  return config;
}

SynthOptions options_of(std::string_view format, RowOrder order = RowOrder::rows, bool with_mtp = false) {
  return {.config = small_config(), .recipe = Recipe::builtin(format).value(), .with_mtp = with_mtp, .order = order};
}

::testing::AssertionResult made(const SynthOptions& options, const fs::path& out, int threads = 2) {
  ThreadPool pool(threads);
  const auto result = synthesise(options, out, pool);
  if (result) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << result.error().message;
}

std::map<std::string, std::string> files_of(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder))
    files[entry.path().filename().string()] = read_file(entry.path()).value();
  return files;
}

std::string differing_files(const fs::path& a, const fs::path& b) {
  const auto want = files_of(a), got = files_of(b);
  std::string names;
  for (const auto& [name, bytes] : want)
    if (const auto at = got.find(name); at == got.end() || at->second != bytes) names += name + " ";
  for (const auto& [name, bytes] : got)
    if (!want.contains(name)) names += name + " ";
  return names;
}

TEST(Synth, MakesTheWeightsOfTheReferenceCheckpoint) {
  const TemporaryFolder folder;
  const std::string config = read_file(fixture("tiny") / "config.json").value();
  ASSERT_TRUE(made({.config = Json::parse(config, "config.json").value(), .with_mtp = true}, folder / "tiny"));
  const Checkpoint want = Checkpoint::open(fixture("tiny")).value(), got = Checkpoint::open(folder / "tiny").value();
  EXPECT_EQ(want.tensors().size(), got.tensors().size());
  for (const StoredTensor* tensor : want.tensors()) {
    const StoredTensor* own = got.find(tensor->name);
    ASSERT_NE(own, nullptr) << tensor->name;
    EXPECT_EQ(own->dtype, tensor->dtype) << tensor->name;
    EXPECT_EQ(own->shape, tensor->shape) << tensor->name;
    EXPECT_TRUE(std::equal(own->bytes.begin(), own->bytes.end(), tensor->bytes.begin(), tensor->bytes.end())) << tensor->name;
  }
}

TEST(Synth, HasTheBytesOfQuantisingTheBf16FolderFast) {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  for (const bool with_mtp : {false, true}) {
    const fs::path bf16 = folder / (with_mtp ? "bf16-mtp" : "bf16");
    ASSERT_TRUE(made(options_of("bf16", RowOrder::rows, with_mtp), bf16));
    for (const BuiltinRecipe& recipe : builtin_recipes()) {
      for (const RowOrder order : {RowOrder::rows, RowOrder::strips}) {
        const bool plain = recipe.name == "bf16" || recipe.name == "f32";
        if (order == RowOrder::strips && plain) continue;
        SCOPED_TRACE(fmt::format("{}{}{}", recipe.name, order == RowOrder::strips ? ", packed" : "", with_mtp ? ", MTP" : ""));
        const QuantizeOptions quantizing{.recipe = Recipe::builtin(recipe.name).value(),
                                         .order = order,
                                         .search = ScaleSearch::none,
                                         .replace = Replace::model_folders};
        const auto quantized = quantize(bf16, folder / "quantized", quantizing, pool);
        ASSERT_TRUE(quantized) << quantized.error().message;
        EXPECT_EQ(quantized->packed > 0, order == RowOrder::strips);
        SynthOptions options = options_of(recipe.name, order, with_mtp);
        options.replace = Replace::model_folders;
        ASSERT_TRUE(made(options, folder / "synthetic"));
        EXPECT_EQ(differing_files(folder / "quantized", folder / "synthetic"), "");
      }
    }
  }
}

TEST(Synth, HasTheSameBytesWhateverTheNumberOfThreads) {
  const TemporaryFolder folder;
  const SynthOptions options = options_of("mxfp4-q8", RowOrder::strips, true);
  ASSERT_TRUE(made(options, folder / "1", 1));
  ASSERT_TRUE(made(options, folder / "5", 5));
  EXPECT_EQ(differing_files(folder / "1", folder / "5"), "");
}

struct Interruption {};

TEST(Synth, AppearsWholeAndGoesOnAfterAnInterruption) {
  const TemporaryFolder folder;
  SynthOptions options = options_of("q8");
  options.shard_bytes = 300'000;
  ASSERT_TRUE(made(options, folder / "whole"));
  options.on_progress = [](double done, double total) {
    if (done > total / 2) throw Interruption();
  };
  EXPECT_THROW((void)made(options, folder / "out"), Interruption);
  EXPECT_FALSE(fs::exists(folder / "out"));
  double left = 1;
  options.on_progress = [&](double, double total) { left = total; };
  ASSERT_TRUE(made(options, folder / "out"));
  EXPECT_EQ(differing_files(folder / "whole", folder / "out"), "");
  double all = 0;
  options.on_progress = [&](double, double total) { all = total; };
  ASSERT_TRUE(made(options, folder / "again"));
  EXPECT_LT(left, all) << "finished files are not written again";
}

TEST(Synth, SaysWhatItCannotDo) {
  const TemporaryFolder folder;
  ThreadPool pool(1);
  EXPECT_TRUE(fails(synth_preset("huge"), Errc::not_found, {"huge", "full80"}));
  EXPECT_TRUE(fails(synthesise(options_of("bf16", RowOrder::strips), folder / "out", pool), Errc::invalid_argument,
                    {"out", "nothing in it can be packed"}));
  folder.write("notes.txt", "mine");
  SynthOptions options = options_of("bf16");
  EXPECT_TRUE(fails(synthesise(options, folder.path(), pool), Errc::denied, {"not empty", "--force"}));
  options.replace = Replace::model_folders;
  EXPECT_TRUE(fails(synthesise(options, folder.path(), pool), Errc::denied, {"no model folder"}));
  options.config["hidden_size"] = -1;
  EXPECT_TRUE(fails(synthesise(options, folder / "out", pool), Errc::out_of_range, {"hidden_size"}));
  EXPECT_FALSE(fs::exists(folder / "out") || fs::exists(folder / "out.partial"));
  // Rows that no group fits are kept, and that is told.
  const auto notes =
      synthesise({.config = synth_preset("tiny").value(), .recipe = Recipe::builtin("q8").value()}, folder / "tiny", pool);
  ASSERT_TRUE(notes) << notes.error().message;
  ASSERT_FALSE(notes->empty());
  EXPECT_NE(notes->front().find("kept at bf16: rows of 32"), std::string::npos) << notes->front();
}

}  // namespace
}  // namespace quern
