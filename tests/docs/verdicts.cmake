# The verdicts in docs/results.md are what the program makes of docs/results/*.json; for a page without a place for them, and
# for files without verdicts, it ends with a sentence.
# Usage: cmake -DROOT=<project folder> -DPROGRAM=<verdicts> -DWORK=<folder> -P verdicts.cmake
cmake_policy(VERSION 3.25)
file(GLOB results ${ROOT}/docs/results/*.json)
file(MAKE_DIRECTORY ${WORK})
file(COPY ${ROOT}/docs/results.md DESTINATION ${WORK})

execute_process(COMMAND ${PROGRAM} --page ${WORK}/results.md ${results} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files ${WORK}/results.md ${ROOT}/docs/results.md RESULT_VARIABLE differ)
if(differ)
  message(FATAL_ERROR "docs/results.md: expected the verdicts of docs/results/*.json, found others; run "
                      "verdicts --page docs/results.md docs/results/*.json")
endif()

function(refuses words)
  execute_process(COMMAND ${PROGRAM} ${ARGN} RESULT_VARIABLE status ERROR_VARIABLE said OUTPUT_QUIET)
  if(status EQUAL 0 OR NOT said MATCHES "${words}")
    message(FATAL_ERROR "verdicts ${ARGN}: expected an error with \"${words}\", got status ${status}: ${said}")
  endif()
endfunction()
file(WRITE ${WORK}/empty.md "# A page\n")
file(WRITE ${WORK}/runs.json "{\"runs\": []}")
file(WRITE ${WORK}/cut.json "{\"verdicts\": [")
refuses("a place for the verdicts" --page ${WORK}/empty.md ${results})
refuses("a list .verdicts." ${WORK}/runs.json)
refuses("a list .verdicts." ${WORK}/cut.json)
refuses("nowhere.json" ${WORK}/nowhere.json)
