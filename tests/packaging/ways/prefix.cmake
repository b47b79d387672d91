# Installed in an empty folder that is moved afterwards.
run(${CMAKE_COMMAND} -S ${LIBRARY} -B ${WORK}/library -DCMAKE_CXX_COMPILER=${CXX} ${without})
run(${CMAKE_COMMAND} --install ${WORK}/library --prefix ${WORK}/installed)
if(EXISTS ${WORK}/installed/lib OR EXISTS ${WORK}/installed/bin)
  message(FATAL_ERROR "a header-only library installed something into lib or bin")
endif()
file(RENAME ${WORK}/installed ${WORK}/prefix)
set(FROM -DCMAKE_PREFIX_PATH=${WORK}/prefix)
