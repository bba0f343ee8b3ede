// From an HDF5 image to contents, trusting nothing: the hash says that the file is as it was written, not who wrote it.
#include <array>
#include <type_traits>

#include "io/checkpoint_image.h"
#include "io/checkpoint_layout.h"
#include "io/damaged_checkpoint.h"
#include "io/durable_file.h"
#include "io/hdf5_handle.h"
#include "io/memory_driver.h"
#include "io/slabs.h"

namespace athanor {
namespace {

namespace layout = checkpoint_layout;

class Decoding {
 public:
  Decoding(std::span<const std::byte> image, const std::string& path)
      : path_(path), bytes_left_(image.size()), file_(open_file(image)) {}

  std::int64_t count(const char* name) const {
    if (H5Aexists(file_, name) <= 0) fail(name, "this attribute is missing");
    const auto value = attribute<std::int64_t>(file_, name);
    if (value < 0) fail(name, "want no negative number");
    return value;
  }

  template <typename Number>
  std::map<std::string, Number> attributes_of(const char* group_name) const {
    const Hdf5Handle group = open_group(file_, group_name);
    H5O_info_t info{};
    check(H5Oget_info(group, &info), group_name);
    std::map<std::string, Number> result;
    for (hsize_t i = 0; i < info.num_attrs; ++i) {
      const std::string name = name_from(group_name, [&](char* text, std::size_t bytes) {
        return H5Aget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, text, bytes, H5P_DEFAULT);
      });
      result[name] = attribute<Number>(group, name.c_str());
    }
    return result;
  }

  std::string recipe() { return text(file_, layout::kRecipe); }

  std::map<std::string, std::string> about() {
    std::map<std::string, std::string> result;
    const Hdf5Handle group = open_group(file_, layout::kAbout);
    for (const std::string& name : names_in(group, layout::kAbout)) result[name] = text(group, name);
    return result;
  }

  void read_tensors(const char* group_name, std::vector<CheckpointTensor>& tensors) {
    const Hdf5Handle group = open_group(file_, group_name);
    read_tensors_of(group, group_name, tensors);
  }

  void read_optimizer(std::vector<CheckpointTensor>& tensors) {
    const Hdf5Handle optimizer = open_group(file_, layout::kOptimizer);
    for (const std::string& slot : names_in(optimizer, layout::kOptimizer)) {
      const Hdf5Handle group = open_group(optimizer, slot.c_str());
      read_tensors_of(group, std::string(layout::kOptimizer) + '/' + slot, tensors);
    }
  }

 private:
  Hdf5Handle open_file(std::span<const std::byte> image) const {
    const Hdf5Handle access = access_to(image);
    check(access, "access list");
    Hdf5Handle file(H5Fopen(unique_image_name().c_str(), H5F_ACC_RDONLY, access), H5Fclose);
    check(file, "file");
    return file;
  }

  Hdf5Handle open_group(hid_t parent, const char* name) const {
    check_is_here(parent, name);
    Hdf5Handle group(H5Gopen2(parent, name, H5P_DEFAULT), H5Gclose);
    check(group, name);
    return group;
  }

  template <typename Number>
  Number attribute(hid_t parent, const char* name) const {
    constexpr bool kIsReal = std::is_floating_point_v<Number>;
    const Hdf5Handle attribute(H5Aopen(parent, name, H5P_DEFAULT), H5Aclose);
    check(attribute, name);
    const Hdf5Handle space(H5Aget_space(attribute), H5Sclose);
    const Hdf5Handle type(H5Aget_type(attribute), H5Tclose);
    if (H5Sget_simple_extent_npoints(space) != 1 || H5Tget_class(type) != (kIsReal ? H5T_FLOAT : H5T_INTEGER)) {
      fail(name, kIsReal ? "want one real number" : "want one integer");
    }
    Number value = 0;
    check(H5Aread(attribute, kIsReal ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64, &value), name);
    return value;
  }

