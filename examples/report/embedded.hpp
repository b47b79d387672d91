#pragma once

#include <string_view>

/// The files that a page is made of, built into the program.
namespace report {

extern const std::string_view kLibrary;  ///< third_party/chart.js/chart.min.js
extern const std::string_view kLicence;  ///< its licence
extern const std::string_view kScript;   ///< web/page.js
extern const std::string_view kStyle;    ///< web/page.css

}  // namespace report
