#include "kernels/cuda/tree_add.h"

#include "kernels/cuda/thread_model.h"

namespace athanor::kernels::cuda {
namespace {

constexpr int kThreads = 256;

template <int kPack>
ATHANOR_KERNEL __launch_bounds__(kThreads) tree_add(TreeAdd args, std::int64_t packs) {
  for (std::int64_t i = grid_thread(); i < packs; i += grid_threads()) {
    auto left = load_pack<kPack>(args.left + i * kPack);
    const auto right = load_pack<kPack>(args.right + i * kPack);
    for (int k = 0; k < kPack; ++k) left[k] = left[k] + right[k];
    store_pack(args.target + i * kPack, left);
  }
}

}  // namespace

void launch(const TreeAdd& args, LaunchStream stream) {
  const bool is_wide = is_aligned(args.left, 16) && is_aligned(args.right, 16) && is_aligned(args.target, 16);
  const std::int64_t packs = is_wide ? args.count / 4 : 0, rest = args.count - packs * 4;
  if (packs > 0) {
    launch_independent(tree_add<4>, Dim3(grid_for(packs, kThreads)), Dim3(kThreads), 0, stream, args, packs);
  }
  if (rest == 0) return;
  const TreeAdd tail{args.left + packs * 4, args.right + packs * 4, args.target + packs * 4, rest};
  launch_independent(tree_add<1>, Dim3(grid_for(rest, kThreads)), Dim3(kThreads), 0, stream, tail, rest);
}

}  // namespace athanor::kernels::cuda
