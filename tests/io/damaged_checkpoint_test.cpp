// Files that are not what write_checkpoint wrote: none may load, each must say what is wrong.
#include <gmock/gmock.h>
#include <hdf5.h>
#include <sys/stat.h>

#include <functional>

#include "tests/io/sample.h"

namespace athanor::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kPlaces = 200;

class DamagedCheckpoint : public ::testing::Test {
 protected:
  DamagedCheckpoint() {
    write_checkpoint(path_, sample_contents());
    good_ = file_bytes(path_);
  }

  std::string error_of(const std::vector<std::byte>& bytes) {
    write_bytes(path_, bytes);
    const std::string verified = storage_error_of([&] { verify_checkpoint(path_); });
    EXPECT_THAT(verified, HasSubstr(path_.string()));
    EXPECT_EQ(storage_error_of([&] { read_checkpoint(path_); }), verified);
    return verified;
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "a.h5";
  std::vector<std::byte> good_;
};

TEST_F(DamagedCheckpoint, ABitFlippedAnywhereNeverLoads) {
  RandomStream stream(11, Purpose::test, 0, key_of("flips"));
  for (int i = 0; i < kPlaces; ++i) {
    std::vector<std::byte> bytes = good_;
    // Every other flip lies in the head, which the hash does not cover.
    const std::size_t at = stream.below(static_cast<std::uint32_t>(i % 2 == 0 ? kUserBlockBytes : bytes.size()));
    bytes[at] ^= std::byte{1} << stream.below(8);
    EXPECT_FALSE(error_of(bytes).empty()) << "flipped at " << at;
  }
}

TEST_F(DamagedCheckpoint, TruncatedAnywhereNeverLoads) {
  RandomStream stream(11, Purpose::test, 0, key_of("cuts"));
  for (int i = 0; i < kPlaces; ++i) {
    std::vector<std::byte> bytes = good_;
    const std::size_t size = stream.below(static_cast<std::uint32_t>(i % 2 == 0 ? kUserBlockBytes + 8 : bytes.size()));
    bytes.resize(size);
    EXPECT_FALSE(error_of(bytes).empty()) << "cut to " << size;
  }
}

TEST_F(DamagedCheckpoint, SaysWhatIsWrong) {
  std::vector<std::byte> bytes = good_;
  bytes.resize(bytes.size() - 1);
  EXPECT_THAT(error_of(bytes), HasSubstr("truncated"));
  bytes = good_;
  bytes.push_back(std::byte{0});
  EXPECT_THAT(error_of(bytes), HasSubstr("wrong length"));
  bytes = good_;
  bytes.back() ^= std::byte{1};
  EXPECT_THAT(error_of(bytes), HasSubstr("damaged"));
  bytes = good_;
  bytes[8] = std::byte{3};
  EXPECT_THAT(error_of(bytes), AllOf(HasSubstr("format version is 3"), HasSubstr("newer")));
  EXPECT_THAT(error_of({}), HasSubstr("empty"));
  EXPECT_THAT(error_of(std::vector<std::byte>(4096, std::byte{'x'})), HasSubstr("not an Athanor checkpoint"));
  EXPECT_THAT(error_of({good_.begin() + kUserBlockBytes, good_.end()}), HasSubstr("not written by Athanor"));
}

TEST_F(DamagedCheckpoint, WhatIsNoFileIsRefusedAtOnce) {
  EXPECT_THAT(storage_error_of([&] { read_checkpoint(folder_.path()); }), HasSubstr("not a regular file"));
  ASSERT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(storage_error_of([&] { read_checkpoint(folder_ / "pipe"); }), HasSubstr("not a regular file"));
}

TEST_F(DamagedCheckpoint, AFileLargerThanARunsOwnIsRefused) {
  EXPECT_NO_THROW(read_checkpoint(path_, good_.size()));
  EXPECT_THAT(storage_error_of([&] { read_checkpoint(path_, good_.size() - 1); }), HasSubstr("another network"));
}

/// Lets `change` alter the HDF5 file, then makes the head right again, as somebody who means harm would.
void forge(const std::filesystem::path& path, const std::function<void(hid_t file)>& change,
           std::uint32_t version = kCheckpointFormat) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  ASSERT_GE(file, 0);
  change(file);
  ASSERT_GE(H5Fclose(file), 0);
  std::vector<std::byte> bytes = file_bytes(path);
  const std::span<const std::byte> rest = std::span(bytes).subspan(kUserBlockBytes);
  ContentHasher hasher;
  hasher.add(rest);
  const UserBlockBytes head = encode_user_block({version, rest.size(), hasher.result()});
  std::copy(head.begin(), head.end(), bytes.begin());
  write_bytes(path, bytes);
}

