# The installed tree: bin/, lib/muster/, share/muster/, and
# what `find_package(muster)` needs to build a plugin (include/muster, lib/cmake/muster).
foreach(program muster muster-shim muster-runner)
  if(TARGET ${program})
    add_dependencies(programs ${program})
    install(TARGETS ${program} RUNTIME DESTINATION bin)
  endif()
endforeach()
install(TARGETS muster_core ARCHIVE DESTINATION lib/muster FILE_SET HEADERS DESTINATION include/muster)
install(FILES "${PROJECT_SOURCE_DIR}/runner/workload.hpp" "${PROJECT_SOURCE_DIR}/runner/communicator.hpp"
  "${PROJECT_SOURCE_DIR}/runner/device_communicator.hpp"
  DESTINATION include/muster/runner)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/experiments" DESTINATION share/muster OPTIONAL)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/results/python/muster_results" DESTINATION share/muster/python OPTIONAL
  PATTERN "__pycache__" EXCLUDE)

include(CMakePackageConfigHelpers)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/generated/musterConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_SOURCE_DIR}/cmake/musterConfig.cmake" "${PROJECT_SOURCE_DIR}/cmake/MusterWorkload.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/MusterTorch.cmake"
  "${PROJECT_BINARY_DIR}/generated/musterConfigVersion.cmake" DESTINATION lib/cmake/muster)
