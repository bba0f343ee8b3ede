#include "backend/cuda/plugin/library_products.h"

#include "base/error.h"

namespace athanor::cuda {

struct LibraryProducts::State {};

LibraryProducts::LibraryProducts() : state_(std::make_unique<State>()) {}

LibraryProducts::~LibraryProducts() = default;

std::vector<std::string> LibraryProducts::engines(const ProductSpec&) {
  return {};
}

std::unique_ptr<Product> LibraryProducts::make(const ProductSpec&, const std::string&) {
  return nullptr;
}

void LibraryProducts::run(const Product& product, std::span<void* const>, void*, cudaStream_t) {
  throw DeviceError("no library here runs {}", product.engine());
}

}  // namespace athanor::cuda
