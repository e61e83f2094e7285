// A state is a value: however it came about (fed, forked, saved and restored, rolled back), it continues like a run that never did any of
// this. The model's own vectors are tests/golden_test.cpp's business.
#include "model/sequence_state.h"

#include <fstream>

#include "formats/safetensors.h"
#include "model/model_test.h"

namespace quern {
namespace {

using namespace model_test;

// A state and how it was fed, call by call.
struct Branch {
  SequenceState state;
  std::vector<std::vector<int32_t>> cuts;
  int64_t furthest = 0, floor = 0;  // floor: where it was settled

  int64_t oldest_reachable() const { return std::max(floor, furthest - DeltaState::kReach); }
  void truncate(int64_t position) {
    int64_t at = 0;
    std::vector<std::vector<int32_t>> kept;
    for (std::vector<int32_t>& cut : cuts) {
      const auto length = std::min(static_cast<int64_t>(cut.size()), position - at);
      if (length == 0) break;
      kept.emplace_back(cut.begin(), cut.begin() + length);
      at += length;
    }
    cuts = std::move(kept);
  }
};

std::vector<float> straight_run(TestModel& machine, KvFormat kv, const std::vector<std::vector<int32_t>>& cuts) {
  SequenceState state = machine.fresh(kv);
  std::vector<float> logits;
  for (const auto& cut : cuts) logits = machine.feed(state, cut);
  return logits;
}

SequenceState through_a_file(const TestModel& machine, const SequenceState& state) {
  const TemporaryPath file("state");
  EXPECT_TRUE(state.save(file.get()));
  auto restored = SequenceState::restore(file.get(), machine.model->config, machine.model->fingerprint);
  EXPECT_TRUE(restored) << restored.error().message;
  return std::move(*restored);
}

class Histories : public ::testing::TestWithParam<std::tuple<std::string, KvFormat>> {};

TEST_P(Histories, OfEveryKindContinueAsAStraightRunDoesBitForBit) {
  const auto& [name, kv] = GetParam();
  TestModel machine(name);
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Random random(seed);
    std::vector<Branch> branches{{machine.fresh(kv), {}}};
    std::string story = fmt::format("seed {}:", seed);
    for (int step = 0; step < 40; ++step) {
      Branch& branch = branches[random.below(branches.size())];
      const int64_t position = branch.state.position();
      switch (random.below(9)) {
        case 0:  // fork
          story += " fork";
          if (branches.size() < 4) branches.push_back(Branch(branch));
          break;
        case 1:
          story += " file";
          branch.state = through_a_file(machine, branch.state);
          break;
        case 8:
          story += " settle";
          branch.state = branch.state.settled();
          branch.furthest = branch.floor = position;
          ASSERT_EQ(branch.state.oldest_reachable(), position) << story;
          break;
        case 2:
        case 3: {
          const int64_t to = random.between(branch.oldest_reachable(), position);
          story += fmt::format(" back({}->{})", position, to);
          ASSERT_TRUE(branch.state.rollback(machine.ops, to)) << story;
          branch.truncate(to);
          break;
        }
        default: {
          const int64_t count = random.chance(0.15) ? random.between(20, 90) : random.between(1, 17);
          story += fmt::format(" feed({})", count);
          const std::vector<int32_t> tokens = machine.random_tokens(random, count);
          branch.cuts.push_back(tokens);
          ASSERT_TRUE(same_logits(machine.feed(branch.state, tokens), straight_run(machine, kv, branch.cuts))) << story;
          branch.furthest = std::max(branch.furthest, position + count);
        }
      }
    }
  }
}

TEST_P(Histories, CutElsewhereAgreeWithinRounding) {
  const auto& [name, kv] = GetParam();
  TestModel machine(name);
  Random random(3);
  const std::vector<int32_t> tokens = machine.random_tokens(random, 150);
  const std::vector<float> want = straight_run(machine, kv, {tokens});
  for (int repeat = 0; repeat < 10; ++repeat) {
    std::vector<std::vector<int32_t>> cuts;
    for (size_t at = 0; at < tokens.size();) {
      const size_t count = std::min<size_t>(tokens.size() - at, 1 + random.below(repeat < 5 ? 8 : 60));
      cuts.emplace_back(tokens.begin() + static_cast<std::ptrdiff_t>(at), tokens.begin() + static_cast<std::ptrdiff_t>(at + count));
      at += count;
    }
    EXPECT_LE(largest_difference(straight_run(machine, kv, cuts), want), 1e-3f);
  }
}

std::string history_name(const ::testing::TestParamInfo<Histories::ParamType>& test) {
  const auto& [name, kv] = test.param;
  return std::string(name == "tiny" ? "tiny" : "grouped") + (kv == KvFormat::f32    ? "_f32"
                                                             : kv == KvFormat::bf16 ? "_bf16"
                                                                                    : "_int8");
}
INSTANTIATE_TEST_SUITE_P(Models, Histories,
                         ::testing::Combine(::testing::Values("tiny", "tiny-grouped"),
                                            ::testing::Values(KvFormat::f32, KvFormat::bf16, KvFormat::int8)),
                         history_name);

TEST(SequenceState, RefusesToGoBackFurtherThanItsReachAndStaysAsItWas) {
  TestModel machine("tiny");
  Random random(5);
  SequenceState state = machine.fresh(), untouched = machine.fresh();
  const std::vector<int32_t> tokens = machine.random_tokens(random, 40), more = machine.random_tokens(random, 3);
  machine.feed(state, tokens), machine.feed(untouched, tokens);
  for (const int64_t position : {31, 0, -1, 41}) {
    const auto result = state.rollback(machine.ops, position);
    ASSERT_FALSE(result) << position;
    EXPECT_EQ(result.error().code, Errc::out_of_range);
    EXPECT_TRUE(one_line(result.error()));
  }
  EXPECT_EQ(state.position(), 40);
  EXPECT_TRUE(same_logits(machine.feed(state, more), machine.feed(untouched, more)));
}

TEST(SequenceState, CountsItsReachFromTheFurthestPositionEverFed) {
  TestModel machine("tiny");
  Random random(6);
  SequenceState state = machine.fresh();
  machine.feed(state, machine.random_tokens(random, 20));
  ASSERT_TRUE(state.rollback(machine.ops, 15));
  EXPECT_FALSE(state.rollback(machine.ops, 11));
  state = through_a_file(machine, state);  // which forgets nothing of this
  EXPECT_FALSE(state.rollback(machine.ops, 11));
  EXPECT_TRUE(state.rollback(machine.ops, 12));
}

TEST(SequenceState, SettledTakesLessThanHalfAndGoesBackNoFurther) {
  TestModel machine("tiny");
  Random random(9);
  SequenceState state = machine.fresh();
  machine.feed(state, machine.random_tokens(random, 70));
  const SequenceState settled = state.settled();
  EXPECT_TRUE(settled.is_settled());
  EXPECT_FALSE(state.is_settled());
  EXPECT_LT(settled.recurrent_bytes(), state.recurrent_bytes() / 2);
  EXPECT_EQ(settled.kv_caches()[0]->pages()[0].data, state.kv_caches()[0]->pages()[0].data) << "keys and values are shared";
  SequenceState again = settled;
  EXPECT_FALSE(again.rollback(machine.ops, 69));
  const std::vector<int32_t> more = machine.random_tokens(random, 5);
  EXPECT_TRUE(same_logits(machine.feed(again, more), machine.feed(state, more)));
  EXPECT_FALSE(again.is_settled());
  EXPECT_GT(again.recurrent_bytes(), 2 * settled.recurrent_bytes());
  EXPECT_TRUE(settled.is_settled());
  ASSERT_TRUE(again.rollback(machine.ops, 70));
  EXPECT_FALSE(again.rollback(machine.ops, 69));
  ASSERT_TRUE(state.rollback(machine.ops, 70));
  EXPECT_TRUE(same_logits(machine.feed(again, more), machine.feed(state, more)));
}

// A saved state as bytes, and what comes of restoring some other bytes.
class SavedState : public ::testing::Test {
 protected:
  void SetUp() override {
    Random random(7);
    SequenceState state = machine_.fresh();
    machine_.feed(state, machine_.random_tokens(random, 21));
    ASSERT_TRUE(state.rollback(machine_.ops, 19));
    ASSERT_TRUE(state.save(path_.get()));
    bytes_ = read_file(path_.get()).value();
  }
  Result<SequenceState> restore(const std::string& bytes) {
    std::ofstream(path_.get(), std::ios::binary | std::ios::trunc) << bytes;
    return SequenceState::restore(path_.get(), machine_.model->config, machine_.model->fingerprint);
  }
  // The file with some of its metadata replaced and its checksum made right again, as a forger would.
  std::string forged(const std::vector<std::pair<std::string, std::string>>& changes) {
    std::ofstream(path_.get(), std::ios::binary | std::ios::trunc) << bytes_;
    const SafetensorsFile file = SafetensorsFile::open(path_.get()).value();
    Json metadata = file.metadata();
    for (const auto& [key, value] : changes) metadata[key] = value;
    metadata["checksum"] = SequenceState::checksum(metadata, file.tensors());
    std::vector<SafetensorsWriter::Entry> entries;
    for (const StoredTensor& tensor : file.tensors()) entries.push_back({tensor.name, tensor.dtype, tensor.shape});
    const TemporaryPath copy("forged");
    SafetensorsWriter writer = SafetensorsWriter::create(copy.get(), entries, metadata).value();
    for (const StoredTensor& tensor : file.tensors()) EXPECT_TRUE(writer.write(tensor.bytes));
    EXPECT_TRUE(writer.commit());
    return read_file(copy.get()).value();
  }
  void expect_usable(SequenceState state) {
    Random random(8);
    machine_.feed(state, machine_.random_tokens(random, 3));
    EXPECT_TRUE(state.rollback(machine_.ops, std::max<int64_t>(0, state.position() - 3)));
    for (int64_t p = state.position(); p >= 0 && state.rollback(machine_.ops, p); --p) {
    }
    machine_.feed(state, machine_.random_tokens(random, 30));
  }

