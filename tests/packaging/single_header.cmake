# The header that scripts/amalgamate writes serves a program of two units, with nothing else of the library.
# Usage: cmake -DLIBRARY=<project folder> -DWORK=<scratch> -DCXX=<compiler> -DEIGEN=<its folder> -P single_header.cmake
file(REMOVE_RECURSE ${WORK})
set(consumer ${LIBRARY}/tests/consumer)
execute_process(COMMAND ${LIBRARY}/scripts/amalgamate --out ${WORK}/neuroinhib/neuroinhib.hpp COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CXX} -std=c++20 -pthread -I${WORK} -isystem ${EIGEN} ${consumer}/main.cpp ${consumer}/other.cpp
                        -o ${WORK}/program COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${WORK}/program COMMAND_ERROR_IS_FATAL ANY)
