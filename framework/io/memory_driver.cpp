#include "io/memory_driver.h"

// HDF5 1.14 keeps what drivers need in a header of its own.
#if __has_include(<H5FDdevelop.h>)
#include <H5FDdevelop.h>
#endif

#include <algorithm>
#include <cstring>
#include <memory>

namespace athanor {
namespace {

/// What an access list carries: HDF5 copies it byte by byte.
struct MemorySource {
  MemoryTarget* target;
  const std::byte* image;
  std::size_t image_bytes;
};

/// HDF5 keeps its own part of an open file in front.
struct MemoryFile {
  H5FD_t common;
  MemorySource source;
  haddr_t end_of_space;
  haddr_t end_of_file;
};

MemoryFile& file_of(H5FD_t* file) {
  return *reinterpret_cast<MemoryFile*>(file);
}
const MemoryFile& file_of(const H5FD_t* file) {
  return *reinterpret_cast<const MemoryFile*>(file);
}

constexpr haddr_t kLargestFile = (haddr_t{1} << 62) - 1;

H5FD_t* open_memory(const char*, unsigned, hid_t access, haddr_t) {
  const auto* source = static_cast<const MemorySource*>(H5Pget_driver_info(access));
  if (source == nullptr) return nullptr;
  auto file = std::make_unique<MemoryFile>();
  file->source = *source;
  file->end_of_file = source->image_bytes;
  return &file.release()->common;
}

herr_t close_memory(H5FD_t* file) {
  delete &file_of(file);
  return 0;
}

herr_t query_memory(const H5FD_t*, unsigned long* flags) {
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
           H5FD_FEAT_AGGREGATE_SMALLDATA;
  return 0;
}

haddr_t end_of_space(const H5FD_t* file, H5FD_mem_t) {
  return file_of(file).end_of_space;
}

herr_t set_end_of_space(H5FD_t* file, H5FD_mem_t, haddr_t address) {
  file_of(file).end_of_space = address;
  return 0;
}

haddr_t end_of_file(const H5FD_t* file, H5FD_mem_t) {
  return file_of(file).end_of_file;
}

herr_t read_memory(H5FD_t* handle, H5FD_mem_t, hid_t, haddr_t address, size_t bytes, void* buffer) {
  const MemoryFile& file = file_of(handle);
  if (address > file.end_of_space || bytes > file.end_of_space - address) return -1;
  if (file.source.target != nullptr) {
    file.source.target->bytes.read(address, {static_cast<std::byte*>(buffer), bytes});
    return 0;
  }
  if (address > file.source.image_bytes || bytes > file.source.image_bytes - address) return -1;
  std::memcpy(buffer, file.source.image + address, bytes);
  return 0;
}

herr_t write_memory(H5FD_t* handle, H5FD_mem_t, hid_t, haddr_t address, size_t bytes, const void* buffer) try {
  MemoryFile& file = file_of(handle);
  if (file.source.target == nullptr || address > kLargestFile - bytes) return -1;
  file.source.target->bytes.write(address, {static_cast<const std::byte*>(buffer), bytes});
  file.end_of_file = std::max<haddr_t>(file.end_of_file, address + bytes);
  return 0;
} catch (const std::bad_alloc&) {
  return -1;  // HDF5 is C: nothing may be thrown through it
}

/// HDF5's way to say how large the file is; the last call before it closes the file.
herr_t truncate_memory(H5FD_t* handle, hid_t, hbool_t) {
  MemoryFile& file = file_of(handle);
  file.end_of_file = file.end_of_space;
  if (file.source.target != nullptr) file.source.target->size = file.end_of_space;
  return 0;
}

/// HDF5 1.14 wants drivers to tell their version and number; 1.10 has no place for them.
template <typename Class>
void set_version(Class& driver) {
  if constexpr (requires { driver.version; }) {
    constexpr int kFirstNumberForTesting = 256;
    driver.version = 1;
    driver.value = kFirstNumberForTesting;
  }
}

hid_t register_driver() {
  static H5FD_class_t driver{};
  set_version(driver);
  driver.name = "athanor_memory";
  driver.maxaddr = kLargestFile;
  driver.fc_degree = H5F_CLOSE_WEAK;
  driver.fapl_size = sizeof(MemorySource);
  driver.open = open_memory;
  driver.close = close_memory;
  driver.query = query_memory;
  driver.get_eoa = end_of_space;
  driver.set_eoa = set_end_of_space;
  driver.get_eof = end_of_file;
  driver.read = read_memory;
  driver.write = write_memory;
  driver.truncate = truncate_memory;
  constexpr H5FD_mem_t map[] = H5FD_FLMAP_DICHOTOMY;
  std::copy(std::begin(map), std::end(map), std::begin(driver.fl_map));
  return H5FDregister(&driver);
}

Hdf5Handle access_to_source(const MemorySource& source) {
  static const hid_t driver = register_driver();
  Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  if (H5Pset_driver(access, driver, &source) < 0) return {-1, H5Pclose};
  return access;
}

}  // namespace

Hdf5Handle access_to(MemoryTarget& target) {
  return access_to_source({&target, nullptr, 0});
}

Hdf5Handle access_to(std::span<const std::byte> image) {
  return access_to_source({nullptr, image.data(), image.size()});
}

}  // namespace athanor
