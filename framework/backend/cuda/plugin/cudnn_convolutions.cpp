#include "backend/cuda/plugin/cudnn_convolutions.h"

#include <cudnn_frontend.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/error.h"

namespace athanor::cuda {
namespace {

namespace fe = cudnn_frontend;
using Tensor = std::shared_ptr<fe::graph::Tensor_attributes>;
using Dims = std::vector<std::int64_t>;

/// Workspace beyond this is not worth its speed.
constexpr std::int64_t kMaxWorkspaceBytes = std::int64_t{1} << 30;

fe::DataType_t type_of(DType type) {
  switch (type) {
    case DType::f32:
      return fe::DataType_t::FLOAT;
    case DType::bf16:
      return fe::DataType_t::BFLOAT16;
    case DType::f16:
      return fe::DataType_t::HALF;
    default:
      ATHANOR_CHECK(false, "no convolution has elements of type {}", athanor::name_of(type));
  }
}

/// Packed, channels innermost, of logical dimensions [N, C, H, W] or [O, I, KH, KW].
Dims channels_last(const Dims& d) {
  return {d[1] * d[2] * d[3], 1, d[3] * d[1], d[1]};
}

/// Opens the list of engines that the frontend keeps to itself: which of them pass the filters.
class ListedGraph : public fe::graph::Graph {
 public:
  fe::error_t supported(std::int64_t index) { return plans.check_support_at_index(index); }
};

/// A spec as a graph with the engines that heuristics propose. Tensors are numbered in the order of run().
struct PlannedConvolution {
  ListedGraph graph;
  std::vector<std::string> names;     ///< of the engines that may run
  std::vector<std::int64_t> indices;  ///< their places in the frontend's list

  Tensor tensor(std::int64_t uid, const Dims& dims, DType type) {
    return graph.tensor(fe::graph::Tensor_attributes()
                            .set_name(fmt::format("t{}", uid))
                            .set_uid(uid)
                            .set_dim(dims)
                            .set_stride(channels_last(dims))
                            .set_data_type(type_of(type)));
  }
  static void set_output(const Tensor& tensor, std::int64_t uid, const Dims& dims, DType type) {
    tensor->set_output(true).set_uid(uid).set_dim(dims).set_stride(channels_last(dims)).set_data_type(type_of(type));
  }
};

template <typename Attributes>
Attributes window_of(const ConvolutionSpec& spec) {
  return Attributes()
      .set_pre_padding({spec.pad_begin[0], spec.pad_begin[1]})
      .set_post_padding({spec.pad_end[0], spec.pad_end[1]})
      .set_stride({spec.stride[0], spec.stride[1]})
      .set_dilation({spec.dilation[0], spec.dilation[1]});
}

void add_forward(PlannedConvolution& made, const ConvolutionSpec& spec, const Dims& x, const Dims& w, const Dims& y) {
  Tensor out = made.graph.conv_fprop(made.tensor(0, x, spec.type), made.tensor(1, w, spec.type),
                                     window_of<fe::graph::Conv_fprop_attributes>(spec));
  std::int64_t next = 3;
  const Dims per_channel{1, spec.out_channels, 1, 1};
  if (spec.bias) {
    out = made.graph.pointwise(out, made.tensor(next++, per_channel, DType::f32),
                               fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::ADD));
  }
  if (spec.relu) {
    out = made.graph.pointwise(out, fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::RELU_FWD));
  }
  PlannedConvolution::set_output(out, 2, y, spec.type);
  if (spec.statistics) {
    const auto [sum, squares] = made.graph.genstats(out, fe::graph::Genstats_attributes());
    PlannedConvolution::set_output(sum, next++, per_channel, DType::f32);
    PlannedConvolution::set_output(squares, next++, per_channel, DType::f32);
  }
}

