#include "page.hpp"

#include <string_view>

#include "embedded.hpp"

namespace report {
namespace {

/// A text as HTML shows it.
std::string escaped(std::string_view text) {
  std::string html;
  for (const char c : text) switch (c) {
      case '&': html += "&amp;"; break;
      case '<': html += "&lt;"; break;
      case '>': html += "&gt;"; break;
      case '"': html += "&quot;"; break;
      default: html += c;
    }
  return html;
}

/// JSON that may stand in a script element: no character in it ends the element or begins a comment. Bytes that are no
/// UTF-8 become U+FFFD.
std::string embeddable(const nlohmann::json& value) {
  std::string text;
  for (const char c : value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace))
    if (c == '<')
      text += "\\u003c";
    else
      text += c;
  return text;
}

/// Nothing but what is in the page may be loaded or run.
constexpr std::string_view kPolicy =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

}  // namespace

std::string page_of(const std::string& title, const nlohmann::json& sections) {
  std::string page = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  const auto add = [&](auto... parts) { (page.append(parts), ...); };
  add("<meta http-equiv=\"Content-Security-Policy\" content=\"", kPolicy, "\">\n");
  add("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>", escaped(title),
      "</title>\n");
  add("<style>\n", kStyle, "</style>\n</head>\n<body>\n<main id=\"page\"></main>\n");
  add("<noscript>This page draws itself: allow it to run its scripts.</noscript>\n");
  add("<script id=\"data\" type=\"application/json\">", embeddable({{"title", title}, {"sections", sections}}),
      "</script>\n");
  add("<script>\n/*\n", kLicence, "*/\n", kLibrary, "\n</script>\n<script>\n", kScript,
      "</script>\n</body>\n</html>\n");
  return page;
}

}  // namespace report
