# Hand-written CPU kernels: every file of kernels/cpu/ is compiled once per instruction set, into the namespace
# athanor::kernels::ATHANOR_ISA; kernels/dispatch.cpp chooses one at start-up.
file(GLOB ATHANOR_KERNEL_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/cpu/*.cpp)
file(GLOB ATHANOR_KERNEL_COMMON CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/*.cpp)

# The oldest processors get code that takes less time to compile.
set(ATHANOR_ISA_FLAGS_baseline -march=x86-64-v2 -O2)
set(ATHANOR_ISA_FLAGS_avx2 -march=x86-64-v3 -O3)
set(ATHANOR_ISA_FLAGS_avx512 -march=x86-64-v4 -mprefer-vector-width=512 -O3)

# The optimizer pass waits for memory, not for arithmetic: without fused multiply-add its bits are the same on every set.
set_source_files_properties(${CMAKE_SOURCE_DIR}/kernels/cpu/optimizer.cpp PROPERTIES COMPILE_OPTIONS -ffp-contract=off)
# A tile has the same bits whatever is done with it afterwards: no multiplication there is fused but where the code says so.
set_source_files_properties(${CMAKE_SOURCE_DIR}/kernels/cpu/winograd.cpp PROPERTIES COMPILE_OPTIONS -ffp-contract=off)

add_library(athanor_kernels STATIC ${ATHANOR_KERNEL_COMMON})
target_include_directories(athanor_kernels PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>
                                                  $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/framework>)
target_compile_options(athanor_kernels PRIVATE -march=x86-64-v2 -Wall -Wextra -Werror)
foreach(isa baseline avx2 avx512)
  add_library(athanor_kernels_${isa} OBJECT ${ATHANOR_KERNEL_SOURCES})
  target_include_directories(athanor_kernels_${isa} PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/framework)
  target_compile_definitions(athanor_kernels_${isa} PRIVATE ATHANOR_ISA=${isa})
  target_compile_options(athanor_kernels_${isa} PRIVATE ${ATHANOR_ISA_FLAGS_${isa}} -fno-math-errno
    -fno-trapping-math -Wall -Wextra -Werror)
  target_link_libraries(athanor_kernels_${isa} PRIVATE OpenMP::OpenMP_CXX)
  target_sources(athanor_kernels PRIVATE $<TARGET_OBJECTS:athanor_kernels_${isa}>)
  if(ATHANOR_SANITIZE)
    target_compile_options(athanor_kernels_${isa} PRIVATE -fsanitize=${ATHANOR_SANITIZE} -fno-sanitize-recover=all
      -Wno-error)
  endif()
endforeach()
target_link_libraries(athanor_kernels PUBLIC OpenMP::OpenMP_CXX)