void add_operations(PlannedConvolution& made, const ConvolutionSpec& spec) {
  const Dims x{spec.batch, spec.channels, spec.height, spec.width};
  const Dims w{spec.out_channels, spec.channels / spec.groups, spec.kernel[0], spec.kernel[1]};
  const Dims y{spec.batch, spec.out_channels, spec.out_height, spec.out_width};
  switch (spec.direction) {
    case Direction::forward:
      return add_forward(made, spec, x, w, y);
    case Direction::backward_data: {
      const Tensor dx = made.graph.conv_dgrad(made.tensor(0, y, spec.type), made.tensor(1, w, spec.type),
                                              window_of<fe::graph::Conv_dgrad_attributes>(spec));
      return PlannedConvolution::set_output(dx, 2, x, spec.type);
    }
    case Direction::backward_weights: {
      const Tensor dw = made.graph.conv_wgrad(made.tensor(1, y, spec.type), made.tensor(0, x, spec.type),
                                              window_of<fe::graph::Conv_wgrad_attributes>(spec));
      return PlannedConvolution::set_output(dw, 2, w, spec.gradient);
    }
  }
}

/// Engines that the arithmetic of `spec` rules out.
std::vector<fe::NumericalNote_t> unwanted(const ConvolutionSpec& spec) {
  std::vector<fe::NumericalNote_t> notes{fe::NumericalNote_t::DOWN_CONVERT_INPUTS,
                                         fe::NumericalNote_t::REDUCED_PRECISION_REDUCTION};
  // Tensor cores take float32 only as TF32.
  if (spec.type == DType::f32 && !spec.tf32) notes.push_back(fe::NumericalNote_t::TENSOR_CORE);
  if (spec.deterministic) notes.push_back(fe::NumericalNote_t::NONDETERMINISTIC);
  return notes;
}

class CudnnProduct final : public Product {
 public:
  CudnnProduct(std::shared_ptr<const PlannedConvolution> made, std::int64_t index, std::string engine,
               std::size_t workspace_bytes)
      : made_(std::move(made)), index_(index), engine_(std::move(engine)), workspace_bytes_(workspace_bytes) {}

  std::size_t workspace_bytes() const override { return workspace_bytes_; }
  const std::string& engine() const override { return engine_; }

  void run(cudnnHandle_t handle, std::span<void* const> tensors, void* workspace) const {
    std::unordered_map<std::int64_t, void*> pointers;
    for (std::size_t i = 0; i < tensors.size(); ++i) pointers.emplace(static_cast<std::int64_t>(i), tensors[i]);
    fe::error_t error = made_->graph.execute_plan_at_index(handle, pointers, workspace, index_);
    if (error.is_bad()) throw DeviceError("cuDNN could not run {}: {}", engine_, error.get_message());
  }

 private:
  std::shared_ptr<const PlannedConvolution> made_;
  std::int64_t index_;
  std::string engine_;
  std::size_t workspace_bytes_;
};

}  // namespace

struct CudnnConvolutions::State {
  std::shared_ptr<const fe::DeviceProperties> properties;
  cudnnHandle_t handle = nullptr;
  CUstream_st* stream = nullptr;
  std::map<std::string, std::shared_ptr<PlannedConvolution>> planned;
  std::string failure;

  ~State() {
    planned.clear();
    if (handle != nullptr) cudnnDestroy(handle);
  }

  /// The graph of a spec with its list of engines, which may be empty.
  std::shared_ptr<PlannedConvolution> plan(const ConvolutionSpec& spec) {
    std::shared_ptr<PlannedConvolution>& entry = planned[text_of(spec)];
    if (entry != nullptr && !entry->names.empty()) return entry;
    entry = std::make_shared<PlannedConvolution>();
    fe::error_t error = list_engines(*entry, spec);
    if (error.is_bad()) failure = error.get_message();
    return entry;
  }

