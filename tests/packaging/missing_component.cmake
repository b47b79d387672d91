# A component whose dependency is missing is refused with that dependency's name, and as an optional one is left out.
# Usage: cmake -DLIBRARY=<project folder> -DWORK=<scratch> -DCXX=<compiler> -P missing_component.cmake
function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()
file(REMOVE_RECURSE ${WORK})
include(${CMAKE_CURRENT_LIST_DIR}/ways/prefix.cmake)

# With the project that asks for components by `request`, cmake must end with `expected`.
function(check request expected)
  file(WRITE ${WORK}/source/CMakeLists.txt "cmake_minimum_required(VERSION 3.25)\nproject(asks LANGUAGES CXX)\n${request}\n")
  execute_process(COMMAND ${CMAKE_COMMAND} -S ${WORK}/source -B ${WORK}/build ${FROM} -DCMAKE_CXX_COMPILER=${CXX}
                          -DCMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON -DCMAKE_DISABLE_FIND_PACKAGE_JPEG=ON
                          -DCMAKE_DISABLE_FIND_PACKAGE_MPI=ON -DCMAKE_DISABLE_FIND_PACKAGE_NCCL=ON
                          -DCMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit=ON
                  OUTPUT_VARIABLE output ERROR_VARIABLE output)
  string(REGEX REPLACE "[ \n]+" " " output "${output}")
  string(FIND "${output}" "${expected}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "expected \"${expected}\", got ${output}")
  endif()
endfunction()
check("find_package(neuroinhib REQUIRED COMPONENTS io)" "expected nlohmann_json 3.11 for the component io, found none")
check("find_package(neuroinhib REQUIRED COMPONENTS images)" "expected JPEG for the component images, found none")
check("find_package(neuroinhib REQUIRED COMPONENTS mpi)" "expected MPI for the component mpi, found none")
check("find_package(neuroinhib REQUIRED COMPONENTS nccl)"
      "expected NCCL 2.18 for the component nccl, found none")
check("find_package(neuroinhib REQUIRED OPTIONAL_COMPONENTS io)
if(TARGET neuroinhib::neuroinhib AND NOT TARGET neuroinhib::io)
  message(\"without io\")
endif()" "without io")
