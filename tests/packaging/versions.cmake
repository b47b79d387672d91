# Every file that must say the version says that of version.hpp.
# Usage: cmake -DROOT=<project folder> -DVERSION=<the project's version> -P versions.cmake
file(READ ${ROOT}/packaging/vcpkg/neuroinhib/vcpkg.json manifest)
string(JSON vcpkg GET "${manifest}" version)
file(STRINGS ${ROOT}/CITATION.cff citation REGEX "^version: ")
string(REPLACE "version: " "" citation "${citation}")
foreach(file vcpkg citation)
  if(NOT ${file} STREQUAL VERSION)
    message(FATAL_ERROR "expected the version ${VERSION} of version.hpp, got ${${file}} (${file}); write it there too")
  endif()
endforeach()
