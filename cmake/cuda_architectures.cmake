# Sets `result` to the architectures of this machine's GPUs; where there is none, to Hopper's, so that every kernel is
# compiled. Hopper by the name that has its own instructions, 90a, which CMake's `native` does not give.
function(cuda_architectures result)
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
