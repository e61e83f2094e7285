// The model `tiny`, whose words mean nothing, with a tokenizer that a test makes, in a folder of its own.
#pragma once

#include <gtest/gtest.h>

#include "base/file.h"
#include "model/model_test.h"
#include "runtime/engine.h"

namespace quern {

// A tokenizer.json with the family's pre-tokenizer.
inline std::string tokenizer_json(Json vocab, Json merges, Json added_tokens) {
  Json tokenizer = Json::parse(R"({"model": {"type": "BPE"},
                                   "pre_tokenizer": {"type": "Split", "behavior": "Isolated", "pattern": {"Regex": ""}}})",
                               "tokenizer")
                       .value();
  (*tokenizer.find("model"))["vocab"] = std::move(vocab);
  (*tokenizer.find("model"))["merges"] = std::move(merges);
  (*tokenizer.find("pre_tokenizer")->find("pattern"))["Regex"] =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  tokenizer["added_tokens"] = std::move(added_tokens);
  return tokenizer.dump();
}

class TinyEngine : public ::testing::Test {
 protected:
  explicit TinyEngine(std::string tokenizer) : tokenizer_(std::move(tokenizer)) {}
  void SetUp() override {
    std::filesystem::create_directories(folder_.get());
    for (const char* name : {"config.json", "model.safetensors"})
      std::filesystem::create_symlink(model_test::fixture("tiny") / name, folder_.get() / name);
    ASSERT_TRUE(write_file(folder_.get() / "tokenizer.json", tokenizer_));
  }
  std::unique_ptr<Engine> engine(std::optional<int64_t> context = {}, int threads = 1) const {
    auto loaded = Engine::load({.model = folder_.get(), .threads = threads, .context = context});
    EXPECT_TRUE(loaded) << loaded.error().message;
    return std::move(*loaded);
  }

  model_test::TemporaryPath folder_{"model"};

 private:
  std::string tokenizer_;
};

}  // namespace quern
