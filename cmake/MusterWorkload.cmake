# muster_add_workload(NAME SOURCES a.cpp b.cpp [LIBRARIES muster::torch])
# A plugin, NAME.so, and beside it its manifest NAME.json, which the runner writes after each build. In muster's own tree
# they go where the runner looks for built-ins; elsewhere into the caller's build folder.
function(muster_add_workload name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_library(workload_${name} MODULE ${ARG_SOURCES})
  target_link_libraries(workload_${name} PRIVATE muster::workload ${ARG_LIBRARIES})
  set_target_properties(workload_${name} PROPERTIES PREFIX "" OUTPUT_NAME "${name}")
  add_custom_command(TARGET workload_${name} POST_BUILD
    COMMAND muster::runner --describe "$<TARGET_FILE:workload_${name}>"
      --output "$<TARGET_FILE_DIR:workload_${name}>/${name}.json"
    VERBATIM)
  if(TARGET muster-runner)
    set_target_properties(workload_${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib/muster/workloads"
      BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "${MUSTER_TORCH_RPATH}" INSTALL_RPATH_USE_LINK_PATH OFF)
    add_dependencies(workload_${name} muster-runner)
    add_dependencies(programs workload_${name})
    install(TARGETS workload_${name} LIBRARY DESTINATION lib/muster/workloads)
    install(FILES "${PROJECT_BINARY_DIR}/lib/muster/workloads/${name}.json" DESTINATION lib/muster/workloads)
  endif()
endfunction()
