#include "backend/cpu/onednn.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <utility>

#include "backend/cpu/onednn_primitives.h"
#include "base/error.h"
#include "kernels/isa.h"

namespace athanor::cpu {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

// Layouts of activations and weights that have a name; primitives of this list's formats give parameters a layout that
// every later run understands.
constexpr std::array<std::pair<const char*, Tag>, 5> kActivationTags{{{"plain", Tag::nchw},
                                                                      {"nhwc", Tag::nhwc},
                                                                      {"nChw16c", Tag::nChw16c},
                                                                      {"nChw8c", Tag::nChw8c},
                                                                      {"nChw4c", Tag::nChw4c}}};
constexpr std::array<std::pair<const char*, Tag>, 15> kWeightTags{{{"plain", Tag::oihw},
                                                                   {"OIhw16i16o", Tag::OIhw16i16o},
                                                                   {"OIhw16o16i", Tag::OIhw16o16i},
                                                                   {"Oihw16o", Tag::Oihw16o},
                                                                   {"Ohwi16o", Tag::Ohwi16o},
                                                                   {"OIhw8i8o", Tag::OIhw8i8o},
                                                                   {"OIhw8o8i", Tag::OIhw8o8i},
                                                                   {"Ohwi8o", Tag::Ohwi8o},
                                                                   {"OIhw8i16o2i", Tag::OIhw8i16o2i},
                                                                   {"OIhw8o16i2o", Tag::OIhw8o16i2o},
                                                                   {"OIhw4i16o4i", Tag::OIhw4i16o4i},
                                                                   {"hwio", Tag::hwio},
                                                                   {"ohwi", Tag::ohwi},
                                                                   {"ihwo", Tag::ihwo},
                                                                   {"iohw", Tag::iohw}}};
constexpr std::array<std::pair<const char*, Tag>, 8> kGroupedTags{{{"plain", Tag::goihw},
                                                                   {"gOIhw16i16o", Tag::gOIhw16i16o},
                                                                   {"gOIhw16o16i", Tag::gOIhw16o16i},
                                                                   {"gOIhw8i8o", Tag::gOIhw8i8o},
                                                                   {"gOIhw8o8i", Tag::gOIhw8o8i},
                                                                   {"Goihw16g", Tag::Goihw16g},
                                                                   {"Goihw8g", Tag::Goihw8g},
                                                                   {"hwigo", Tag::hwigo}}};

memory::dims dims_of(const Shape& shape, std::int64_t groups) {
  memory::dims dims(shape.extents().begin(), shape.extents().end());
  if (groups > 1) {
    dims[0] /= groups;
    dims.insert(dims.begin(), groups);
  }
  return dims;
}

Tag plain_tag(std::size_t rank) {
  constexpr std::array<Tag, 6> kTags{Tag::a, Tag::a, Tag::ab, Tag::abc, Tag::abcd, Tag::abcde};
  return kTags[rank];
}

/// Descriptors without a public name, by the name that we gave them: a hash of what they say, so that a plan has the
/// same names, and with them the same fingerprint, in every process.
struct Opaque {
  std::mutex mutex;
  std::map<std::string, memory::desc, std::less<>> descs;
};
Opaque& opaque() {
  static Opaque table;
  return table;
}

constexpr std::string_view kOpaquePrefix = "onednn:";

/// A layout's name without the number of groups.
Layout bare(const Layout& layout) {
  return groups_of(layout) > 1 ? layout.substr(layout.find(':') + 1) : layout;
}

template <std::size_t kCount>
const Tag* find_tag(const std::array<std::pair<const char*, Tag>, kCount>& tags, const Layout& layout) {
  for (const auto& [name, tag] : tags) {
    if (layout == name) return &tag;
  }
  return nullptr;
}

template <std::size_t kCount>
const char* find_name(const std::array<std::pair<const char*, Tag>, kCount>& tags, const memory::desc& desc,
                      const memory::dims& dims) {
  for (const auto& [name, tag] : tags) {
    const memory::desc candidate(dims, type_of(desc), tag, true);
    if (candidate && candidate == desc) return name;
  }
  return nullptr;
}

}  // namespace

void limit_onednn_isa() {
  // Where nothing is limited, oneDNN may know better sets than the three that our kernels are compiled for.
  if (kernels::active_isa() == kernels::Isa::avx2) dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2);
  if (kernels::active_isa() == kernels::Isa::baseline) dnnl::set_max_cpu_isa(dnnl::cpu_isa::sse41);
}

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

