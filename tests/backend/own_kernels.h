// Choices of convolutions for tests.
#pragma once

#include <span>
#include <vector>

#include "backend/cpu/convolution_choices.h"
#include "support/temporary_folder.h"

namespace athanor::testing {

/// Our own kernels wherever there are any; counts where.
class OwnKernels {
 public:
  cpu::ConvolutionChoices* choices() { return &choices_; }
  int taken() const { return taken_; }

 private:
  int taken_ = 0;
  TemporaryFolder folder_;
  cpu::ConvolutionChoices choices_{folder_.text(), [this](std::span<const cpu::ProductCandidate> candidates, int) {
                                     std::vector<double> seconds(candidates.size(), 1.0);
                                     if (candidates.back().implementation.starts_with("athanor:")) {
                                       seconds.back() = 0.1;
                                       ++taken_;
                                     }
                                     return seconds;
                                   }};
};

}  // namespace athanor::testing
