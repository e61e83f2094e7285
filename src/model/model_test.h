// What tests of the model's state share: a small model with its back end, logits as values, temporary files. Included by tests only.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/random.h"
#include "model/forward.h"
#include "model/ops/cpu_ops.h"

namespace quern::model_test {

inline std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(QUERN_REPO) / "tests" / "data" / name;
}

// A path nobody else uses, removed with what lies there when it goes out of scope.
class TemporaryPath {
 public:
  explicit TemporaryPath(const std::string& name = "file")
      : path_(std::filesystem::path(::testing::TempDir()) / fmt::format("quern-{}-{}-{}", ::getpid(), next_++, name)) {}
  ~TemporaryPath() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryPath(const TemporaryPath&) = delete;
  TemporaryPath& operator=(const TemporaryPath&) = delete;
  const std::filesystem::path& get() const { return path_; }

 private:
  static inline int next_ = 0;
  std::filesystem::path path_;
};

struct TestModel {
  explicit TestModel(const std::string& name, Isa isa = best_isa(), int threads = 1)
      : model(Model::load(fixture(name)).value()), pool(threads), ops(pool, isa), workspace(*model) {}

  SequenceState fresh(KvFormat kv = KvFormat::f32) const {
    return SequenceState(model->config, kv, model->fingerprint, model->mtp != nullptr);
  }

  // Feeds the tokens in one call. The logits after the last of them; then, where the state has a cache for the MTP block, those of its last pair.
  std::vector<float> feed(SequenceState& state, std::span<const int32_t> tokens) {
    Batch batch = Batch::single(state, tokens, Batch::Logits::last);
    forward(ops, *model, batch, workspace);
    std::vector<float> out(workspace.logits.row(0), workspace.logits.row(0) + workspace.logits.cols);
    if (!state.has_mtp()) return out;
    const Tensor mtp = mtp_forward(ops, *model, state, tokens, workspace);
    if (mtp.rows > 0) out.insert(out.end(), mtp.row(mtp.rows - 1), mtp.row(mtp.rows - 1) + mtp.cols);
    return out;
  }
  std::vector<int32_t> random_tokens(Random& random, int64_t count) const {
    std::vector<int32_t> ids(static_cast<size_t>(count));
    for (int32_t& id : ids) id = static_cast<int32_t>(random.below(static_cast<uint64_t>(model->config.vocab_size)));
    return ids;
  }

  std::shared_ptr<const Model> model;
  ThreadPool pool;
  CpuOps ops;
  Workspace workspace;
};

// Of a stored model after nine tokens, those of the multi-token prediction block too, where it has one. By the definition: activations
// stay f32, whatever the weights are.
inline std::vector<float> logits(const std::filesystem::path& path) {
  TestModel model(path.string(), Isa::scalar);
  SequenceState state = model.fresh();
  Random random(5);
  return model.feed(state, model.random_tokens(random, 9));
}

inline ::testing::AssertionResult same_logits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << a.size() << " logits against " << b.size();
  for (size_t i = 0; i < a.size(); ++i)
    if (std::memcmp(&a[i], &b[i], sizeof a[i]) != 0)
      return ::testing::AssertionFailure() << "logit " << i << ": " << a[i] << " against " << b[i];
  return ::testing::AssertionSuccess();
}

inline float largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  float most = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    if (const float difference = std::abs(a[i] - b[i]); !(difference <= most)) most = difference;  // a NaN counts as far
  return most;
}

inline bool one_line(const Error& error) { return !error.message.empty() && error.message.find('\n') == std::string::npos; }

}  // namespace quern::model_test
