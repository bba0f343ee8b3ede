# Several files of a folder compiled as one: headers cost more than what stands below them, so a whole build takes less
# than half the time. So the files of a folder share no names. The debug and sanitizer presets compile every file alone,
# which shows that each includes what it needs.
option(ATHANOR_UNITY "Compile the files of a folder together" OFF)

# athanor_unity(TARGET FILES_AT_ONCE SOURCE…): groups the sources by folder, in order, FILES_AT_ONCE to a group.
function(athanor_unity target files_at_once)
  if(NOT ATHANOR_UNITY)
    return()
  endif()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  set(folder "")
  foreach(source IN LISTS ARGN)
    cmake_path(GET source PARENT_PATH parent)
    if(NOT parent STREQUAL folder)
      set(folder ${parent})
      set(position 0)
    endif()
    math(EXPR group "${position} / ${files_at_once}")
    math(EXPR position "${position} + 1")
    file(RELATIVE_PATH name ${CMAKE_SOURCE_DIR} ${folder})
    string(MAKE_C_IDENTIFIER "${name}_${group}" name)
    set_source_files_properties(${source} TARGET_DIRECTORY ${target} PROPERTIES UNITY_GROUP ${name})
  endforeach()
endfunction()
