#include "backend/cuda/plugin/cublas_matmuls.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>

#include "base/error.h"

namespace athanor::cuda {
namespace {

constexpr int kMaxAlgorithms = 16;
constexpr std::size_t kMaxWorkspaceBytes = std::size_t{64} << 20;
/// What the arenas guarantee of every tensor.
constexpr std::uint32_t kAlignment = 16;
/// The epilogue's pointers are known when it runs; heuristics only want to see that there are some.
void* const kAnyPointer = reinterpret_cast<void*>(std::uintptr_t{1} << 20);

void check(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS) throw DeviceError("{} failed: {}", call, cublasLtGetStatusString(status));
}

cudaDataType_t type_of(DType type) {
  switch (type) {
    case DType::f32:
      return CUDA_R_32F;
    case DType::bf16:
      return CUDA_R_16BF;
    case DType::f16:
      return CUDA_R_16F;
    default:
      ATHANOR_CHECK(false, "no matrix product has elements of type {}", athanor::name_of(type));
  }
}

cublasLtEpilogue_t epilogue_of(Epilogue epilogue) {
  switch (epilogue) {
    case Epilogue::none:
      return CUBLASLT_EPILOGUE_DEFAULT;
    case Epilogue::bias:
      return CUBLASLT_EPILOGUE_BIAS;
    case Epilogue::bias_relu:
      return CUBLASLT_EPILOGUE_RELU_BIAS;
    case Epilogue::bias_gelu:
      return CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
  }
  return CUBLASLT_EPILOGUE_DEFAULT;
}

/// Owns a descriptor of cuBLASLt.
template <typename Handle, cublasStatus_t (*destroy)(Handle)>
struct Owned {
  Handle handle = nullptr;
  Owned() = default;
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() {
    if (handle != nullptr) destroy(handle);
  }
};
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Operation = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

/// cuBLASLt counts columns first: it forms dᵀ = op(b)ᵀ · op(a)ᵀ from the same bytes, so that b stands first.
struct Description {
  Operation operation;
  Layout b, a, d;

  explicit Description(const MatmulSpec& s) {
    const cublasComputeType_t compute = s.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    check(cublasLtMatmulDescCreate(&operation.handle, compute, CUDA_R_32F), "cublasLtMatmulDescCreate");
    set(CUBLASLT_MATMUL_DESC_TRANSA, s.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, s.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(s.epilogue));
    if (s.epilogue != Epilogue::none) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, kAnyPointer);
    if (s.epilogue == Epilogue::bias_gelu) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, kAnyPointer);
      set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, s.n);
    }
    make(b, s.type, s.transpose_b ? s.k : s.n, s.transpose_b ? s.n : s.k);
    make(a, s.type, s.transpose_a ? s.m : s.k, s.transpose_a ? s.k : s.m);
    make(d, s.output, s.n, s.m);
  }

  template <typename T>
  void set(cublasLtMatmulDescAttributes_t attribute, T value) {
    check(cublasLtMatmulDescSetAttribute(operation.handle, attribute, &value, sizeof value),
          "cublasLtMatmulDescSetAttribute");
  }

 private:
  static void make(Layout& layout, DType type, std::int64_t inner, std::int64_t outer) {
    check(cublasLtMatrixLayoutCreate(&layout.handle, type_of(type), static_cast<std::uint64_t>(inner),
                                     static_cast<std::uint64_t>(outer), inner),
          "cublasLtMatrixLayoutCreate");
  }
};

template <typename T>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, T value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference.handle, attribute, &value, sizeof value),
        "cublasLtMatmulPreferenceSetAttribute");
}

std::vector<cublasLtMatmulHeuristicResult_t> heuristics(cublasLtHandle_t handle, const Description& description) {
  Preference preference;
  check(cublasLtMatmulPreferenceCreate(&preference.handle), "cublasLtMatmulPreferenceCreate");
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kMaxWorkspaceBytes);
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  for (const auto attribute :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    set(preference, attribute, kAlignment);
  }
  std::vector<cublasLtMatmulHeuristicResult_t> results(kMaxAlgorithms);
  int found = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      handle, description.operation.handle, description.b.handle, description.a.handle, description.d.handle,
      description.d.handle, preference.handle, kMaxAlgorithms, results.data(), &found);
  results.resize(status == CUBLAS_STATUS_SUCCESS ? static_cast<std::size_t>(found) : 0);
  std::erase_if(results, [](const auto& result) { return result.state != CUBLAS_STATUS_SUCCESS; });
  return results;
}

