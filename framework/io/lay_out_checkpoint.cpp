// From sources to the layout of an HDF5 file. Storage is contiguous and unfiltered: every HDF5 reader can map it, and
// no decoder can be tricked. Times are not recorded, so equal contents are equal bytes.
#include <algorithm>
#include <set>
#include <string_view>
#include <tuple>

#include "base/error.h"
#include "io/checkpoint_image.h"
#include "io/checkpoint_layout.h"
#include "io/hdf5_handle.h"
#include "io/memory_driver.h"
#include "io/user_block.h"

namespace athanor {
namespace {

namespace layout = checkpoint_layout;

class LayingOut {
 public:
  LayingOut(const std::string& path, MemoryTarget& target)
      : path_(path), file_(create_file(target)), dataset_list_(H5Pcreate(H5P_DATASET_CREATE), H5Pclose) {
    check(H5Pset_obj_track_times(dataset_list_, false), "dataset list");
    // A tensor's place must be known before its values, and nothing is written there but the values.
    check(H5Pset_fill_time(dataset_list_, H5D_FILL_TIME_NEVER), "dataset list");
    check(H5Pset_alloc_time(dataset_list_, H5D_ALLOC_TIME_EARLY), "dataset list");
  }

  hid_t root() const { return file_; }

  Hdf5Handle add_group(hid_t parent, const std::string& name) {
    check_name(name);
    Hdf5Handle group(H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
    check(group, name);
    return group;
  }

  void add_number(hid_t parent, const std::string& name, std::int64_t value) {
    add_attribute(parent, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
  }

  void add_real(hid_t parent, const std::string& name, double value) {
    add_attribute(parent, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
  }

  /// A NUL-terminated string dataset: an attribute would end at 64 KB.
  void add_text(hid_t parent, const std::string& name, const std::string& text) {
    check_name(name);
    const Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
    check(H5Tset_size(type, text.size() + 1), name);
    check(H5Tset_cset(type, H5T_CSET_UTF8), name);
    const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
    const Hdf5Handle dataset = add_dataset(parent, name, type, space);
    check(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text.c_str()), name);
  }

  /// Returns where in the file its values belong.
  std::uint64_t add_tensor(hid_t parent, const TensorSource& tensor) {
    check_name(tensor.name);
    const std::vector<hsize_t> extents(tensor.shape.extents().begin(), tensor.shape.extents().end());
    const Hdf5Handle space(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), H5Sclose);
    check(space, tensor.name);
    const Hdf5Handle dataset = add_dataset(parent, tensor.name, H5T_IEEE_F32LE, space);
    const haddr_t offset = H5Dget_offset(dataset);
    if (offset == HADDR_UNDEF) fail(tensor.name);
    return offset;
  }

  /// What is not yet in memory is written by closing.
  void close() { check(file_.close(), "close"); }

 private:
  Hdf5Handle create_file(MemoryTarget& target) {
    const Hdf5Handle access = access_to(target);
    check(access, "access list");
    const Hdf5Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
    check(H5Pset_userblock(creation, kUserBlockBytes), "creation list");
    Hdf5Handle file(H5Fcreate(unique_image_name().c_str(), H5F_ACC_TRUNC, creation, access), H5Fclose);
    check(file, "file");
    return file;
  }

  Hdf5Handle add_dataset(hid_t parent, const std::string& name, hid_t type, hid_t space) {
    Hdf5Handle dataset(H5Dcreate2(parent, name.c_str(), type, space, H5P_DEFAULT, dataset_list_, H5P_DEFAULT),
                       H5Dclose);
    check(dataset, name);
    return dataset;
  }

  void add_attribute(hid_t parent, const std::string& name, hid_t file_type, hid_t memory_type, const void* value) {
    check_name(name);
    const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
    const Hdf5Handle attribute(H5Acreate2(parent, name.c_str(), file_type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    check(attribute, name);
    check(H5Awrite(attribute, memory_type, value), name);
  }

  template <typename Status>
  void check(const Status& status, std::string_view what) const {
    if (static_cast<hid_t>(status) < 0) fail(what);
  }

  [[noreturn]] void fail(std::string_view what) const {
    throw StorageError("cannot write checkpoint: {}: HDF5 fails at {}: {}; is there memory left?", path_, what,
                       hdf5_reason());
  }

  void check_name(const std::string& name) const {
    const bool good = !name.empty() && name.size() <= layout::kMaxNameBytes && name != "." &&
                      name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
    if (good) return;
    throw StorageError(
        "cannot write checkpoint: {}: the name '{}' cannot stand in HDF5; rename it (1 to {} bytes, "
        "without '/')",
        path_, name.c_str(), layout::kMaxNameBytes);
  }

  std::string path_;
  Hdf5Handle file_;
  Hdf5Handle dataset_list_;
};

/// By group and name, so that the order of the list does not show in the file.
std::vector<const TensorSource*> sorted(const std::vector<TensorSource>& tensors) {
  std::vector<const TensorSource*> result;
  for (const TensorSource& tensor : tensors) result.push_back(&tensor);
  std::sort(result.begin(), result.end(), [](const TensorSource* a, const TensorSource* b) {
    return std::tie(a->group, a->name) < std::tie(b->group, b->name);
  });
  return result;
}

void add_tensors(LayingOut& laying_out, const std::vector<TensorSource>& sources, CheckpointLayout& result) {
  const std::vector<const TensorSource*> tensors = sorted(sources);
  const auto add_those_of = [&](const std::string& group_name, hid_t group) {
    for (const TensorSource* tensor : tensors) {
      if (tensor->group == group_name) result.tensors.push_back({laying_out.add_tensor(group, *tensor), tensor});
    }
  };
  for (const char* name : layout::kTensorGroups) add_those_of(name, laying_out.add_group(laying_out.root(), name));
  const Hdf5Handle optimizer = laying_out.add_group(laying_out.root(), layout::kOptimizer);
  const std::string prefix = std::string(layout::kOptimizer) + '/';
  std::set<std::string> slots;
  for (const TensorSource* tensor : tensors) {
    if (tensor->group.starts_with(prefix)) slots.insert(tensor->group.substr(prefix.size()));
  }
  for (const std::string& slot : slots) add_those_of(prefix + slot, laying_out.add_group(optimizer, slot));
  ATHANOR_CHECK(result.tensors.size() == sources.size(), "a tensor names a group that no checkpoint has");
  std::sort(result.tensors.begin(), result.tensors.end(),
            [](const auto& a, const auto& b) { return a.offset < b.offset; });
}

}  // namespace

CheckpointLayout lay_out_checkpoint(const CheckpointSources& sources, const std::string& path) {
  const Hdf5Quiet quiet;
  CheckpointLayout result;
  MemoryTarget target;
  LayingOut laying_out(path, target);
  const CheckpointMeta& meta = sources.meta;
  laying_out.add_number(laying_out.root(), layout::kStep, meta.step);
  laying_out.add_number(laying_out.root(), layout::kEpoch, meta.epoch);
  laying_out.add_number(laying_out.root(), layout::kSamples, meta.samples);
  add_tensors(laying_out, sources.tensors, result);
  {
    const Hdf5Handle numbers = laying_out.add_group(laying_out.root(), layout::kNumbers);
    for (const auto& [name, value] : meta.numbers) laying_out.add_number(numbers, name, value);
    const Hdf5Handle reals = laying_out.add_group(laying_out.root(), layout::kReals);
    for (const auto& [name, value] : meta.reals) laying_out.add_real(reals, name, value);
    const Hdf5Handle about = laying_out.add_group(laying_out.root(), layout::kAbout);
    for (const auto& [key, text] : meta.attributes) laying_out.add_text(about, key, text);
  }
  laying_out.add_text(laying_out.root(), layout::kRecipe, meta.recipe_text);
  laying_out.close();
  result.others = std::move(target.bytes);
  result.file_bytes = target.size;
  return result;
}

}  // namespace athanor
