# muster_add_workload(NAME SOURCES a.cpp b.cpp LIBRARIES muster_workload_common)
# A plugin: lib/muster/workloads/NAME.so, and its manifest NAME.json, written by the runner after each build.
function(muster_add_workload name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_library(workload_${name} MODULE ${ARG_SOURCES})
  set_target_properties(workload_${name} PROPERTIES PREFIX "" OUTPUT_NAME "${name}"
    LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib/muster/workloads")
  target_link_libraries(workload_${name} PRIVATE muster_flags muster_core ${ARG_LIBRARIES})
  add_custom_command(TARGET workload_${name} POST_BUILD
    COMMAND muster-runner --describe "$<TARGET_FILE:workload_${name}>" --output "${PROJECT_BINARY_DIR}/lib/muster/workloads/${name}.json"
    VERBATIM)
  add_dependencies(workload_${name} muster-runner)
endfunction()