  void read_tensors_of(hid_t group, const std::string& group_name, std::vector<CheckpointTensor>& tensors) {
    for (const std::string& name : names_in(group, group_name)) {
      tensors.push_back(tensor(group, name));
      tensors.back().group = group_name;
    }
  }

  /// A soft or external link could lead into any file of this machine.
  void check_is_here(hid_t parent, const std::string& name) const {
    if (H5Lexists(parent, name.c_str(), H5P_DEFAULT) <= 0) fail(name, "this is missing");
    H5L_info_t info{};
    check(H5Lget_info(parent, name.c_str(), &info, H5P_DEFAULT), name);
    if (info.type != H5L_TYPE_HARD) fail(name, "this is a link to elsewhere");
  }

  std::vector<std::string> names_in(hid_t group, const std::string& group_name) const {
    H5G_info_t info{};
    check(H5Gget_info(group, &info), group_name);
    std::vector<std::string> names;
    for (hsize_t i = 0; i < info.nlinks; ++i) {
      names.push_back(name_from(group_name, [&](char* text, std::size_t bytes) {
        return H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, text, bytes, H5P_DEFAULT);
      }));
    }
    return names;
  }

  /// `get(text, bytes)` writes as much of a name as fits and returns how long it is.
  template <typename Get>
  std::string name_from(const std::string& group_name, const Get& get) const {
    std::string name(layout::kMaxNameBytes + 1, '\0');
    const ssize_t bytes = get(name.data(), name.size());
    check(bytes, group_name);
    if (static_cast<std::size_t>(bytes) > layout::kMaxNameBytes) fail(group_name, "a name in it is too long");
    name.resize(static_cast<std::size_t>(bytes));
    return name;
  }

  /// Opens a dataset whose bytes lie plainly in this file, as many as `element_bytes` and its extents say, and counts
  /// them against the file's size, so that no header makes us allocate more than the file holds.
  Hdf5Handle open_dataset(hid_t parent, const std::string& name) const {
    check_is_here(parent, name);
    Hdf5Handle dataset(H5Oopen(parent, name.c_str(), H5P_DEFAULT), H5Oclose);
    check(dataset, name);
    if (H5Iget_type(dataset) != H5I_DATASET) fail(name, "want a dataset");
    const Hdf5Handle list(H5Dget_create_plist(dataset), H5Pclose);
    check(list, name);
    if (H5Pget_layout(list) != H5D_CONTIGUOUS || H5Pget_external_count(list) != 0 || H5Pget_nfilters(list) != 0) {
      fail(name, "want plain contiguous storage, without filters");
    }
    return dataset;
  }

  /// Takes `elements` of `element_bytes` each out of what the file can hold, so that nothing a header claims makes us
  /// allocate more than the file's size.
  void account(hid_t dataset, const std::string& name, std::uint64_t elements, std::uint64_t element_bytes) {
    if (elements > bytes_left_ / element_bytes || H5Dget_storage_size(dataset) != elements * element_bytes) {
      fail(name, "it claims to be larger than the file");
    }
    bytes_left_ -= elements * element_bytes;
  }

