// A checkpoint that does not fit its config is described once: all that is missing, unexpected and wrong in one line.
#include "base/file.h"
#include "formats/temporary_folder_test.h"
#include "model/model_test.h"

namespace quern {
namespace {

// tiny with its tensors changed by `change`, which returns false to leave one out; `extra` is added.
class ChangedTiny {
 public:
  template <class Change>
  ChangedTiny(Change change, std::vector<SafetensorsWriter::Entry> extra = {}) {
    std::filesystem::copy_file(model_test::fixture("tiny") / "config.json", folder_ / "config.json");
    const SafetensorsFile source = SafetensorsFile::open(model_test::fixture("tiny") / "model.safetensors").value();
    std::vector<SafetensorsWriter::Entry> entries;
    for (const StoredTensor& t : source.tensors())
      if (SafetensorsWriter::Entry entry{t.name, t.dtype, t.shape}; change(entry)) entries.push_back(entry);
    entries.insert(entries.end(), extra.begin(), extra.end());
    auto writer = SafetensorsWriter::create(folder_ / "model.safetensors", entries).value();
    for (const SafetensorsWriter::Entry& entry : entries) {
      size_t bytes = stored_dtype_size(entry.dtype);
      for (const int64_t extent : entry.shape) bytes *= static_cast<size_t>(extent);
      EXPECT_TRUE(writer.write(std::vector<std::byte>(bytes)));
    }
    EXPECT_TRUE(writer.commit());
  }
  void set_config(std::string_view key, Json value) {
    Json config = Json::parse(read_file(folder_ / "config.json").value(), "c").value();
    config[key] = std::move(value);
    EXPECT_TRUE(write_file(folder_ / "config.json", config.dump()));
  }
  Result<std::shared_ptr<const Model>> load() const { return Model::load(folder_.path()); }

 private:
  TemporaryFolder folder_;
};

const auto kAll = [](SafetensorsWriter::Entry&) { return true; };

TEST(ModelLoading, BindsAFolderWhoseTensorsFitItsConfig) {
  const auto model = ChangedTiny(kAll).load();
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_TRUE((*model)->mtp);
}

TEST(ModelLoading, ReportsMissingUnexpectedAndMisshapenTensorsTogether) {
  const ChangedTiny changed(
      [](SafetensorsWriter::Entry& entry) {
        if (entry.name == "model.layers.2.linear_attn.A_log") return false;
        if (entry.name == "model.layers.0.mlp.gate.weight") entry.shape = {7, 64};
        if (entry.name == "lm_head.weight") entry.dtype = "I16";
        return true;
      },
      {{"model.layers.9.surprise", "F32", {2}}});
  EXPECT_TRUE(fails(changed.load(), Errc::mismatch,
                    {"1 missing", "model.layers.2.linear_attn.A_log", "1 unexpected", "model.layers.9.surprise", "2 wrong",
                     "model.layers.0.mlp.gate.weight shape [7, 64], expected [8, 64]", "lm_head.weight dtype I16"}));
}

TEST(ModelLoading, CountsWhatItDoesNotList) {
  const ChangedTiny changed([](SafetensorsWriter::Entry& entry) { return entry.name.find("experts") == std::string::npos; });
  EXPECT_TRUE(fails(changed.load(), Errc::mismatch, {"missing tensors", "…"}));
}

TEST(ModelLoading, RefusesAConfigForAnotherModelWithoutMakingRoomForIt) {
  ChangedTiny hidden(kAll), experts(kAll), layers(kAll);
  hidden.set_config("hidden_size", int64_t{1} << 24);
  EXPECT_TRUE(fails(hidden.load(), Errc::mismatch, {"wrong"}));
  experts.set_config("num_experts", 65536);
  EXPECT_TRUE(fails(experts.load(), Errc::mismatch));
  layers.set_config("num_hidden_layers", 4096);
  EXPECT_TRUE(fails(layers.load(), Errc::mismatch));
}

TEST(ModelLoading, IgnoresTheMtpTensorsOnlyWhenTheyAreNoBlock) {
  const ChangedTiny without([](SafetensorsWriter::Entry& entry) { return entry.name != "mtp.fc.weight"; });
  const auto model = without.load();
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_FALSE((*model)->mtp);
  const ChangedTiny broken([](SafetensorsWriter::Entry& entry) { return entry.name != "mtp.norm.weight"; });
  EXPECT_TRUE(fails(broken.load(), Errc::mismatch, {"mtp.norm.weight"}));
}

TEST(ModelLoading, NeedsBothConfigAndTensors) {
  const TemporaryFolder empty;
  EXPECT_TRUE(fails(Model::load(empty.path()), Errc::not_found, {"config.json"}));
  std::filesystem::copy_file(model_test::fixture("tiny") / "config.json", empty / "config.json");
  EXPECT_TRUE(fails(Model::load(empty.path()), Errc::not_found, {"model.safetensors"}));
}

TEST(ModelLoading, ExpectsExactlyTheTensorsOfTheFixtures) {
  for (const char* name : {"tiny", "tiny-grouped", "tiny-yarn"}) {
    const auto model = Model::load(model_test::fixture(name)).value();
    const auto expected = expected_tensors(model->config, model->mtp != nullptr);
    ASSERT_EQ(expected.size(), model->checkpoint.tensors().size()) << name;
    for (const ExpectedTensor& tensor : expected) {
      const StoredTensor* stored = model->checkpoint.find(tensor.name);
      ASSERT_NE(stored, nullptr) << tensor.name;
      EXPECT_EQ(stored->shape, tensor.shape) << tensor.name;
    }
  }
}

TEST(ModelFingerprint, TellsModelsApart) {
  EXPECT_EQ(Model::load(model_test::fixture("tiny")).value()->fingerprint,
            Model::load(model_test::fixture("tiny")).value()->fingerprint);
  EXPECT_NE(Model::load(model_test::fixture("tiny")).value()->fingerprint,
            Model::load(model_test::fixture("tiny-yarn")).value()->fingerprint);
  EXPECT_NE(Model::load(model_test::fixture("tiny")).value()->fingerprint, ChangedTiny(kAll).load().value()->fingerprint)
      << "same shapes, other weights";
}

}  // namespace
}  // namespace quern
