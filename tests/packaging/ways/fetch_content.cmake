# Added to the project by FetchContent, which takes the folder as it is.
set(FROM -DFETCH=${LIBRARY} -DFETCHCONTENT_SOURCE_DIR_NEUROINHIB=${LIBRARY})
