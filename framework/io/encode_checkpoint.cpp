// From contents to an HDF5 image. Storage is contiguous and unfiltered: every HDF5 reader can map it, and no decoder
// can be tricked. Times are not recorded, so equal contents are equal bytes.
#include <string_view>

#include "base/error.h"
#include "io/checkpoint_image.h"
#include "io/checkpoint_layout.h"
#include "io/durable_file.h"
#include "io/hdf5_handle.h"
#include "io/slabs.h"
#include "io/user_block.h"

namespace athanor {
namespace {

namespace layout = checkpoint_layout;

class Encoding {
 public:
  explicit Encoding(const std::string& path)
      : path_(path), file_(create_file()), dataset_list_(H5Pcreate(H5P_DATASET_CREATE), H5Pclose) {
    check(H5Pset_obj_track_times(dataset_list_, false), "dataset list");
    // Without this HDF5 would first fill what is then written over.
    check(H5Pset_fill_time(dataset_list_, H5D_FILL_TIME_NEVER), "dataset list");
    check(H5Pset_alloc_time(dataset_list_, H5D_ALLOC_TIME_EARLY), "dataset list");
  }

  void add_number(const char* name, std::int64_t value) {
    const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
    const Hdf5Handle attribute(H5Acreate2(file_, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    check(attribute, name);
    check(H5Awrite(attribute, H5T_NATIVE_INT64, &value), name);
  }

  Hdf5Handle add_group(const char* name) {
    Hdf5Handle group(H5Gcreate2(file_, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
    check(group, name);
    return group;
  }

  /// A NUL-terminated string dataset: an attribute would end at 64 KB.
  void add_text(hid_t parent, const std::string& name, const std::string& text) {
    check_name(name);
    const Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
    check(H5Tset_size(type, text.size() + 1), name);
    check(H5Tset_cset(type, H5T_CSET_UTF8), name);
    const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
    const Hdf5Handle dataset(H5Dcreate2(parent, name.c_str(), type, space, H5P_DEFAULT, dataset_list_, H5P_DEFAULT),
                             H5Dclose);
    check(dataset, name);
    check(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text.c_str()), name);
  }

  void add_tensor(hid_t parent, const CheckpointTensor& tensor) {
    check_name(tensor.name);
    ATHANOR_CHECK(tensor.shape.elements() == static_cast<std::int64_t>(tensor.values.size()), "{}: {} values for {}",
                  tensor.name, tensor.values.size(), tensor.shape.text());
    const std::vector<hsize_t> extents(tensor.shape.extents().begin(), tensor.shape.extents().end());
    const Hdf5Handle space(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), H5Sclose);
    check(space, tensor.name);
    const Hdf5Handle dataset(
        H5Dcreate2(parent, tensor.name.c_str(), H5T_IEEE_F32LE, space, H5P_DEFAULT, dataset_list_, H5P_DEFAULT),
        H5Dclose);
    check(dataset, tensor.name);
    for_each_slab(tensor.shape.extents(), kSlabBytes / sizeof(float), [&](const Slab& slab) {
      const int rank = static_cast<int>(extents.size());
      const Hdf5Handle memory(H5Screate_simple(rank, slab.count.data(), nullptr), H5Sclose);
      check(memory, tensor.name);
      if (rank > 0) {
        check(H5Sselect_hyperslab(space, H5S_SELECT_SET, slab.start.data(), nullptr, slab.count.data(), nullptr),
              tensor.name);
      }
      check(H5Dwrite(dataset, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, tensor.values.data() + slab.offset),
            tensor.name);
    });
  }

  hid_t root() const { return file_; }

  std::vector<std::byte> take_image() {
    check(H5Fflush(file_, H5F_SCOPE_GLOBAL), "flush");
    // HDF5 leaves the user block out of what it calls the image.
    const ssize_t bytes = H5Fget_file_image(file_, nullptr, 0);
    check(bytes, "image");
    std::vector<std::byte> image(static_cast<std::size_t>(bytes));
    check(H5Fget_file_image(file_, image.data(), image.size()), "image");
    return image;
  }

 private:
  Hdf5Handle create_file() {
    const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
    check(H5Pset_fapl_core(access, kSlabBytes, false), "access list");
    const Hdf5Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
    check(H5Pset_userblock(creation, kUserBlockBytes), "creation list");
    Hdf5Handle file(H5Fcreate(unique_image_name().c_str(), H5F_ACC_TRUNC, creation, access), H5Fclose);
    check(file, "file");
    return file;
  }

  template <typename Status>
  void check(const Status& status, std::string_view what) const {
    if (static_cast<hid_t>(status) >= 0) return;
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

}  // namespace

std::vector<std::byte> encode_checkpoint_image(const CheckpointContents& contents, const std::string& path) {
  const Hdf5Quiet quiet;
  Encoding encoding(path);
  encoding.add_number(layout::kStep, contents.step);
  encoding.add_number(layout::kEpoch, contents.epoch);
  encoding.add_number(layout::kSamples, contents.samples);
  std::size_t written = 0;
  for (const char* name : layout::kTensorGroups) {
    const Hdf5Handle group = encoding.add_group(name);
    for (const CheckpointTensor& tensor : contents.tensors) {
      if (tensor.group != name) continue;
      encoding.add_tensor(group, tensor);
      ++written;
    }
  }
  ATHANOR_CHECK(written == contents.tensors.size(), "a tensor names a group that no checkpoint has");
  const Hdf5Handle about = encoding.add_group(layout::kAbout);
  for (const auto& [key, text] : contents.attributes) encoding.add_text(about, key, text);
  encoding.add_text(encoding.root(), layout::kRecipe, contents.recipe_text);
  return encoding.take_image();
}

}  // namespace athanor
