# Our own CUDA programs are compiled for what is asked for; else, and for "native", for the GPUs that nvidia-smi names,
# and for Hopper where it names none.
# Usage: cmake -DROOT=<project folder> -DWORK=<scratch> -P cuda_architectures.cmake
include(${ROOT}/cmake/cuda_architectures.cmake)

# With a nvidia-smi that prints `seen` and ends with `status`.
function(check seen status expected)
  file(WRITE ${WORK}/nvidia-smi "#!/bin/sh\nprintf '${seen}'\nexit ${status}\n")
  file(CHMOD ${WORK}/nvidia-smi PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
  foreach(asked "" native)
    cuda_architectures(found "${asked}")
    if(NOT found STREQUAL expected)
      message(FATAL_ERROR "expected the architectures ${expected} for \"${asked}\" where nvidia-smi prints \"${seen}\", got ${found}")
    endif()
  endforeach()
endfunction()

file(REMOVE_RECURSE ${WORK})
set(ENV{PATH} ${WORK}:$ENV{PATH})
check("8.0\\n" 0 "80")
check("9.0\\n9.0\\n" 0 "90a")
check("8.9\\n9.0\\n" 0 "89;90a")
check("NVIDIA-SMI has failed\\n" 9 "90a")
check("No devices were found\\n" 0 "90a")

cuda_architectures(found "80;90")
if(NOT found STREQUAL "80;90")
  message(FATAL_ERROR "expected the architectures that are asked for, 80 and 90, got ${found}")
endif()
