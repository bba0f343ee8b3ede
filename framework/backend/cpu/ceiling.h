// The ceiling of a step: how long its convolutions and matrix products alone take, each by the fastest implementation
// over all layouts, whatever its neighbours would say to that. Nothing in between: no reorders, no other ops.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "graph/plan.h"

namespace athanor::cpu {

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

class Ceiling {
 public:
  /// Finds the fastest of each product of `plan` on `lanes` teams side by side, in about `trial_s` seconds in all.
  /// `plan` must outlive this. Throws DeviceError when there is no memory.
  Ceiling(const Plan& plan, int lanes, double trial_s);
  ~Ceiling();
  Ceiling(const Ceiling&) = delete;
  Ceiling& operator=(const Ceiling&) = delete;

  /// Runs every product as often as a step does, on all lanes side by side, and returns the seconds that it took.
  double run();
  const std::vector<CeilingProduct>& products() const;
  /// Bytes of the buffers of all lanes.
  std::size_t bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace athanor::cpu
