#include "comm/mpi_types.h"

#include <algorithm>
#include <type_traits>

#include "base/dtype.h"

namespace athanor {
namespace {

/// inout = in ⊕ inout in float, rounded once, as MPI_User_function has it.
template <typename Number, ReduceOp kOp>
void combine(void* in, void* inout, int* count, MPI_Datatype*) {
  const auto* a = static_cast<const Number*>(in);
  auto* b = static_cast<Number*>(inout);
  for (int i = 0; i < *count; ++i) {
    const float x = static_cast<float>(a[i]), y = static_cast<float>(b[i]);
    b[i] = Number(kOp == ReduceOp::sum ? x + y : kOp == ReduceOp::max ? std::max(x, y) : std::min(x, y));
  }
}

template <typename Number>
void create(MPI_Op (&ops)[3]) {
  constexpr int kCommutes = 1;
  MPI_Op_create(combine<Number, ReduceOp::sum>, kCommutes, &ops[static_cast<int>(ReduceOp::sum)]);
  MPI_Op_create(combine<Number, ReduceOp::max>, kCommutes, &ops[static_cast<int>(ReduceOp::max)]);
  MPI_Op_create(combine<Number, ReduceOp::min>, kCommutes, &ops[static_cast<int>(ReduceOp::min)]);
}

MPI_Datatype type_of(DType type) {
  switch (type) {
    case DType::f32:
      return MPI_FLOAT;
    case DType::f64:
      return MPI_DOUBLE;
    case DType::bf16:
    case DType::f16:
      return MPI_UINT16_T;
    case DType::i32:
      return MPI_INT32_T;
    case DType::i64:
      return MPI_INT64_T;
    case DType::u8:
      break;
  }
  return MPI_UINT8_T;
}

}  // namespace

MpiOperations::MpiOperations() {
  create<BFloat16>(bf16_);
  create<Float16>(f16_);
}

void MpiOperations::release() {
  for (auto* ops : {&bf16_, &f16_}) {
    for (MPI_Op& op : *ops) MPI_Op_free(&op);
  }
}

MpiReduction MpiOperations::of(DType type, ReduceOp op) const {
  const auto index = static_cast<std::size_t>(op);
  if (type == DType::bf16) return {MPI_UINT16_T, bf16_[index]};
  if (type == DType::f16) return {MPI_UINT16_T, f16_[index]};
  return {type_of(type), op == ReduceOp::sum ? MPI_SUM : op == ReduceOp::max ? MPI_MAX : MPI_MIN};
}

}  // namespace athanor
