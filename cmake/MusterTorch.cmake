# LibTorch as one imported target, muster::torch. find_package(Torch) would want a whole CUDA toolkit and leak flags.
# MUSTER_TORCH_ROOT: a folder with include/ and lib/ (a site's LibTorch, or site-packages/torch of a wheel).
# A workload finds it through MUSTER_TORCH_RPATH.
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
# libtorch.so of the wheel would pull in CUDA; these two need only cudart and cupti, found by their own RPATH.
target_link_libraries(muster_torch INTERFACE
  "${MUSTER_TORCH_ROOT}/lib/libtorch_cpu.so" "${MUSTER_TORCH_ROOT}/lib/libc10.so")
target_compile_definitions(muster_torch INTERFACE _GLIBCXX_USE_CXX11_ABI=1 USE_C10D_GLOO=0)
if(MUSTER_CUDA)
  # Nothing refers to the GPU half by name: it registers itself when it is loaded.
  target_link_libraries(muster_torch INTERFACE -Wl,--push-state,--no-as-needed
    "${MUSTER_TORCH_ROOT}/lib/libtorch_cuda.so" "${MUSTER_TORCH_ROOT}/lib/libc10_cuda.so" -Wl,--pop-state)
endif()

if(NOT PROJECT_NAME STREQUAL "muster")
  return()
endif()
# A LibTorch inside the tree is found by relative paths, from the built tree and from the installed one, which takes a
# copy of what is needed of it: so both can be moved. A site's own stays where it is.
cmake_path(IS_PREFIX PROJECT_SOURCE_DIR "${MUSTER_TORCH_ROOT}" NORMALIZE torch_in_tree)
if(torch_in_tree AND NOT MUSTER_CUDA)
  file(RELATIVE_PATH torch_relative "${PROJECT_BINARY_DIR}/lib/muster/workloads" "${MUSTER_TORCH_ROOT}/lib")
  set(MUSTER_TORCH_RPATH "\$ORIGIN/../torch;\$ORIGIN/${torch_relative}")
  file(GLOB torch_runtime "${MUSTER_TORCH_ROOT}/lib/libgomp*.so*" "${MUSTER_TORCH_ROOT}/../nvidia/cu13/lib/libcudart.so.*"
    "${MUSTER_TORCH_ROOT}/../nvidia/cu13/lib/libcupti.so.*")
  install(FILES "${MUSTER_TORCH_ROOT}/lib/libtorch_cpu.so" "${MUSTER_TORCH_ROOT}/lib/libc10.so" ${torch_runtime}
    DESTINATION lib/muster/torch COMPONENT torch)
else()
  set(MUSTER_TORCH_RPATH "${MUSTER_TORCH_ROOT}/lib")
endif()
