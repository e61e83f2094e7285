// Several sequences in one pass: who else is there, and where a text is cut, changes no bit of anybody's result. On every instruction set that
// this machine has, with weights in several formats and every kind of KV cache.
#include <optional>
#include <string_view>

#include "kernels/kernel_test.h"
#include "model/model_test.h"

namespace quern {
namespace {

using namespace model_test;

struct Part {
  std::vector<int32_t> tokens;
  bool logits = true;
};

// Feeds each state its part, all in one pass; the logits of those that want them, in order.
std::vector<std::vector<float>> feed(TestModel& machine, std::vector<SequenceState*> states, const std::vector<Part>& parts) {
  Batch batch;
  for (size_t i = 0; i < states.size(); ++i) {
    batch.sequences.push_back({.state = states[i],
                               .first_row = batch.tokens(),
                               .count = static_cast<int64_t>(parts[i].tokens.size()),
                               .wants_logits = parts[i].logits});
    batch.token_ids.insert(batch.token_ids.end(), parts[i].tokens.begin(), parts[i].tokens.end());
  }
  forward(machine.ops, *machine.model, batch, machine.workspace);
  std::vector<std::vector<float>> all;
  const Tensor logits = machine.workspace.logits;
  for (int64_t row = 0; row < logits.rows; ++row) all.emplace_back(logits.row(row), logits.row(row) + logits.cols);
  return all;
}

// Positions that reach behind several blocks of attention; under sanitizers behind the first one.
constexpr int64_t kMost = QUERN_LONG_TESTS ? 1100 : 530, kSlowMost = QUERN_LONG_TESTS ? 530 : 80;

// f(model, instruction set, kv format, most positions): the small model in every way, behind several blocks of attention; the others, whose
// weights have formats of their own, in fewer.
template <class F>
void for_every_machine(const F& f) {
  for (const char* name : {"tiny", "tiny-fp8", "tiny-grouped", "gguf/mini-Q4_K_M.gguf"})
    for (const Isa isa : kernel_test::versions())
      for (const KvFormat kv : {KvFormat::f32, KvFormat::bf16, KvFormat::int8}) {
        const bool tiny = std::string_view(name) == "tiny", slow = isa == Isa::scalar;
        if (!tiny && (slow || kv != KvFormat::bf16)) continue;
        SCOPED_TRACE(fmt::format("{} {} kv {}", name, isa_name(isa), static_cast<int>(kv)));
        f(name, isa, kv, tiny ? (slow ? kSlowMost : kMost) : 70);
        if (::testing::Test::HasFailure()) return;
      }
}

TEST(LongBatch, GivesEverySequenceWhatItGetsAlone) {
  for_every_machine([](const char* name, Isa isa, KvFormat kv, int64_t most) {
    TestModel machine(name, isa, 3), alone(name, isa, 1);
    Random random(31);
    std::vector<SequenceState> together, apart;
    for (const int64_t past : {0, 1, 9, 70, 520, 1100}) {
      if (past > most) break;
      together.push_back(machine.fresh(kv));
      if (past > 0) machine.feed(together.back(), machine.random_tokens(random, past));
      apart.push_back(together.back());
    }
    for (int round = 0; round < 6; ++round) {
      std::vector<SequenceState*> states;
      std::vector<Part> parts;
      std::vector<std::vector<float>> want;
      for (size_t i = 0; i < together.size(); ++i) {
        if (random.chance(0.2)) continue;
        const int64_t count = random.chance(0.6) ? 1 : random.between(2, 40);
        states.push_back(&together[i]);
        parts.push_back({machine.random_tokens(random, count), random.chance(0.7)});
        auto logits = feed(alone, {&apart[i]}, {parts.back()});
        if (parts.back().logits) want.push_back(std::move(logits.at(0)));
      }
      if (states.empty()) continue;
      const auto got = feed(machine, states, parts);
      ASSERT_EQ(got.size(), want.size());
      for (size_t i = 0; i < got.size(); ++i) ASSERT_TRUE(same_logits(got[i], want[i])) << "round " << round << ", row " << i;
    }
    for (size_t i = 0; i < together.size(); ++i) {  // and can go back as far
      ASSERT_EQ(together[i].position(), apart[i].position());
      const int64_t back = std::max(together[i].oldest_reachable(), together[i].position() - 5);
      ASSERT_TRUE(together[i].rollback(machine.ops, back));
      ASSERT_TRUE(apart[i].rollback(alone.ops, back));
      const Part one{{3}};
      ASSERT_TRUE(same_logits(feed(machine, {&together[i]}, {one}).at(0), feed(alone, {&apart[i]}, {one}).at(0))) << i;
    }
  });
}

TEST(LongBatch, CutsOfATextChangeNoBit) {
  for_every_machine([](const char* name, Isa isa, KvFormat kv, int64_t most) {
    TestModel machine(name, isa, 2);
    Random random(32);
    const std::vector<int32_t> text = machine.random_tokens(random, most + 20), more = machine.random_tokens(random, 3);
    std::optional<std::vector<float>> want, want_more;
    // 0: at random.
    for (const int64_t piece : {5000, 512, 64, 100, 7, 1, 0}) {
      SequenceState state = machine.fresh(kv);
      std::vector<float> logits;
      for (size_t at = 0; at < text.size();) {
        const auto count = static_cast<size_t>(piece > 0            ? piece
                                               : random.chance(0.5) ? random.between(1, 12)
                                                                    : random.between(1, 150));
        const auto part = std::span(text).subspan(at, std::min(count, text.size() - at));
        logits = feed(machine, {&state}, {{{part.begin(), part.end()}}}).at(0);
        at += part.size();
      }
      const auto behind = feed(machine, {&state}, {{more}}).at(0);
      if (!want) want = logits, want_more = behind;
      ASSERT_TRUE(same_logits(logits, *want)) << "pieces of " << piece;
      ASSERT_TRUE(same_logits(behind, *want_more)) << "behind pieces of " << piece;
    }
  });
}

}  // namespace
}  // namespace quern
