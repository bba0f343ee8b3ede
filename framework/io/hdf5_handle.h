// HDF5's identifiers as values that close themselves, and its complaints as text instead of prints. Internal to io/.
#pragma once

#include <hdf5.h>

#include <atomic>
#include <string>
#include <utility>

namespace athanor {

/// An identifier and the function that closes it; negative means that the call that made it failed.
class Hdf5Handle {
 public:
  Hdf5Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  ~Hdf5Handle() {
    if (id_ >= 0) close_(id_);
  }
  Hdf5Handle(Hdf5Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Hdf5Handle& operator=(Hdf5Handle&&) = delete;

  operator hid_t() const { return id_; }
  /// Closes now; negative when that fails.
  herr_t close() { return id_ >= 0 ? close_(std::exchange(id_, -1)) : 0; }
  bool ok() const { return id_ >= 0; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

/// While one of these lives, HDF5 prints nothing on this thread's behalf.
class Hdf5Quiet {
 public:
  Hdf5Quiet() {
    H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~Hdf5Quiet() { H5Eset_auto2(H5E_DEFAULT, function_, data_); }
  Hdf5Quiet(const Hdf5Quiet&) = delete;
  Hdf5Quiet& operator=(const Hdf5Quiet&) = delete;

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

/// A name for a file that exists in memory only: HDF5 takes two of one name for one file, and refuses a name that is on
/// the disk.
inline std::string unique_image_name() {
  static std::atomic<unsigned> counter{0};
  return "/athanor checkpoint in memory/" + std::to_string(counter++);
}

/// The innermost reason of the last failure on this thread.
inline std::string hdf5_reason() {
  std::string reason;
  const auto take_first = [](unsigned, const H5E_error2_t* error, void* text) -> herr_t {
    auto& target = *static_cast<std::string*>(text);
    if (target.empty() && error->desc != nullptr) target = error->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_first, &reason);
  return reason.empty() ? "HDF5 gives no reason" : reason;
}

}  // namespace athanor
