// Runs a small graph on a GPU, or the emulation of one, the way a training step does.
#pragma once

#include "backend/cuda/engine_choice.h"
#include "support/op_runner.h"

namespace athanor::testing {

std::vector<reference::Tensor> run_graph_on(cuda::Device& device, cuda::EngineChoice& engines, const Graph& graph,
                                            const Feeds& feeds, const RunOptions& options);
/// A GraphRunner on test_device().
std::vector<reference::Tensor> run_graph_on_gpu(const Graph& graph, const Feeds& feeds, const RunOptions& options);

}  // namespace athanor::testing