/// Every setting of an algorithm. Two that differ in none are one.
std::string name_of(const cublasLtMatmulAlgo_t& algorithm) {
  struct Setting {
    const char* name;
    cublasLtMatmulAlgoConfigAttributes_t attribute;
    std::size_t bytes;
  };
  static constexpr std::array<Setting, 9> kSettings{{{"algo", CUBLASLT_ALGO_CONFIG_ID, 4},
                                                     {"tile", CUBLASLT_ALGO_CONFIG_TILE_ID, 4},
                                                     {"stages", CUBLASLT_ALGO_CONFIG_STAGES_ID, 4},
                                                     {"split", CUBLASLT_ALGO_CONFIG_SPLITK_NUM, 4},
                                                     {"reduction", CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, 4},
                                                     {"swizzle", CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, 4},
                                                     {"option", CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, 4},
                                                     {"inner", CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, 2},
                                                     {"cluster", CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, 2}}};
  std::string name;
  for (const Setting& setting : kSettings) {
    std::uint32_t value = 0;
    std::size_t written = 0;
    if (cublasLtMatmulAlgoConfigGetAttribute(&algorithm, setting.attribute, &value, setting.bytes, &written) !=
        CUBLAS_STATUS_SUCCESS) {
      continue;
    }
    name += fmt::format("{}{}{}", name.empty() ? "" : "_", setting.name, value);
  }
  return name;
}

class CublasProduct final : public Product {
 public:
  CublasProduct(const MatmulSpec& spec, const cublasLtMatmulHeuristicResult_t& chosen, std::string engine)
      : spec_(spec),
        description_(spec),
        algorithm_(chosen.algo),
        workspace_bytes_(chosen.workspaceSize),
        engine_(std::move(engine)) {}

  std::size_t workspace_bytes() const override { return workspace_bytes_; }
  const std::string& engine() const override { return engine_; }

  void run(cublasLtHandle_t handle, std::span<void* const> tensors, void* workspace, cudaStream_t stream) const {
    if (spec_.epilogue != Epilogue::none) description_.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, tensors[3]);
    if (spec_.epilogue == Epilogue::bias_gelu) {
      description_.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, tensors[4]);
    }
    const float one = 1, zero = 0;
    check(cublasLtMatmul(handle, description_.operation.handle, &one, tensors[1], description_.b.handle, tensors[0],
                         description_.a.handle, &zero, tensors[2], description_.d.handle, tensors[2],
                         description_.d.handle, &algorithm_, workspace, workspace_bytes_, stream),
          "cublasLtMatmul");
  }

 private:
  MatmulSpec spec_;
  mutable Description description_;  ///< takes the epilogue's pointers
  cublasLtMatmulAlgo_t algorithm_;
  std::size_t workspace_bytes_;
  std::string engine_;
};

}  // namespace

CublasMatmuls::CublasMatmuls() {
  cublasLtHandle_t handle = nullptr;
  check(cublasLtCreate(&handle), "cublasLtCreate");
  handle_ = handle;
}

CublasMatmuls::~CublasMatmuls() {
  cublasLtDestroy(static_cast<cublasLtHandle_t>(handle_));
}

std::vector<std::string> CublasMatmuls::engines(const MatmulSpec& spec) {
  std::vector<std::string> names;
  for (const auto& result : heuristics(static_cast<cublasLtHandle_t>(handle_), Description(spec))) {
    std::string name = name_of(result.algo);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  }
  return names;
}

std::unique_ptr<Product> CublasMatmuls::make(const MatmulSpec& spec, const std::string& engine) {
  for (const auto& result : heuristics(static_cast<cublasLtHandle_t>(handle_), Description(spec))) {
    if (name_of(result.algo) == engine) return std::make_unique<CublasProduct>(spec, result, engine);
  }
  return nullptr;
}

void CublasMatmuls::run(const Product& product, std::span<void* const> tensors, void* workspace, CUstream_st* stream) {
  dynamic_cast<const CublasProduct&>(product).run(static_cast<cublasLtHandle_t>(handle_), tensors, workspace, stream);
}

}  // namespace athanor::cuda
