// A checkpoint that does not fit its config is described once: all that is missing, unexpected and wrong in one line.
#include <map>

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
  EXPECT_TRUE(fails(experts.load(), Errc::mismatch, {"65536 experts"}));
  ChangedTiny many(kAll, {{"long", "U8", {1 << 20, 1, 1}}});  // many matrices, but no stack of experts
  many.set_config("num_experts", 65536);
  EXPECT_TRUE(fails(many.load(), Errc::mismatch, {"65536 experts"}));
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
  EXPECT_TRUE(fails(Model::load(empty.path()), Errc::not_found, {"model.safetensors", ".gguf"}));
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

// gate_up_proj [experts, 2 * width, hidden] and down_proj [experts, hidden, width] in place of one tensor for each expert.
TEST(ModelLoading, FusedExpertsAreTheSameModelBitForBit) {
  const SafetensorsFile source = SafetensorsFile::open(model_test::fixture("tiny") / "model.safetensors").value();
  std::map<std::string, std::pair<SafetensorsWriter::Entry, std::vector<std::byte>>> fused;
  const auto add = [&](const std::string& name, const StoredTensor& part) {
    auto& [entry, bytes] = fused[name];
    entry = {name, part.dtype, part.shape};
    bytes.insert(bytes.end(), part.bytes.begin(), part.bytes.end());
  };
  const auto stack = [&](const std::string& name, int64_t count, int64_t rows) {
    SafetensorsWriter::Entry& entry = fused.at(name).first;
    entry.shape = {count, rows, entry.shape[1]};
  };
  const ModelConfig config = Model::load(model_test::fixture("tiny")).value()->config;
  for (const StoredTensor& t : source.tensors())
    if (t.name.find(".experts.") == std::string::npos) add(t.name, t);
  for (const std::string prefix : {"model.layers.0.", "model.layers.1.", "model.layers.2.", "model.layers.3.", "mtp.layers.0."}) {
    const std::string experts = prefix + "mlp.experts.";
    for (int64_t e = 0; e < config.num_experts; ++e) {
      const auto part = [&](std::string_view matrix) {
        const std::string name = fmt::format("{}{}.{}.weight", experts, e, matrix);
        const auto found =
            std::find_if(source.tensors().begin(), source.tensors().end(), [&](const auto& t) { return t.name == name; });
        return *found;
      };
      add(experts + "gate_up_proj", part("gate_proj"));
      add(experts + "gate_up_proj", part("up_proj"));
      add(experts + "down_proj", part("down_proj"));
    }
    stack(experts + "gate_up_proj", config.num_experts, 2 * config.moe_intermediate_size);
    stack(experts + "down_proj", config.num_experts, config.hidden_size);
  }
  const TemporaryFolder folder;
  std::filesystem::copy_file(model_test::fixture("tiny") / "config.json", folder / "config.json");
  std::vector<SafetensorsWriter::Entry> entries;
  for (const auto& [name, tensor] : fused) entries.push_back(tensor.first);
  auto writer = SafetensorsWriter::create(folder / "model.safetensors", entries).value();
  for (const auto& [name, tensor] : fused) ASSERT_TRUE(writer.write(tensor.second));
  ASSERT_TRUE(writer.commit());

  const auto model = Model::load(folder.path());
  ASSERT_TRUE(model) << model.error().message;
  const auto separate = Model::load(model_test::fixture("tiny")).value();
  for (size_t layer = 0; layer < 4; ++layer)
    for (size_t e = 0; e < static_cast<size_t>(config.num_experts); ++e)
      for (const auto matrix : {&Expert::gate_proj, &Expert::up_proj, &Expert::down_proj}) {
        const Weight& a = (*model)->layers[layer].mlp.experts[e].*matrix;
        const Weight& b = separate->layers[layer].mlp.experts[e].*matrix;
        ASSERT_EQ(a.bytes(), b.bytes());
        EXPECT_EQ(std::memcmp(a.row(0).codes, b.row(0).codes, a.bytes()), 0) << layer << " " << e;
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
