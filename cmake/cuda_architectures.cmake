# Sets `result` to the architectures that are asked for. Without any, and for "native", to those of this machine's GPUs;
# where there is none, to Hopper's, so that every kernel is compiled. Hopper by the name that has its own instructions,
# 90a, which CMake does not give for "native".
function(cuda_architectures result asked)
  if(NOT asked STREQUAL "" AND NOT asked STREQUAL "native")
    set(${result} ${asked} PARENT_SCOPE)
    return()
  endif()
  execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
                  OUTPUT_VARIABLE found RESULT_VARIABLE status ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT status EQUAL 0 OR NOT found MATCHES "^[0-9.\n]+$")
    set(found 9.0)
  endif()
  string(REPLACE "." "" found "${found}")
  string(REPLACE "\n" ";" found "${found}")
  list(REMOVE_DUPLICATES found)
  list(TRANSFORM found REPLACE "^90$" "90a")
  set(${result} ${found} PARENT_SCOPE)
endfunction()
