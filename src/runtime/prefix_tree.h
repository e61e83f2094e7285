// A radix tree over token ids: positions at which something is kept. Each node stands for the tokens on the way to it; only positions
// with something kept, and those where ways part, have one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace quern {

template <class Kept>
class PrefixTree {
 public:
  struct Node {
    std::vector<int32_t> edge;  // the tokens from the parent to here
    Node* parent = nullptr;
    size_t depth = 0;
    std::map<int32_t, std::unique_ptr<Node>> children;  // by their edges' first token
    std::unique_ptr<Kept> kept;

    std::vector<int32_t> tokens() const {
      std::vector<int32_t> all(depth);
      for (const Node* node = this; node->parent; node = node->parent)
        std::copy(node->edge.begin(), node->edge.end(), all.begin() + static_cast<std::ptrdiff_t>(node->parent->depth));
      return all;
    }
    // The nearest node above this one at which something is kept that `wanted` says yes to; nullptr: none.
    template <class Wanted>
    const Node* above(const Wanted& wanted) const {
      const Node* node = parent;
      while (node && !(node->kept && wanted(*node->kept))) node = node->parent;
      return node;
    }
  };

  Node& root() { return root_; }

  // The deepest node that keeps something on the way along `tokens`; nullptr: none. Const, so that looking changes nothing.
  const Node* deepest(std::span<const int32_t> tokens) const {
    const Node* found = nullptr;
    for (const Node* node = &root_; node; node = next(*node, tokens))
      if (node->kept) found = node;
    return found;
  }
  Node* deepest(std::span<const int32_t> tokens) { return const_cast<Node*>(std::as_const(*this).deepest(tokens)); }

  // The node of exactly these tokens, made where there is none.
  Node& at(std::span<const int32_t> tokens) {
    Node* node = &root_;
    while (node->depth < tokens.size()) {
      const auto rest = tokens.subspan(node->depth);
      auto& child = node->children[rest[0]];
      if (!child) {
        child = std::make_unique<Node>();
        child->edge.assign(rest.begin(), rest.end());
        child->parent = node;
        child->depth = tokens.size();
        return *child;
      }
      const size_t common = shared(child->edge, rest);
      if (common < child->edge.size()) split(child, common);
      node = child.get();
    }
    return *node;
  }

  // Takes away a node that keeps nothing any more, as far as no way leads through it; its parent, too, if that was its last use.
  void prune(Node* node) {
    while (node->parent && !node->kept) {
      Node* parent = node->parent;
      if (node->children.empty()) {
        parent->children.erase(node->edge[0]);
      } else if (node->children.size() == 1) {  // becomes part of its child's edge
        std::unique_ptr<Node> child = std::move(node->children.begin()->second);
        child->edge.insert(child->edge.begin(), node->edge.begin(), node->edge.end());
        child->parent = parent;
        auto& place = parent->children[child->edge[0]];
        place = std::move(child);
        return;
      } else {
        return;
      }
      node = parent;
    }
  }

 private:
  static size_t shared(std::span<const int32_t> a, std::span<const int32_t> b) {
    const size_t most = std::min(a.size(), b.size());
    return static_cast<size_t>(std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(most), b.begin()).first -
                               a.begin());
  }
  static const Node* next(const Node& node, std::span<const int32_t> tokens) {
    if (node.depth >= tokens.size()) return nullptr;
    const auto rest = tokens.subspan(node.depth);
    const auto child = node.children.find(rest[0]);
    if (child == node.children.end() || shared(child->second->edge, rest) < child->second->edge.size()) return nullptr;
    return child->second.get();
  }
  // A node `common` tokens into the child's edge, above it.
  static void split(std::unique_ptr<Node>& child, size_t common) {
    auto middle = std::make_unique<Node>();
    const auto cut = child->edge.begin() + static_cast<std::ptrdiff_t>(common);
    middle->edge.assign(child->edge.begin(), cut);
    middle->parent = child->parent;
    middle->depth = child->depth - (child->edge.size() - common);
    child->edge.erase(child->edge.begin(), cut);
    child->parent = middle.get();
    const int32_t first = child->edge[0];
    middle->children[first] = std::move(child);
    child = std::move(middle);
  }

  Node root_;
};

}  // namespace quern
