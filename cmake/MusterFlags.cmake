# One interface target carries the flags of all our code.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# Headers compile alone: target all_verify_interface_header_sets, built by `./dev check` only.
set(CMAKE_VERIFY_INTERFACE_HEADER_SETS ON)
# The built tree is laid out like the installed one, with relative library paths, so that both can be moved.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

add_library(muster_flags INTERFACE)
target_include_directories(muster_flags INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_options(muster_flags INTERFACE -Wall -Wextra -Wpedantic -Wno-missing-field-initializers)

set(MUSTER_SANITIZE "" CACHE STRING "Sanitizers: address,undefined or thread")
if(MUSTER_SANITIZE)
  target_compile_options(muster_flags INTERFACE -fsanitize=${MUSTER_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(muster_flags INTERFACE -fsanitize=${MUSTER_SANITIZE})
endif()

if(MUSTER_FUZZ)
  target_compile_options(muster_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_compile_definitions(muster_flags INTERFACE FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION)
endif()

find_program(MUSTER_CCACHE ccache)
if(MUSTER_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${MUSTER_CCACHE}")
  set(CMAKE_C_COMPILER_LAUNCHER "${MUSTER_CCACHE}")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # ccache cannot cache what uses a precompiled header without it.
    target_compile_options(muster_flags INTERFACE -fpch-preprocess)
  endif()
endif()
