// Marks arithmetic that the CPU's and CUDA's kernels share.
#pragma once

// On the CPU always inlined: a copy left out of line, compiled for AVX-512, could be the one that the linker keeps for
// all.
#ifndef ATHANOR_HOST_DEVICE
#ifdef __CUDACC__
#define ATHANOR_HOST_DEVICE __host__ __device__
#else
#define ATHANOR_HOST_DEVICE [[gnu::always_inline]]
#endif
#endif
