#include "runtime/prefix_tree.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace quern {
namespace {

using Tree = PrefixTree<int>;
using Tokens = std::vector<int32_t>;

// The longest of the kept texts that `tokens` begins with.
const Tokens* longest(const std::map<Tokens, int>& kept, const Tokens& tokens) {
  const Tokens* found = nullptr;
  for (const auto& [text, value] : kept)
    if (text.size() <= tokens.size() && std::equal(text.begin(), text.end(), tokens.begin()) &&
        (!found || text.size() > found->size()))
      found = &text;
  return found;
}

TEST(PrefixTree, FindsTheLongestKeptBeginningAfterAnyHistory) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    Tree tree;
    std::map<Tokens, int> kept;
    const auto some = [&] {
      Tokens tokens(static_cast<size_t>(random.between(1, 12)));
      for (int32_t& t : tokens) t = static_cast<int32_t>(random.below(3));
      return tokens;
    };
    for (int step = 0; step < 400; ++step) {
      const Tokens tokens = some();
      if (random.chance(0.4) && !kept.empty()) {  // take one away
        auto at = kept.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(random.below(kept.size())));
        Tree::Node& node = tree.at(at->first);
        ASSERT_TRUE(node.kept);
        node.kept.reset();
        tree.prune(&node);
        kept.erase(at);
      } else if (random.chance(0.6)) {
        Tree::Node& node = tree.at(tokens);
        ASSERT_EQ(node.depth, tokens.size());
        ASSERT_EQ(node.tokens(), tokens);
        node.kept = std::make_unique<int>(step);
        kept[tokens] = step;
      }
      const Tokens asked = some(), *want = longest(kept, asked);
      const Tree::Node* got = tree.deepest(asked);
      ASSERT_EQ(got != nullptr, want != nullptr) << "seed " << seed << " step " << step;
      if (!got) continue;
      ASSERT_EQ(got->tokens(), *want);
      ASSERT_EQ(*got->kept, kept[*want]);
      const Tree::Node* above = got->above([](int) { return true; });
      const Tokens shorter(want->begin(), want->end() - 1), *next = longest(kept, shorter);
      ASSERT_EQ(above ? above->depth : 0, next ? next->size() : 0);
    }
    while (!kept.empty()) {
      Tree::Node& node = tree.at(kept.begin()->first);
      node.kept.reset();
      tree.prune(&node);
      kept.erase(kept.begin());
    }
    EXPECT_TRUE(tree.root().children.empty()) << "nothing is left of what is gone";
  }
}

}  // namespace
}  // namespace quern
