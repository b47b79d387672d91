# The Debian package serves a call of the compiler with the options that pkg-config names.
# Usage: cmake -DLIBRARY=<project folder> -DWORK=<scratch> -DCXX=<compiler> -P pkg_config.cmake
function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()
file(REMOVE_RECURSE ${WORK})
include(${CMAKE_CURRENT_LIST_DIR}/ways/deb.cmake)
set(ENV{PKG_CONFIG_PATH} ${WORK}/root/usr/share/pkgconfig)
execute_process(COMMAND pkg-config --cflags --libs neuroinhib-io neuroinhib-data OUTPUT_VARIABLE options
                COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(options UNIX_COMMAND "${options}")
run(${CXX} -std=c++20 ${CMAKE_CURRENT_LIST_DIR}/consumer/main.cpp ${options} -o ${WORK}/program)
run(${WORK}/program WORKING_DIRECTORY ${WORK})
execute_process(COMMAND pkg-config --cflags --libs neuroinhib-images OUTPUT_VARIABLE options COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(options UNIX_COMMAND "${options}")
run(${CXX} -std=c++20 ${CMAKE_CURRENT_LIST_DIR}/consumer/pictures.cpp ${options} -o ${WORK}/program_pictures)
run(${WORK}/program_pictures WORKING_DIRECTORY ${WORK})
