#include "catalogue/catalogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/temporary_folder_test.h"
#include "base/file.h"
#include "catalogue/fit.h"
#include "catalogue/summary.h"
#include "convert/output_tensors.h"
#include "convert/procedural.h"
#include "convert/synth.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

TEST(Catalogue, LiesWhereTheEnvironmentSays) {
  EXPECT_EQ(Catalogue::usual("/m", "/data", "/home/a")->folder(), "/m");
  EXPECT_EQ(Catalogue::usual("", "/data", "/home/a")->folder(), "/data/quern/models");
  EXPECT_EQ(Catalogue::usual(nullptr, "relative", "/home/a")->folder(), "/home/a/.local/share/quern/models");
  EXPECT_EQ(Catalogue::usual(nullptr, nullptr, nullptr).error().code, Errc::not_found);
}

class CatalogueFolder : public testing::Test {
 protected:
  void write(const std::string& path, std::string_view text = "x") {
    fs::create_directories((catalogue.folder() / path).parent_path());
    ASSERT_TRUE(write_file(catalogue.folder() / path, text));
  }
  std::vector<std::string> names() {
    std::vector<std::string> found;
    const auto models = catalogue.models().value();
    for (const CatalogueModel& model : models) found.push_back(model.name);
    return found;
  }

  TemporaryFolder folder;
  Catalogue catalogue{folder.path() / "models"};
};

TEST_F(CatalogueFolder, ListsModels) {
  EXPECT_TRUE(catalogue.models()->empty()) << "no folder";
  write("b/config.json", "{}");
  write("a.gguf", "1234");
  write("split-00001-of-00002.gguf");
  write("split-00002-of-00002.gguf");
  write("inside/x-Q4.gguf");
  write("notes/readme.txt");
  write("c.partial/config.json");
  write(".hidden/config.json");
  EXPECT_EQ(names(), (std::vector<std::string>{"a", "b", "inside", "split"}));
  EXPECT_EQ(catalogue.find("a")->bytes, 4u);
  EXPECT_FALSE(catalogue.find("c"));
  EXPECT_FALSE(catalogue.find("../models/b"));
}

TEST_F(CatalogueFolder, FindsByWhereItCameFrom) {
  write("b/config.json", "{}");
  ModelSource source{"https://hub.example", "org/model", "main", std::string(40, '0'), {{"config.json", "git:0"}}};
  write("b/quern-source.json", source.to_json().dump());
  EXPECT_EQ(catalogue.find("org/model")->name, "b");
  EXPECT_EQ(catalogue.find("b")->source->files.at("config.json"), "git:0");
  write("b/quern-source.json", "{\"repository\": 3}");
  EXPECT_FALSE(catalogue.find("org/model"));
  EXPECT_FALSE(catalogue.find("b")->source);
}

TEST_F(CatalogueFolder, RemovesOnlyWhatItHolds) {
  write("b/config.json", "{}");
  write("split-00001-of-00002.gguf");
  write("split-00002-of-00002.gguf");
  write("other.gguf");
  write("half.partial/pull.json", R"({"repository":"org/half","total":10,"finished":{}})");
  const fs::path outside = folder.path() / "outside";
  fs::create_directories(outside);
  ASSERT_TRUE(write_file(outside / "config.json", "{}"));
  fs::create_directory_symlink(outside, catalogue.folder() / "link");
  EXPECT_EQ(catalogue.unfinished().size(), 1u);
  for (const char* name : {"../outside", "", ".", "..", "b/config.json", "/etc", "a b", "other.gguf"})
    EXPECT_EQ(catalogue.remove(name).error().code, Errc::invalid_argument) << name;
  EXPECT_EQ(catalogue.remove("nothing").error().code, Errc::not_found);
  for (const char* name : {"b", "split", "half", "link"}) {
    const auto removed = catalogue.remove(name);
    EXPECT_TRUE(removed) << removed.error().message;
  }
  EXPECT_TRUE(fs::exists(outside / "config.json"));
  EXPECT_EQ(names(), (std::vector<std::string>{"other"}));
  std::vector<std::string> left;
  for (const auto& entry : fs::directory_iterator(catalogue.folder())) left.push_back(entry.path().filename());
  EXPECT_EQ(left, (std::vector<std::string>{"other.gguf"}));
}

TEST(ModelSummary, SaysWhatLoadsAndWhatDoesNot) {
  const ModelSummary tiny = summarise_model(QUERN_REPO "/tests/data/tiny");
  EXPECT_EQ(tiny.problem, "");
  EXPECT_EQ(tiny.format, "bf16");
  EXPECT_GT(tiny.parameters, 0);
  const ModelSummary none = summarise_model(QUERN_REPO "/tests/data/none");
  EXPECT_THAT(none.problem, testing::HasSubstr("no such file"));
}

TEST(Sizes, OfTheLargestModelInEveryForm) {
  const auto sizes = sizes_of_80b();
  ASSERT_TRUE(sizes) << sizes.error().message;
  ASSERT_GE(sizes->size(), 6u);
  const auto of = [&](std::string_view recipe) {
    for (const ModelSize& size : *sizes)
      if (size.recipe == recipe) return size;
    ADD_FAILURE() << recipe;
    return ModelSize();
  };
  EXPECT_NEAR(static_cast<double>(of("bf16").weights_bytes), 79.67e9 * 2, 1e9);
  EXPECT_NEAR(static_cast<double>(of("mxfp4").weights_bytes), 79.67e9 * 4.25 / 8, 1.5e9);
  EXPECT_EQ(of("bf16").kv_bytes_per_token, 12u * 2 * 2 * 256 * 2);
  EXPECT_NEAR(static_cast<double>(of("mxfp4").bytes_per_token), 1.9e9, 0.3e9);
  // As a whole, tensor by tensor.
  const auto config = ModelConfig::from_json(synth_preset("full80").value(), "full80");
  const auto recipe = Recipe::builtin("q4_k_m", ModelContainer::gguf);
  const auto tensors = output_tensors(ProceduralWeights(), *config, *recipe, ModelContainer::gguf, MtpBlock::leave_out);
  size_t whole = 0;
  for (const OutputTensor& tensor : tensors->tensors) whole += static_cast<size_t>(tensor.bytes());
  EXPECT_EQ(of("q4_k_m").weights_bytes, whole);
  for (size_t i = 1; i < sizes->size(); ++i) EXPECT_GE((*sizes)[i - 1].weights_bytes, (*sizes)[i].weights_bytes);
}

}  // namespace
}  // namespace quern
