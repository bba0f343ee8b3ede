#include "backend/cuda/plugin/library_products.h"

#include <utility>

#include "backend/cuda/plugin/cublas_matmuls.h"
#include "backend/cuda/plugin/cudnn_convolutions.h"

namespace athanor::cuda {

namespace {

/// Remembers whose product it is.
class LibraryProduct final : public Product {
 public:
  LibraryProduct(bool is_convolution, std::unique_ptr<Product> product)
      : is_convolution(is_convolution), product(std::move(product)) {}
  std::size_t workspace_bytes() const override { return product->workspace_bytes(); }
  const std::string& engine() const override { return product->engine(); }

  const bool is_convolution;
  const std::unique_ptr<Product> product;
};

}  // namespace

struct LibraryProducts::State {
  CudnnConvolutions convolutions;
  CublasMatmuls matmuls;
};

LibraryProducts::LibraryProducts() : state_(std::make_unique<State>()) {}

LibraryProducts::~LibraryProducts() = default;

std::vector<std::string> LibraryProducts::engines(const ProductSpec& spec) {
  if (const auto* convolution = std::get_if<ConvolutionSpec>(&spec)) return state_->convolutions.engines(*convolution);
  return state_->matmuls.engines(std::get<MatmulSpec>(spec));
}

std::unique_ptr<Product> LibraryProducts::make(const ProductSpec& spec, const std::string& engine) {
  const auto* const convolution = std::get_if<ConvolutionSpec>(&spec);
  auto product = convolution != nullptr ? state_->convolutions.make(*convolution, engine)
                                        : state_->matmuls.make(std::get<MatmulSpec>(spec), engine);
  if (product == nullptr) return nullptr;
  return std::make_unique<LibraryProduct>(convolution != nullptr, std::move(product));
}

void LibraryProducts::run(const Product& product, std::span<void* const> tensors, void* workspace,
                          cudaStream_t stream) {
  const auto& ours = static_cast<const LibraryProduct&>(product);
  if (ours.is_convolution)
    state_->convolutions.run(*ours.product, tensors, workspace, stream);
  else
    state_->matmuls.run(*ours.product, tensors, workspace, stream);
}

}  // namespace athanor::cuda