  fe::error_t list_engines(PlannedConvolution& made, const ConvolutionSpec& spec) {
    fe::graph::Graph& graph = made.graph;
    graph.set_io_data_type(type_of(spec.type))
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
    if (properties != nullptr) graph.set_device_properties(properties);
    add_operations(made, spec);
    if (fe::error_t error = graph.validate(); error.is_bad()) return error;
    fe::error_t built = handle != nullptr ? graph.build_operation_graph(handle) : graph.build_operation_graph();
    if (built.is_bad()) return built;
    fe::error_t listed = graph.create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK});
    if (listed.is_bad()) return listed;
    graph.deselect_numeric_notes(unwanted(spec));
    graph.deselect_workspace_greater_than(kMaxWorkspaceBytes);
    std::string reasons;
    for (std::int64_t i = 0; i < graph.get_execution_plan_count(); ++i) {
      std::string name;
      if (graph.get_plan_name_at_index(i, name).is_bad()) continue;
      if (fe::error_t error = made.graph.supported(i); error.is_bad()) {
        reasons += fmt::format("\n{}: {}", name, error.get_message());
      } else if (std::find(made.names.begin(), made.names.end(), name) == made.names.end()) {
        made.names.push_back(std::move(name));
        made.indices.push_back(i);
      }
    }
    if (made.names.empty()) return {fe::error_code_t::GRAPH_NOT_SUPPORTED, "every engine is ruled out:" + reasons};
    return {};
  }
};

CudnnConvolutions::CudnnConvolutions(const std::string& device_properties) : state_(std::make_unique<State>()) {
  if (device_properties.empty()) {
    const cudnnStatus_t status = cudnnCreate(&state_->handle);
    if (status != CUDNN_STATUS_SUCCESS) throw DeviceError("cuDNN does not start: {}", cudnnGetErrorString(status));
    return;
  }
  std::vector<std::uint8_t> bytes(device_properties.begin(), device_properties.end());
  bytes.push_back(0);
  auto properties = std::make_shared<fe::DeviceProperties>();
  fe::error_t error = properties->deserialize(bytes);
  if (error.is_bad()) throw DeviceError("cuDNN cannot read the GPU's properties: {}", error.get_message());
  state_->properties = std::move(properties);
}

CudnnConvolutions::~CudnnConvolutions() = default;

std::vector<std::string> CudnnConvolutions::engines(const ConvolutionSpec& spec) {
  return state_->plan(spec)->names;
}

std::unique_ptr<Product> CudnnConvolutions::make(const ConvolutionSpec& spec, const std::string& engine) {
  const std::shared_ptr<PlannedConvolution> made = state_->plan(spec);
  const auto found = std::find(made->names.begin(), made->names.end(), engine);
  if (found == made->names.end()) return nullptr;
  const std::int64_t index = made->indices[static_cast<std::size_t>(found - made->names.begin())];
  std::int64_t workspace_bytes = 0;
  fe::error_t error = made->graph.build_plan_at_index(index);
  if (!error.is_bad()) error = made->graph.get_workspace_size_plan_at_index(index, workspace_bytes);
  if (error.is_bad()) {
    state_->failure = fmt::format("{}: {}", engine, error.get_message());
    return nullptr;
  }
  return std::make_unique<CudnnProduct>(made, index, engine, static_cast<std::size_t>(workspace_bytes));
}

const std::string& CudnnConvolutions::failure() const {
  return state_->failure;
}

void CudnnConvolutions::run(const Product& product, std::span<void* const> tensors, void* workspace,
                            CUstream_st* stream) {
  if (state_->stream != stream) {
    const cudnnStatus_t status = cudnnSetStream(state_->handle, stream);
    if (status != CUDNN_STATUS_SUCCESS) throw DeviceError("cuDNN takes no stream: {}", cudnnGetErrorString(status));
    state_->stream = stream;
  }
  dynamic_cast<const CudnnProduct&>(product).run(state_->handle, tensors, workspace);
}

}  // namespace athanor::cuda