void add_dataset(hid_t file, const char* name, hid_t type, std::vector<hsize_t> extents, hid_t list = H5P_DEFAULT) {
  const hid_t space = H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr);
  const hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
  EXPECT_GE(dataset, 0);
  H5Dclose(dataset);
  H5Sclose(space);
}

TEST_F(DamagedCheckpoint, AnUnchangedForgeryLoads) {
  forge(path_, [](hid_t) {});
  EXPECT_EQ(read_checkpoint(path_).tensors.size(), sample_contents().tensors.size());
}

TEST_F(DamagedCheckpoint, GroupsOfLaterProgramsAreIgnored) {
  forge(path_, [](hid_t file) {
    H5Gclose(H5Gcreate2(file, "later", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    add_dataset(file, "later/step", H5T_STD_I64LE, {4});
  });
  EXPECT_EQ(read_checkpoint(path_).tensors.size(), sample_contents().tensors.size());
}

TEST_F(DamagedCheckpoint, VersionOneHadNoOptimizerAndNoNumbers) {
  const auto remove = [](hid_t file) {
    for (const char* group : {"optimizer", "numbers", "reals"}) H5Ldelete(file, group, H5P_DEFAULT);
  };
  forge(path_, remove, 1);
  CheckpointContents want = sample_contents();
  want.numbers.clear();
  want.reals.clear();
  std::erase_if(want.tensors, [](const CheckpointTensor& tensor) { return tensor.group.starts_with("optimizer"); });
  EXPECT_TRUE(same_contents(read_checkpoint(path_), want));
}

struct Forgery {
  const char* name;
  void (*change)(hid_t file);
  const char* message;
};

void PrintTo(const Forgery& forgery, std::ostream* out) {
  *out << forgery.name;
}

class ForgedCheckpoint : public DamagedCheckpoint, public ::testing::WithParamInterface<Forgery> {};

TEST_P(ForgedCheckpoint, IsRefused) {
  forge(path_, GetParam().change);
  EXPECT_NO_THROW(verify_checkpoint(path_));
  EXPECT_THAT(storage_error_of([&] { read_checkpoint(path_); }),
              AllOf(HasSubstr(path_.string()), HasSubstr(GetParam().message)));
}

void link_softly(hid_t file) {
  H5Lcreate_soft("/parameters/fc.bias", file, "parameters/soft", H5P_DEFAULT, H5P_DEFAULT);
}
void link_externally(hid_t file) {
  H5Lcreate_external("/etc/passwd", "/x", file, "parameters/external", H5P_DEFAULT, H5P_DEFAULT);
}
void link_group_externally(hid_t file) {
  H5Ldelete(file, "average", H5P_DEFAULT);
  H5Lcreate_external("/etc/passwd", "/x", file, "average", H5P_DEFAULT, H5P_DEFAULT);
}
void link_often(hid_t file) {
  for (int i = 0; i < 100; ++i) {
    H5Lcreate_hard(file, "parameters/fc.weight", file, ("parameters/again" + std::to_string(i)).c_str(), H5P_DEFAULT,
                   H5P_DEFAULT);
  }
}
void link_in_a_circle(hid_t file) {
  H5Lcreate_hard(file, "/", file, "parameters/root", H5P_DEFAULT, H5P_DEFAULT);
}
void claim_much(hid_t file) {
  add_dataset(file, "parameters/huge", H5T_IEEE_F32LE, {1u << 31, 1u << 31, 4});
}
void add_doubles(hid_t file) {
  add_dataset(file, "parameters/double", H5T_IEEE_F64LE, {4});
}
void add_axes(hid_t file) {
  add_dataset(file, "parameters/axes", H5T_IEEE_F32LE, {1, 1, 1, 1, 1, 1});
}
void compress(hid_t file) {
  const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk = 4;
  H5Pset_chunk(list, 1, &chunk);
  H5Pset_shuffle(list);
  add_dataset(file, "parameters/packed", H5T_IEEE_F32LE, {4}, list);
  H5Pclose(list);
}
void store_externally(hid_t file) {
  const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_external(list, "/etc/passwd", 0, 16);
  add_dataset(file, "parameters/outside", H5T_IEEE_F32LE, {4}, list);
  H5Pclose(list);
}
void lose_recipe(hid_t file) {
  H5Ldelete(file, "recipe", H5P_DEFAULT);
}
void lose_step(hid_t file) {
  H5Adelete(file, "step");
}
void link_slot_softly(hid_t file) {
  H5Lcreate_soft("/parameters", file, "optimizer/soft", H5P_DEFAULT, H5P_DEFAULT);
}
void put_tensor_for_slot(hid_t file) {
  add_dataset(file, "optimizer/flat", H5T_IEEE_F32LE, {4});
}
void add_attribute(hid_t file, const char* group, hid_t type, hsize_t count) {
  const hid_t space = H5Screate_simple(1, &count, nullptr);
  const hid_t attribute = H5Acreate_by_name(file, group, "odd", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  EXPECT_GE(attribute, 0);
  H5Aclose(attribute);
  H5Sclose(space);
}
void make_number_real(hid_t file) {
  add_attribute(file, "numbers", H5T_IEEE_F64LE, 1);
}
void make_real_long(hid_t file) {
  add_attribute(file, "reals", H5T_IEEE_F64LE, 100);
}
void store_virtually(hid_t file) {
  const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t extent = 4;
  const hid_t space = H5Screate_simple(1, &extent, nullptr);
  H5Pset_virtual(list, space, "/etc/passwd", "x", space);
  add_dataset(file, "parameters/virtual", H5T_IEEE_F32LE, {extent}, list);
  H5Sclose(space);
  H5Pclose(list);
}
void number_recipe(hid_t file) {
  H5Ldelete(file, "recipe", H5P_DEFAULT);
  add_dataset(file, "recipe", H5T_IEEE_F32LE, {4});
}

INSTANTIATE_TEST_SUITE_P(, ForgedCheckpoint,
                         ::testing::Values(Forgery{"SoftLink", link_softly, "link to elsewhere"},
                                           Forgery{"ExternalLink", link_externally, "link to elsewhere"},
                                           Forgery{"ExternalGroup", link_group_externally, "link to elsewhere"},
                                           Forgery{"ManyLinksToOneTensor", link_often, "larger than the file"},
                                           Forgery{"Circle", link_in_a_circle, "want a dataset"},
                                           Forgery{"HugeTensor", claim_much, "larger than the file"},
                                           Forgery{"Doubles", add_doubles, "32-bit floats"},
                                           Forgery{"SixAxes", add_axes, "five axes"},
                                           Forgery{"Filter", compress, "without filters"},
                                           Forgery{"ExternalStorage", store_externally, "plain contiguous storage"},
                                           Forgery{"VirtualStorage", store_virtually, "plain contiguous storage"},
                                           Forgery{"SlotIsALink", link_slot_softly, "link to elsewhere"},
                                           Forgery{"SlotIsATensor", put_tensor_for_slot, "HDF5 cannot read it"},
                                           Forgery{"NumberIsReal", make_number_real, "want one integer"},
                                           Forgery{"RealIsLong", make_real_long, "want one real number"},
                                           Forgery{"NoRecipe", lose_recipe, "missing"},
                                           Forgery{"NoStep", lose_step, "missing"},
                                           Forgery{"RecipeOfNumbers", number_recipe, "want one string"}),
                         [](const ::testing::TestParamInfo<Forgery>& info) { return info.param.name; });

}  // namespace
}  // namespace athanor::test
