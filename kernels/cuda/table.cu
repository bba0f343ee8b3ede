// The launchers of all kernels, in the order of kernels/cuda/registry.h. Each is `launch(const Arguments&, LaunchStream)`
// of its own .cu file.
