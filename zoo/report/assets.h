#pragma once
// The files that the build embeds into the program (zoo/report/embed.cmake): the report inlines them.
#include <string_view>

namespace sono::zoo::assets {

std::string_view chart_js();    // Chart.js, minified, with its licence line
std::string_view report_js();   // zoo/report/report.js
std::string_view report_css();  // zoo/report/report.css

}  // namespace sono::zoo::assets
