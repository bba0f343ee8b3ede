// Reads the golden values of tests/parity: ops.json lists cases, ops.bin holds the numbers (see make_ops.py).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/attributes.h"
#include "reference/tensor.h"

namespace athanor::testing {

/// A tensor of a fixture; `is_integer` says that it was stored as int32, else as float32.
struct FixtureTensor {
  std::string name;
  bool is_integer = false;
  reference::Tensor tensor;
};

/// One op at one set of inputs. `input_gradients` are those of sum(output_gradient * outputs[0]), in the order of the
/// inputs, nothing where an input has none; ops without a gradient have no `output_gradient`.
struct FixtureCase {
  std::string name;
  std::string op;
  Attributes attributes;
  std::vector<FixtureTensor> inputs;
  std::vector<FixtureTensor> outputs;
  std::optional<FixtureTensor> output_gradient;
  std::vector<std::optional<FixtureTensor>> input_gradients;

  std::vector<reference::Tensor> input_tensors() const;
};

/// All cases of tests/parity/NAME.json and NAME.bin. Throws DataError when one of them cannot be read.
std::vector<FixtureCase> read_fixture(const std::string& name);

}  // namespace athanor::testing
