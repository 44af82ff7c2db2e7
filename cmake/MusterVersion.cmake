# muster_version: core/version.hpp's library. The commit is asked for at each build, and a commit recompiles one file.
if(CMAKE_SCRIPT_MODE_FILE)
  find_package(Git QUIET)
  set(COMMIT "")
  if(Git_FOUND AND EXISTS "${SOURCE}/.git")
    # A checkout may belong to somebody else than the user who builds (CI, containers).
    execute_process(COMMAND "${GIT_EXECUTABLE}" -c safe.directory=* describe --always --exclude=* --abbrev=12 --dirty=+
      WORKING_DIRECTORY "${SOURCE}" OUTPUT_VARIABLE COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  if(COMMIT)
    set(TEXT "${VERSION} (${COMMIT})")
  else()
    set(TEXT "${VERSION}")
  endif()
  configure_file("${CMAKE_CURRENT_LIST_DIR}/version.cpp.in" "${OUTPUT}" @ONLY)
  return()
endif()

set(version_source "${PROJECT_BINARY_DIR}/generated/version.cpp")
add_custom_target(muster_version_source BYPRODUCTS "${version_source}"
  COMMAND "${CMAKE_COMMAND}" "-DSOURCE=${PROJECT_SOURCE_DIR}" "-DVERSION=${PROJECT_VERSION}" "-DOUTPUT=${version_source}"
    -P "${CMAKE_CURRENT_LIST_FILE}"
  COMMENT "" VERBATIM)
add_library(muster_version STATIC "${version_source}")
target_sources(muster_version PUBLIC FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}" FILES
  "${PROJECT_SOURCE_DIR}/core/version.hpp")
target_link_libraries(muster_version PUBLIC muster_flags)
add_dependencies(muster_version muster_version_source)
