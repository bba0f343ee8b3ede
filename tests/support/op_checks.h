// Every op of a back end against the double-precision reference on random shapes, forward and gradient.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "support/op_runner.h"

namespace athanor::testing {

/// How case number i runs.
using OptionsOfCase = std::function<RunOptions(int, DType)>;

/// Whether the back end takes a case at all; none: it takes all.
using TakesCase = std::function<bool(const OpCall&)>;

/// One case of an op that has a reference, as gtest failures; operands are rounded to options.dtype first. The gradient
/// is that of outputs drawn from `stream`.
void check_forward(const std::string& name, const reference::Case& given, const RunOptions& options,
                   const TakesCase& takes = {});
void check_gradient(const std::string& name, const reference::Case& given, RandomStream stream,
                    const RunOptions& options);

/// `cases` random cases of an op that has a reference, as gtest failures.
void check_forward(const std::string& name, DType dtype, int cases, const OptionsOfCase& options_of,
                   const TakesCase& takes = {});
void check_gradient(const std::string& name, DType dtype, int cases, const OptionsOfCase& options_of);

/// Registered ops that have a reference; with_gradient: and a gradient on both sides.
std::vector<std::string> op_names(bool with_gradient);

}  // namespace athanor::testing
