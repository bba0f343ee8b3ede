// Which library engine runs a product: the library's favourites are timed once, within a budget, and the fastest is
// remembered on disk by GPU, driver, library versions and shape.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "backend/cuda/device.h"

namespace athanor::cuda {

/// What a recipe's train.precision and train.deterministic mean for products.
struct Precision {
  bool tf32 = false;
  bool deterministic = true;
};

struct ChosenEngine {
  std::string engine;
  std::size_t workspace_bytes = 0;
  double seconds = 0;  ///< of one run, where it was timed; else 0
};

class EngineChoice {
 public:
  /// `device` must outlive this. `cache_folder`: where choices are kept; "": nowhere.
  EngineChoice(Device& device, std::string cache_folder);
  ~EngineChoice();

  /// The engine for a spec, timed the first time; nullptr where none can run it. Memory for the timing is taken and
  /// given back; where there is not enough, the library's favourite is taken untimed. Throws DeviceError where this GPU
  /// cannot run what take() said.
  const ChosenEngine* choose(const ProductSpec& spec);
  /// The product of the chosen engine. Throws DeviceError where there is none.
  std::shared_ptr<const Product> make(const ProductSpec& spec, std::string_view engine);

  /// Choices as text, for other ranks and later attempts. Its first line says on what GPU, driver and libraries they
  /// were measured; take() leaves those of another alone.
  std::string text() const;
  void take(const std::string& text);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace athanor::cuda
