// The ceiling of a step: how long its convolutions and matrix products alone take, each by the fastest implementation
// over all layouts, whatever its neighbours would say to that. Nothing in between: no reorders, no other ops.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace athanor {

/// One distinct product of a plan: direction, shapes, attributes.
struct CeilingProduct {
  std::string op;
  std::string layer;            ///< the first node that computes it
  std::string shapes;           ///< "[16, 16, 28, 28] x [16, 16, 3, 3]"
  int nodes = 0;                ///< of one shard that compute it
  double flops = 0;             ///< of one
  std::string implementation;   ///< the fastest
  std::string layouts;          ///< of the fastest
  double seconds = 0;           ///< of one by the fastest, the fastest of all run()
  double planned_slowdown = 0;  ///< time of what the planner takes where it is free, over the fastest's, when chosen
};

/// Made by Backend::make_ceiling.
class Ceiling {
 public:
  virtual ~Ceiling() = default;
  /// Runs every product as often as a step does, on all lanes side by side, and returns the seconds that it took.
  virtual double run() = 0;
  virtual const std::vector<CeilingProduct>& products() const = 0;
  /// Bytes of the buffers of all lanes.
  virtual std::size_t bytes() const = 0;
};

/// Whether a node is a convolution or a matrix product, forward or backward.
bool is_product(const Node& node);

}  // namespace athanor