  TestModel machine_{"tiny"};
  TemporaryPath path_{"saved"};
  std::string bytes_;
};

TEST_F(SavedState, IsRefusedWhenTruncatedAnywhere) {
  for (size_t length = 0; length < bytes_.size(); length += 1 + length / 9) {
    const auto result = restore(bytes_.substr(0, length));
    ASSERT_FALSE(result) << length;
    EXPECT_TRUE(one_line(result.error())) << result.error().message;
  }
  EXPECT_FALSE(restore(bytes_.substr(0, bytes_.size() - 1)));
  EXPECT_FALSE(restore(bytes_ + '\0'));
}

TEST_F(SavedState, IsRefusedWhenAnyByteChanged) {
  Random random(9);
  for (int i = 0; i < 400; ++i) {
    std::string changed = bytes_;
    const size_t at = i < 200 ? random.below(3000) : random.below(changed.size());  // the header and the data
    changed[at] = static_cast<char>(static_cast<unsigned char>(changed[at]) ^ (1u << random.below(8)));
    const auto result = restore(changed);
    if (result) {  // a space for another, or a letter in the name of a key that is not looked at: nothing was lost
      ADD_FAILURE() << "byte " << at << " changed from " << bytes_[at] << " to " << changed[at];
      continue;
    }
    EXPECT_TRUE(one_line(result.error())) << result.error().message;
  }
}

TEST_F(SavedState, OfAnotherModelIsAMismatch) {
  ASSERT_TRUE(restore(bytes_));
  const TestModel other("tiny-grouped");
  const auto result = SequenceState::restore(path_.get(), other.model->config, other.model->fingerprint);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::mismatch);
  EXPECT_TRUE(one_line(result.error()));
}