memory::data_type onednn_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return memory::data_type::f32;
    case DType::bf16:
      return memory::data_type::bf16;
    case DType::i32:
      return memory::data_type::s32;
    case DType::u8:
      return memory::data_type::u8;
    default:
      break;
  }
  ATHANOR_CHECK(false, "oneDNN has no {}", name_of(dtype));
}

std::int64_t groups_of(const Layout& layout) {
  if (layout.size() < 3 || layout[0] != 'g' || layout[1] < '0' || layout[1] > '9') return 1;
  return std::stoll(layout.substr(1));
}

memory::desc describe(const Shape& shape, DType dtype, const Layout& full_name, std::int64_t groups) {
  const memory::dims dims = dims_of(shape, std::max(groups, groups_of(full_name)));
  const Layout layout = bare(full_name);
  if (layout.starts_with(kOpaquePrefix)) {
    const std::lock_guard lock(opaque().mutex);
    return opaque().descs.at(layout);
  }
  const Tag* tag = nullptr;
  if (layout != kPlain) {
    tag = find_tag(kActivationTags, layout);
    if (tag == nullptr) tag = find_tag(kWeightTags, layout);
    if (tag == nullptr) tag = find_tag(kGroupedTags, layout);
    ATHANOR_CHECK(tag != nullptr, "no layout '{}'", layout);
  }
  return memory::desc(dims, onednn_type(dtype), tag == nullptr ? plain_tag(dims.size()) : *tag);
}

memory::desc describe_any(const Shape& shape, DType dtype, std::int64_t groups) {
  return memory::desc(dims_of(shape, groups), onednn_type(dtype), Tag::any);
}

Layout name_layout(const memory::desc& desc, const Shape& shape, DType dtype, std::int64_t groups) {
  const memory::dims dims = dims_of(shape, groups);
  if (desc == memory::desc(dims, onednn_type(dtype), plain_tag(dims.size()))) return kPlain;
  const std::string prefix = groups > 1 ? "g" + std::to_string(groups) + ":" : "";
  const char* name = groups > 1 ? find_name(kGroupedTags, desc, dims) : nullptr;
  if (name == nullptr && dims.size() == 4) name = find_name(kWeightTags, desc, dims);
  if (name == nullptr && dims.size() == 4) name = find_name(kActivationTags, desc, dims);
  if (name != nullptr) return prefix + name;
  const std::lock_guard lock(opaque().mutex);
  const Layout hashed = fmt::format("{}{:016x}", kOpaquePrefix, hash_of(desc));
  const auto [held, is_new] = opaque().descs.emplace(hashed, desc);
  ATHANOR_CHECK(is_new || held->second == desc, "two layouts hash to {}", hashed);
  return prefix + hashed;
}

std::size_t layout_bytes(const Value& value, const Layout& layout) {
  if (layout == kPlain) return BackendPlanner::dense_bytes(value);
  return describe(value.shape, value.dtype, layout).get_size();
}

std::int64_t block_channels() {
  static const bool has_avx512 = dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core;
  return has_avx512 ? 16 : 8;
}

Layout blocked_layout() {
  return block_channels() == 16 ? "nChw16c" : "nChw8c";
}

TeamSize::TeamSize(int threads) : before_(omp_get_max_threads()) {
  omp_set_num_threads(threads);
}
TeamSize::~TeamSize() {
  omp_set_num_threads(before_);
}

Step bind_primitive(const dnnl::primitive& primitive, const std::vector<Argument>& arguments) {
  struct Bound {
    dnnl::primitive primitive;
    dnnl::stream stream{engine()};
    std::vector<memory> memories;
    std::vector<dnnl_exec_arg_t> arguments;
  };
  auto bound = std::make_shared<Bound>();
  bound->primitive = primitive;
  for (const Argument& argument : arguments) {
    bound->memories.emplace_back(argument.desc, engine(), argument.data);
    bound->arguments.push_back({argument.index, bound->memories.back().get()});
  }
  return [bound] {
    const dnnl_status_t status =
        dnnl_primitive_execute(bound->primitive.get(), bound->stream.get(), static_cast<int>(bound->arguments.size()),
                               bound->arguments.data());
    ATHANOR_CHECK(status == dnnl_success, "oneDNN status {}", static_cast<int>(status));
  };
}

}  // namespace athanor::cpu
