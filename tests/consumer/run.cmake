# Installs this build's headers into an empty folder, then builds and runs an outside project against them.
# Usage: cmake -DBUILD=<build folder> -DSOURCE=<tests/consumer> -DWORK=<scratch> -DCXX=<compiler> -P run.cmake
function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()
file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
run(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -DCMAKE_PREFIX_PATH=${WORK}/prefix -DCMAKE_CXX_COMPILER=${CXX})
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/consumer)
if(EXISTS ${WORK}/prefix/lib OR EXISTS ${WORK}/prefix/bin)
  message(FATAL_ERROR "a header-only library installed something into lib or bin")
endif()
