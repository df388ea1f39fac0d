# cmake --install build/release --prefix …   then in a user's project:
#   find_package(Sonograd REQUIRED)
#   target_link_libraries(mine PRIVATE Sonograd::optim)
include(CMakePackageConfigHelpers)

install(TARGETS ${engine} EXPORT SonogradTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(folder tensor autograd layers optim)
  install(DIRECTORY ${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/sonograd FILES_MATCHING PATTERN "*.h" PATTERN "cpu" EXCLUDE)
endforeach()
install(EXPORT SonogradTargets NAMESPACE Sonograd:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Sonograd)
configure_package_config_file(cmake/SonogradConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/SonogradConfig.cmake INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Sonograd)
write_basic_package_version_file(SonogradConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/SonogradConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/SonogradConfigVersion.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Sonograd)
