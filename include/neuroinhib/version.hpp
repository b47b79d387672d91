#pragma once

/// The version, by Semantic Versioning. These three lines are its one place: CMake and Conan read it here.
#define NEUROINHIB_VERSION_MAJOR 0
#define NEUROINHIB_VERSION_MINOR 1
#define NEUROINHIB_VERSION_PATCH 0

/// For comparisons by the preprocessor: 10203 is 1.2.3.
#define NEUROINHIB_VERSION_NUMBER \
  (NEUROINHIB_VERSION_MAJOR * 10000 + NEUROINHIB_VERSION_MINOR * 100 + NEUROINHIB_VERSION_PATCH)

#define NEUROINHIB_TEXT(...) #__VA_ARGS__
#define NEUROINHIB_DOTTED(major, minor, patch) NEUROINHIB_TEXT(major.minor.patch)

/// "major.minor.patch".
#define NEUROINHIB_VERSION \
  NEUROINHIB_DOTTED(NEUROINHIB_VERSION_MAJOR, NEUROINHIB_VERSION_MINOR, NEUROINHIB_VERSION_PATCH)
