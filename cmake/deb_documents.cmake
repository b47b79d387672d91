# What Debian wants in a package's folder of documents: the licence as "copyright", the changelog packed. CPack runs this
# once the files are laid out under CPACK_TEMPORARY_DIRECTORY.
set(documents ${CPACK_TEMPORARY_DIRECTORY}/usr/share/doc)
file(RENAME ${documents}/neuroinhib ${documents}/${CPACK_PACKAGE_NAME})
file(RENAME ${documents}/${CPACK_PACKAGE_NAME}/LICENSE ${documents}/${CPACK_PACKAGE_NAME}/copyright)
execute_process(COMMAND gzip -9nc ${CMAKE_CURRENT_LIST_DIR}/../CHANGELOG.md
                OUTPUT_FILE ${documents}/${CPACK_PACKAGE_NAME}/changelog.gz COMMAND_ERROR_IS_FATAL ANY)
