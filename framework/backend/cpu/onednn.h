// The door to oneDNN: layouts by name, and execution through bound handles. What differs between oneDNN 2.6 and 3.x is
// in onednn_primitives.cpp.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "backend/cpu/op.h"
#include "base/dtype.h"
#include "base/shape.h"
#include "graph/planner.h"

namespace athanor::cpu {

/// Lets oneDNN use no better instruction set than our own kernels do (kernels::limit_isa, ATHANOR_ISA). Takes effect
/// before oneDNN's first primitive only; a back end calls it before it plans.
void limit_onednn_isa();

/// The process's CPU engine.
const dnnl::engine& engine();

dnnl::memory::data_type onednn_type(DType dtype);

/// The number of groups that a weight layout's name carries ("g4:gOIhw16i16o"), else 1.
std::int64_t groups_of(const Layout& layout);
/// The descriptor of a value in a layout. `groups` > 1, or a layout that carries groups, sees weights [O, I/g, KH, KW]
/// as [g, O/g, I/g, KH, KW].
dnnl::memory::desc describe(const Shape& shape, DType dtype, const Layout& layout, std::int64_t groups = 1);
/// The same with the layout left to the primitive.
dnnl::memory::desc describe_any(const Shape& shape, DType dtype, std::int64_t groups = 1);
/// The name of a descriptor's layout, with its groups if there are any and it is not plain; an unknown one gets a name
/// of its own that describe() understands.
Layout name_layout(const dnnl::memory::desc& desc, const Shape& shape, DType dtype, std::int64_t groups = 1);
/// Bytes of a value in a layout, padding included.
std::size_t layout_bytes(const Value& value, const Layout& layout);

/// Channels of one block of the blocked activation layout on this processor (16 with AVX-512, else 8), and its name.
std::int64_t block_channels();
Layout blocked_layout();

/// Sets the calling thread's OpenMP team for as long as it lives: primitives are made for a number of threads.
class TeamSize {
 public:
  explicit TeamSize(int threads);
  ~TeamSize();
  TeamSize(const TeamSize&) = delete;
  TeamSize& operator=(const TeamSize&) = delete;

 private:
  int before_;
};

/// One argument of a primitive: which, in what descriptor, and where it lies.
struct Argument {
  int index;
  dnnl::memory::desc desc;
  void* data;
};

/// A primitive with every argument bound to memory that stays where it is. Runs on the calling thread's team.
Step bind_primitive(const dnnl::primitive& primitive, const std::vector<Argument>& arguments);

}  // namespace athanor::cpu
