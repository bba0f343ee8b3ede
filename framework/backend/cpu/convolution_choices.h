// Which algorithm runs each convolution: measured once for each distinct one, kept in a file that all processes of the
// machine share, handed to other ranks and later attempts as text.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backend/cpu/convolution.h"
#include "backend/cpu/convolution_timing.h"
#include "backend/cpu/product_candidate.h"

namespace athanor::cpu {

/// How long each candidate takes, in seconds, on a team of `threads`.
using TimeCandidates = std::function<std::vector<double>(std::span<const ProductCandidate> candidates, int threads)>;

/// Thread-safe.
class ConvolutionChoices {
 public:
  /// `cache_folder`: where choices are kept; "": nowhere.
  explicit ConvolutionChoices(std::string cache_folder, TimeCandidates time = time_candidates);
  ~ConvolutionChoices();

  /// Of planner_candidates the one that was taken over, that the file holds, or that is the fastest; another algorithm
  /// than the rule's only where that is 5 % slower. Nothing where there is no candidate. Throws DeviceError where what
  /// was taken over cannot run here. Without `measures` what nobody has chosen yet is guessed, and not remembered.
  std::optional<ProductCandidate> choose(const Convolution& convolution, bool measures = true);

  /// What was chosen, as text. Its first line says for which instruction set and library: the processor's model decides
  /// what is fast, not what the bits are. take() leaves choices for another alone.
  std::string text() const;
  void take(const std::string& text);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace athanor::cpu
