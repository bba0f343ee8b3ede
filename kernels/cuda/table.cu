// The launchers of all kernels, in the order of kernels/cuda/registry.h. Each is `launch(const Arguments&,
// LaunchStream)` of its own .cu file.
#include <array>
#include <string>
#include <string_view>

#include "kernels/cuda/registry.h"
#include "kernels/cuda/thread_model.h"

namespace athanor::kernels::cuda {
namespace {

/// "Add" from the compiler's name of this function.
template <typename Arguments>
std::string short_name() {
  std::string_view text = __PRETTY_FUNCTION__;
  text = text.substr(text.find("Arguments = ") + 12);
  text = text.substr(0, text.find_first_of(";]"));
  const std::size_t colon = text.rfind(':');
  return std::string(colon == std::string_view::npos ? text : text.substr(colon + 1));
}

template <typename... Arguments>
std::array<std::string, sizeof...(Arguments)> names_of(KernelList<Arguments...>) {
  return {short_name<Arguments>()...};
}

}  // namespace

/// Declares the launcher of its argument struct, which another file defines.
template <typename Arguments>
void launch_any(const void* arguments, void* stream) {
  void launch(const Arguments&, LaunchStream);
  launch(*static_cast<const Arguments*>(arguments), static_cast<LaunchStream>(stream));
}

template <typename... Arguments>
constexpr std::array<Launcher, sizeof...(Arguments)> launchers_of(KernelList<Arguments...>) {
  return {launch_any<Arguments>...};
}

Launcher launcher_of(KernelId kernel) {
  static constexpr auto kLaunchers = launchers_of(AllKernels{});
  return kLaunchers[kernel];
}

const char* name_of(KernelId kernel) {
  static const auto names = names_of(AllKernels{});
  return names[kernel].c_str();
}

}  // namespace athanor::kernels::cuda
