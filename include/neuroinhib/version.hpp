#pragma once

/// The version, by Semantic Versioning. These three numbers are its one place: CMake, Conan and the site read them
/// here. While the first is 0, anything may change with the second.
#define NEUROINHIB_VERSION_MAJOR 0
/// Raised by what breaks programs, while the first is 0.
#define NEUROINHIB_VERSION_MINOR 2
/// Raised by what breaks none.
#define NEUROINHIB_VERSION_PATCH 0

/// For comparisons by the preprocessor: 10203 is 1.2.3.
#define NEUROINHIB_VERSION_NUMBER \
  (NEUROINHIB_VERSION_MAJOR * 10000 + NEUROINHIB_VERSION_MINOR * 100 + NEUROINHIB_VERSION_PATCH)

/// Its arguments between quotes, as they are written.
#define NEUROINHIB_TEXT(...) #__VA_ARGS__
/// Three numbers as "1.2.3".
#define NEUROINHIB_DOTTED(major, minor, patch) NEUROINHIB_TEXT(major.minor.patch)

/// "major.minor.patch".
#define NEUROINHIB_VERSION \
  NEUROINHIB_DOTTED(NEUROINHIB_VERSION_MAJOR, NEUROINHIB_VERSION_MINOR, NEUROINHIB_VERSION_PATCH)