  std::string text(hid_t parent, const std::string& name) {
    const Hdf5Handle dataset = open_dataset(parent, name);
    const Hdf5Handle type(H5Dget_type(dataset), H5Tclose);
    const Hdf5Handle space(H5Dget_space(dataset), H5Sclose);
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0 || H5Sget_simple_extent_npoints(space) != 1) {
      fail(name, "want one string of fixed length");
    }
    const std::size_t bytes = H5Tget_size(type);
    account(dataset, name, bytes, 1);
    std::string result(bytes, '\0');
    check(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, result.data()), name);
    if (!result.empty() && result.back() == '\0') result.pop_back();
    return result;
  }

  CheckpointTensor tensor(hid_t parent, const std::string& name) {
    const Hdf5Handle dataset = open_dataset(parent, name);
    const Hdf5Handle type(H5Dget_type(dataset), H5Tclose);
    if (H5Tequal(type, H5T_IEEE_F32LE) <= 0) fail(name, "want little-endian 32-bit floats");
    CheckpointTensor result;
    result.name = name;
    result.shape = shape_of(dataset, name);
    result.values.resize(static_cast<std::size_t>(result.shape.elements()));
    read_values(dataset, result);
    return result;
  }

  Shape shape_of(hid_t dataset, const std::string& name) {
    const Hdf5Handle space(H5Dget_space(dataset), H5Sclose);
    const int rank = H5Sget_simple_extent_ndims(space);
    if (H5Sget_simple_extent_type(space) == H5S_NULL || rank < 0 || rank > static_cast<int>(Shape::kMaxRank)) {
      fail(name, "want at most five axes");
    }
    std::array<hsize_t, Shape::kMaxRank> extents{};
    check(H5Sget_simple_extent_dims(space, extents.data(), nullptr), name);
    std::array<std::int64_t, Shape::kMaxRank> signed_extents{};
    std::uint64_t elements = 1;
    for (int axis = 0; axis < rank; ++axis) {
      const hsize_t extent = extents[axis];
      if (extent == 0 || extent > bytes_left_ / elements)
        fail(name, "it claims to be larger than the file, or is empty");
      elements *= extent;
      signed_extents[axis] = static_cast<std::int64_t>(extent);
    }
    account(dataset, name, elements, sizeof(float));
    return Shape(std::span<const std::int64_t>(signed_extents.data(), static_cast<std::size_t>(rank)));
  }

  void read_values(hid_t dataset, CheckpointTensor& tensor) const {
    const Hdf5Handle space(H5Dget_space(dataset), H5Sclose);
    const int rank = static_cast<int>(tensor.shape.rank());
    for_each_slab(tensor.shape.extents(), kSlabBytes / sizeof(float), [&](const Slab& slab) {
      const Hdf5Handle memory(H5Screate_simple(rank, slab.count.data(), nullptr), H5Sclose);
      check(memory, tensor.name);
      if (rank > 0) {
        check(H5Sselect_hyperslab(space, H5S_SELECT_SET, slab.start.data(), nullptr, slab.count.data(), nullptr),
              tensor.name);
      }
      check(H5Dread(dataset, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, tensor.values.data() + slab.offset),
            tensor.name);
    });
  }

  template <typename Status>
  void check(const Status& status, const std::string& what) const {
    if (static_cast<hid_t>(status) < 0) fail(what, fmt::format("HDF5 cannot read it: {}", hdf5_reason()));
  }

  [[noreturn]] void fail(const std::string& what, const std::string& message) const {
    throw DamagedCheckpoint(
        "cannot read checkpoint: {}: {}: {}; this file was not written by this program: use another", path_, what,
        message);
  }

  std::string path_;
  std::uint64_t bytes_left_;
  Hdf5Handle file_;
};

}  // namespace

CheckpointContents decode_checkpoint_image(std::span<const std::byte> image, std::uint32_t version,
                                           const std::string& path) {
  const Hdf5Quiet quiet;
  Decoding decoding(image, path);
  CheckpointContents contents;
  contents.step = decoding.count(layout::kStep);
  contents.epoch = decoding.count(layout::kEpoch);
  contents.samples = decoding.count(layout::kSamples);
  contents.recipe_text = decoding.recipe();
  contents.attributes = decoding.about();
  for (const char* group : layout::kTensorGroups) decoding.read_tensors(group, contents.tensors);
  if (version == 1) return contents;
  decoding.read_optimizer(contents.tensors);
  contents.numbers = decoding.attributes_of<std::int64_t>(layout::kNumbers);
  contents.reals = decoding.attributes_of<double>(layout::kReals);
  return contents;
}

}  // namespace athanor
