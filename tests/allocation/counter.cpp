// The allocator of this program: glibc's, with a counter before it. malloc and its kin and operator new are defined
// here, which replaces them for every library in the process; the address that a call returns to says who asked.
#include "allocation/counter.h"

#include <dlfcn.h>
#include <unwind.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <oneapi/dnnl/dnnl.hpp>

#include "models/model.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ATHANOR_COUNTS_ALLOCATIONS 0
#else
#define ATHANOR_COUNTS_ALLOCATIONS 1
#endif

namespace {

std::atomic<bool> counting{false};
std::atomic<long> ours{0}, libraries{0};

/// Where the object file that holds an address begins.
const void* object_of(const void* address) {
  Dl_info info;
  return dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
}

struct Objects {
  const void* program = object_of(reinterpret_cast<const void*>(&object_of));
  const void* athanor = object_of(reinterpret_cast<const void*>(&athanor::build_model));
  const void* onednn = object_of(reinterpret_cast<const void*>(&dnnl_primitive_execute));
};
Objects objects;

}  // namespace

namespace athanor::testing {

AllocationCount allocations_during(const std::function<void()>& act) {
  ours = 0;
  libraries = 0;
  counting = true;
  act();
  counting = false;
  return {ours.load(), libraries.load()};
}

bool can_count_allocations() {
  return ATHANOR_COUNTS_ALLOCATIONS != 0;
}

}  // namespace athanor::testing

#if ATHANOR_COUNTS_ALLOCATIONS

// What glibc's own malloc and its kin are called beside their names in the standard.
extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* memory, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
void __libc_free(void* memory);
}

namespace {

_Unwind_Reason_Code stop_in_onednn(_Unwind_Context* frame, void* found) {
  if (object_of(reinterpret_cast<const void*>(_Unwind_GetIP(frame))) != objects.onednn) return _URC_NO_REASON;
  *static_cast<bool*>(found) = true;
  return _URC_END_OF_STACK;
}

/// Templates of the standard library that oneDNN and Athanor both use are linked once, so that oneDNN's strings may
/// grow in code of ours: only the whole stack tells.
bool asked_by_onednn() {
  bool found = false;
  _Unwind_Backtrace(&stop_in_onednn, &found);
  return found;
}

/// A container of our code asks from inside libstdc++ too, so that only oneDNN's calls are not ours.
void count_new() {
  if (!counting.load(std::memory_order_relaxed)) return;
  (asked_by_onednn() ? libraries : ours).fetch_add(1, std::memory_order_relaxed);
}

void count_malloc(const void* caller) {
  if (!counting.load(std::memory_order_relaxed)) return;
  const void* object = object_of(caller);
  const bool is_ours = (object == objects.program || object == objects.athanor) && !asked_by_onednn();
  (is_ours ? ours : libraries).fetch_add(1, std::memory_order_relaxed);
}

void* not_null(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

extern "C" {
void* malloc(std::size_t bytes) {
  count_malloc(__builtin_return_address(0));
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  count_malloc(__builtin_return_address(0));
  return __libc_calloc(count, bytes);
}
void* realloc(void* memory, std::size_t bytes) {
  count_malloc(__builtin_return_address(0));
  return __libc_realloc(memory, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  count_malloc(__builtin_return_address(0));
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  count_malloc(__builtin_return_address(0));
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
  count_malloc(__builtin_return_address(0));
  *memory = __libc_memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}
void free(void* memory) {
  __libc_free(memory);
}
}

void* operator new(std::size_t bytes) {
  count_new();
  return not_null(__libc_malloc(bytes));
}
void* operator new[](std::size_t bytes) {
  count_new();
  return not_null(__libc_malloc(bytes));
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  count_new();
  return not_null(__libc_memalign(static_cast<std::size_t>(alignment), bytes));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  count_new();
  return not_null(__libc_memalign(static_cast<std::size_t>(alignment), bytes));
}
void operator delete(void* memory) noexcept {
  __libc_free(memory);
}
void operator delete[](void* memory) noexcept {
  __libc_free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  __libc_free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  __libc_free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  __libc_free(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  __libc_free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  __libc_free(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  __libc_free(memory);
}

#endif
