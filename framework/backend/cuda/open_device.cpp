#include "backend/cuda/open_device.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "backend/cuda/plugin_interface.h"
#include "base/error.h"

#ifndef ATHANOR_CUDA_MAJOR
#define ATHANOR_CUDA_MAJOR "13"
#endif

namespace athanor::cuda {

namespace fs = std::filesystem;

namespace {

/// What libathanor_cuda.so needs, in an order in which each finds its own needs loaded. cuDNN loads the others by name
/// when it compiles kernels.
struct Needed {
  const char* file;
  const char* package;  ///< of pip
  bool required;
};
constexpr Needed kNeeded[] = {
    {"libcudart.so." ATHANOR_CUDA_MAJOR, "nvidia-cuda-runtime", true},
    {"libcublasLt.so." ATHANOR_CUDA_MAJOR, "nvidia-cublas", true},
    {"libcublas.so." ATHANOR_CUDA_MAJOR, "nvidia-cublas", false},
    {"libnvrtc.so." ATHANOR_CUDA_MAJOR, "nvidia-cuda-nvrtc", true},
    {"libcudnn.so.9", "nvidia-cudnn-cu" ATHANOR_CUDA_MAJOR, true},
    {"libnccl.so.2", "nvidia-nccl-cu" ATHANOR_CUDA_MAJOR, true},
};

/// The folder of the library that this function is in.
fs::path own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&own_folder), &info) == 0 || info.dli_fname == nullptr) return ".";
  std::error_code failed;
  const fs::path file = fs::canonical(info.dli_fname, failed);
  return failed ? fs::path(info.dli_fname).parent_path() : file.parent_path();
}

/// Another plugin, which brings what it needs: the tests' emulation of a GPU.
const char* other_plugin() {
  return std::getenv("ATHANOR_CUDA_PLUGIN");
}

fs::path plugin_file() {
  return other_plugin() != nullptr ? fs::path(other_plugin()) : own_folder() / "libathanor_cuda.so";
}

void* open_in(const std::vector<std::string>& folders, const std::string& file, std::string& error) {
  for (const std::string& folder : folders) {
    const fs::path path = fs::path(folder) / file;
    std::error_code failed;
    if (!fs::exists(path, failed)) continue;
    if (void* opened = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL)) return opened;
    error = dlerror();
  }
  return nullptr;
}

void load_needed() {
  const LibraryFolders folders = library_folders();
  for (const Needed& needed : kNeeded) {
    std::string error;
    if (open_in(folders.first, needed.file, error)) continue;
    if (dlopen(needed.file, RTLD_NOW | RTLD_GLOBAL)) continue;
    if (error.empty()) error = dlerror();
    if (open_in(folders.last, needed.file, error) || !needed.required) continue;
    throw DeviceError(
        "device is cuda, but {} cannot be loaded ({}): install it (pip install {}, or NVIDIA's packages) and name its "
        "folder in ATHANOR_CUDA_LIBRARIES, or use device=cpu",
        needed.file, error, needed.package);
  }
}

/// Loaded once and never closed: libraries of CUDA leave threads behind.
struct Plugin {
  CountDevices count = nullptr;
  OpenDevice open = nullptr;
};

const Plugin& plugin() {
  static std::mutex mutex;
  static Plugin loaded;
  const std::lock_guard lock(mutex);
  if (loaded.open != nullptr) return loaded;
  const fs::path file = plugin_file();
  std::error_code failed;
  if (!fs::exists(file, failed))
    throw DeviceError(
        "device is cuda, but this Athanor was built without CUDA (there is no {}): install the CUDA Toolkit, cuDNN and "
        "NCCL and build again with ATHANOR_CUDA=ON, or use device=cpu",
        file.string());
  if (other_plugin() == nullptr) load_needed();
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw DeviceError("device is cuda, but {} cannot be loaded: {}", file.string(), dlerror());
  loaded.count = reinterpret_cast<CountDevices>(dlsym(library, kCountDevices));
  const auto open = reinterpret_cast<OpenDevice>(dlsym(library, kOpenDevice));
  if (loaded.count == nullptr || open == nullptr)
    throw DeviceError("{} is of another version of Athanor", file.string());
  loaded.open = open;
  return loaded;
}

/// Whether the system has a driver to speak to at all.
bool has_driver() {
  std::error_code failed;
  return fs::exists("/dev/nvidiactl", failed) || fs::exists("/dev/nvidia0", failed) || fs::exists("/dev/dxg", failed);
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(':'), text.size());
    if (end > 0) parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

}  // namespace

LibraryFolders library_folders() {
  LibraryFolders folders;
  if (const char* set = std::getenv("ATHANOR_CUDA_LIBRARIES")) folders.first = split(set);
  folders.last = {"/usr/local/cuda/lib64", "/usr/local/cuda/lib", "/opt/cuda/lib64", "/usr/lib/x86_64-linux-gnu"};
  return folders;
}

int visible_devices() {
  const Plugin& opened = plugin();
  const char* error = "";
  const int count = opened.count(kPluginAbi, &error);
  if (count > 0) return count;
  throw DeviceError(
      "device is cuda, but no GPU answers{}{}{}: check that nvidia-smi lists one and that CUDA_VISIBLE_DEVICES does "
      "not "
      "hide it, or use device=cpu",
      has_driver() ? "" : " (there is no NVIDIA driver here)", *error ? ": " : "", error);
}

int ordinal_of(int local_rank, int visible) {
  return local_rank % visible;
}

std::unique_ptr<Device> open_device(int ordinal) {
  const int visible = visible_devices();
  if (ordinal >= visible) throw DeviceError("there is no GPU {}: {} are visible", ordinal, visible);
  const char* error = "";
  std::unique_ptr<Device> device(plugin().open(kPluginAbi, ordinal, &error));
  if (device == nullptr) throw DeviceError("GPU {} cannot be used: {}", ordinal, error);
  return device;
}

bool has_device() noexcept try {
  std::error_code failed;
  const bool may_answer = has_driver() || other_plugin() != nullptr;
  return may_answer && fs::exists(plugin_file(), failed) && visible_devices() > 0;
} catch (...) {
  return false;
}

}  // namespace athanor::cuda
