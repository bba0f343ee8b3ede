#include "comm/tree.h"

#include "base/error.h"

namespace athanor {
namespace {

void cover(ShardRange node, ShardRange range, std::vector<ShardRange>& subtrees) {
  if (node.last <= range.first || range.last <= node.first) return;
  if (range.first <= node.first && node.last <= range.last) {
    subtrees.push_back(node);
    return;
  }
  const int middle = node.first + left_leaves(node.count());
  cover({node.first, middle}, range, subtrees);
  cover({middle, node.last}, range, subtrees);
}

}  // namespace

bool are_siblings(int shards, ShardRange left, ShardRange right) {
  if (left.last != right.first) return false;
  ShardRange node{0, shards};
  while (node.count() >= 2) {
    const int middle = node.first + left_leaves(node.count());
    if (node == ShardRange{left.first, right.last}) return middle == left.last;
    if (right.last <= middle) {
      node.last = middle;
    } else if (left.first >= middle) {
      node.first = middle;
    } else {
      return false;
    }
  }
  return false;
}

std::vector<ShardRange> subtrees_of(int shards, ShardRange range) {
  std::vector<ShardRange> subtrees;
  cover({0, shards}, range, subtrees);
  return subtrees;
}

std::vector<TreeEdge> edges_over(int shards, const std::vector<ShardRange>& items) {
  struct Partial {
    ShardRange range;
    int item;
  };
  std::vector<Partial> partials;
  std::vector<TreeEdge> edges;
  for (std::size_t item = 0; item < items.size(); ++item) {
    partials.push_back({items[item], static_cast<int>(item)});
    while (partials.size() > 1) {
      Partial& left = partials[partials.size() - 2];
      const Partial right = partials.back();
      if (!are_siblings(shards, left.range, right.range)) break;
      edges.push_back({left.item, right.item});
      left.range.last = right.range.last;
      partials.pop_back();
    }
  }
  ATHANOR_CHECK(partials.size() == 1 && partials[0].range == (ShardRange{0, shards}),
                "the items do not cover the tree");
  return edges;
}

}  // namespace athanor
