# Builds and runs an outside project that uses the library: one that finds it installed, in an empty folder, or one that
# adds its folder. Every program must end with 0, and nothing may warn.
# Usage: cmake -DLIBRARY=<project folder> -DSOURCE=<outside project> -DWORK=<scratch> -DCXX=<compiler> [-DCUDA=<nvcc>]
#              -P run.cmake
function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()
file(REMOVE_RECURSE ${WORK})
# Installing the headers needs Eigen, and none of what our own programs need.
set(without "")
foreach(package CLI11 doctest nlohmann_json ZLIB)
  list(APPEND without -DCMAKE_DISABLE_FIND_PACKAGE_${package}=ON)
endforeach()
run(${CMAKE_COMMAND} -S ${LIBRARY} -B ${WORK}/library -DCMAKE_CXX_COMPILER=${CXX} ${without})
run(${CMAKE_COMMAND} --install ${WORK}/library --prefix ${WORK}/prefix)
if(EXISTS ${WORK}/prefix/lib OR EXISTS ${WORK}/prefix/bin)
  message(FATAL_ERROR "a header-only library installed something into lib or bin")
endif()

set(cuda "")
if(CUDA)
  set(cuda -DCMAKE_CUDA_COMPILER=${CUDA} -DCMAKE_CUDA_ARCHITECTURES=90)
endif()
run(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -DCMAKE_PREFIX_PATH=${WORK}/prefix -DLIBRARY=${LIBRARY}
    -DCMAKE_CXX_COMPILER=${CXX} ${cuda} ${without})
if(NOT CUDA)
  file(STRINGS ${WORK}/build/CMakeCache.txt seen REGEX "CUDA(Toolkit|_COMPILER)")
  if(seen)
    message(FATAL_ERROR "a project for the CPU alone met CUDA: ${seen}")
  endif()
endif()
cmake_host_system_information(RESULT cores QUERY NUMBER_OF_LOGICAL_CORES)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${WORK}/build --parallel ${cores}
                OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE status)
if(NOT status EQUAL 0 OR output MATCHES "warning")
  message(FATAL_ERROR "the build ends with ${status}, or warns:\n${output}")
endif()
file(GLOB programs ${WORK}/build/program_*)
if(NOT programs)
  message(FATAL_ERROR "no program_* in ${WORK}/build")
endif()
foreach(program IN LISTS programs)
  run(${program})
endforeach()