TEST_F(SavedState, WithForgedNumbersIsRefusedOrAtLeastUsable) {
  ASSERT_TRUE(restore(forged({})));
  const std::vector<std::string> values = {"",
                                           "-1",
                                           "0",
                                           "1",
                                           "2",
                                           "3",
                                           "8",
                                           "9",
                                           "15",
                                           "16",
                                           "17",
                                           "18",
                                           "19",
                                           "20",
                                           "21",
                                           "22",
                                           "27",
                                           "28",
                                           "64",
                                           "65",
                                           "128",
                                           "576",
                                           "577",
                                           "9007199254740993",
                                           "1099511627776",
                                           "9223372036854775807",
                                           "18446744073709551616",
                                           "1e3",
                                           "0x10",
                                           "nan"};
  for (const char* key : {"position", "furthest", "floor", "settled", "kv", "log_length", "mtp", "mtp_length", "mtp_hidden"})
    for (const std::string& value : values) {
      SCOPED_TRACE(fmt::format("{} = {}", key, value));
      auto result = restore(forged({{key, value}}));
      if (result)
        expect_usable(std::move(*result));
      else
        EXPECT_TRUE(one_line(result.error())) << result.error().message;
    }
  for (const char* key : {"layout", "model"}) EXPECT_FALSE(restore(forged({{key, "x"}})));
}

// A log that does not cover what the positions promise would be found out only by the rollback that needs it.
TEST_F(SavedState, WithALogTooShortForItsReachIsRefused) {
  EXPECT_FALSE(restore(forged({{"log_length", "5"}})));
  EXPECT_TRUE(restore(forged({{"log_length", "6"}})));
}

TEST_F(SavedState, WithoutItsFileIsNotFound) {
  const auto result = SequenceState::restore(path_.get().string() + "-absent", machine_.model->config, machine_.model->fingerprint);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::not_found);
}

TEST_F(SavedState, ThatCannotBeWrittenIsAnErrorAndLeavesNothing) {
  const TemporaryPath folder("none");
  const auto result = machine_.fresh().save(folder.get() / "missing" / "state");
  ASSERT_FALSE(result);
  EXPECT_TRUE(one_line(result.error()));
  EXPECT_FALSE(std::filesystem::exists(folder.get()));
}

}  // namespace
}  // namespace quern
