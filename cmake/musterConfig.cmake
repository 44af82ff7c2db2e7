# find_package(muster): muster::workload (headers and core of a plugin), muster::runner, muster_add_workload, and, where
# MUSTER_TORCH_ROOT names a LibTorch, muster::torch. All paths are relative to this file: the installed tree can be moved.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(ZLIB)
get_filename_component(muster_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

add_library(muster::workload STATIC IMPORTED)
set_target_properties(muster::workload PROPERTIES
  IMPORTED_LOCATION "${muster_prefix}/lib/muster/libmuster_core.a"
  INTERFACE_INCLUDE_DIRECTORIES "${muster_prefix}/include/muster"
  INTERFACE_COMPILE_FEATURES cxx_std_20
  INTERFACE_LINK_LIBRARIES "Threads::Threads;ZLIB::ZLIB")
add_executable(muster::runner IMPORTED)
set_target_properties(muster::runner PROPERTIES IMPORTED_LOCATION "${muster_prefix}/bin/muster-runner")

if(MUSTER_TORCH_ROOT)
  include("${CMAKE_CURRENT_LIST_DIR}/MusterTorch.cmake")
endif()
include("${CMAKE_CURRENT_LIST_DIR}/MusterWorkload.cmake")
