# LibTorch as one imported target, muster::torch. find_package(Torch) would want a whole CUDA toolkit and leak flags.
# MUSTER_TORCH_ROOT: a folder with include/ and lib/ (a site's LibTorch, or site-packages/torch of a wheel).
if(NOT MUSTER_TORCH_ROOT)
  file(GLOB torch_candidates "${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch")
  list(POP_FRONT torch_candidates torch_first)
  set(MUSTER_TORCH_ROOT "${torch_first}" CACHE PATH "LibTorch: a folder with include/ and lib/" FORCE)
endif()
if(NOT EXISTS "${MUSTER_TORCH_ROOT}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "No LibTorch in '${MUSTER_TORCH_ROOT}': run './dev setup', or give -DMUSTER_TORCH_ROOT=/path/to/libtorch")
endif()
add_library(muster_torch INTERFACE)
add_library(muster::torch ALIAS muster_torch)
target_include_directories(muster_torch SYSTEM INTERFACE
  "${MUSTER_TORCH_ROOT}/include" "${MUSTER_TORCH_ROOT}/include/torch/csrc/api/include")
target_link_libraries(muster_torch INTERFACE
  "${MUSTER_TORCH_ROOT}/lib/libtorch_cpu.so" "${MUSTER_TORCH_ROOT}/lib/libc10.so")
# libtorch.so of the wheel would pull in CUDA; the two above need only cudart and cupti, found by their own RUNPATH.
target_compile_definitions(muster_torch INTERFACE _GLIBCXX_USE_CXX11_ABI=1 USE_C10D_GLOO=0)
