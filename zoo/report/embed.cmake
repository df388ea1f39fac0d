# Puts the report's script, style and Chart.js into the program, so that report.html is one file that needs nothing.
#
#   include(report/embed.cmake)        beside the target sono_zoo: adds a generated .cpp with the bytes of each file (zoo/report/assets.h)
#
# Run as a script (cmake -D OUT=… -D FILES=name=path,… -P embed.cmake) it writes that .cpp.

if(CMAKE_SCRIPT_MODE_FILE)
  set(code "// Made by zoo/report/embed.cmake.\n#include \"zoo/report/assets.h\"\n\nnamespace sono::zoo::assets {\n\n")
  string(REPLACE "," ";" FILES "${FILES}")
  foreach(entry IN LISTS FILES)
    string(REGEX MATCH "^([a-z_]+)=(.*)$" matched "${entry}")
    set(name ${CMAKE_MATCH_1})
    file(READ "${CMAKE_MATCH_2}" bytes HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    string(APPEND code "static const unsigned char ${name}_bytes[] = {${bytes}};\n"
                       "std::string_view ${name}() { return {reinterpret_cast<const char*>(${name}_bytes), sizeof ${name}_bytes}; }\n\n")
  endforeach()
  file(WRITE "${OUT}" "${code}}  // namespace sono::zoo::assets\n")
  return()
endif()

find_file(SONO_CHART_JS NAMES chart.min.js Chart.min.js PATHS /usr/share /usr/local/share PATH_SUFFIXES javascript/chart.js
          DOC "Chart.js 3, minified; inlined into report.html")
if(NOT SONO_CHART_JS OR NOT EXISTS "${SONO_CHART_JS}")
  message(FATAL_ERROR "Chart.js is missing: the report's plots need chart.min.js. Install Debian's libjs-chart.js, or set SONO_CHART_JS to the file.")
endif()

set(report_assets ${CMAKE_CURRENT_BINARY_DIR}/report_assets.cpp)
set(report_script ${CMAKE_CURRENT_LIST_DIR}/report.js)
set(report_style ${CMAKE_CURRENT_LIST_DIR}/report.css)
add_custom_command(
  OUTPUT ${report_assets}
  COMMAND ${CMAKE_COMMAND} "-DOUT=${report_assets}" "-DFILES=chart_js=${SONO_CHART_JS},report_js=${report_script},report_css=${report_style}"
          -P ${CMAKE_CURRENT_LIST_FILE}
  DEPENDS ${SONO_CHART_JS} ${report_script} ${report_style} ${CMAKE_CURRENT_LIST_FILE}
  COMMENT "Embedding the report's script and style" VERBATIM)
target_sources(sono_zoo PRIVATE ${report_assets})
