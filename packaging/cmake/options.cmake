# Flags for our own code, in one INTERFACE target; third parties come in as system headers.
add_library(modelguard_options INTERFACE)
add_library(modelguard::options ALIAS modelguard_options)
target_include_directories(modelguard_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(modelguard_options INTERFACE MODELGUARD_VERSION="${PROJECT_VERSION}")
target_compile_options(modelguard_options INTERFACE
  -Wall -Wextra -Werror
  -Wshadow              # a shadowed name in a callback has cost us a bug before it was a warning
  -Wconversion          # sizes and times cross API borders here
  -Wnon-virtual-dtor    # interfaces are deleted through their base
  -Wswitch              # closed enums: every case named, no default
  -fno-omit-frame-pointer
  -ffunction-sections -fdata-sections)
target_link_options(modelguard_options INTERFACE -Wl,--gc-sections)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports maybe-uninitialized inside std::expected/std::variant moves at -O2; false each time we looked.
  target_compile_options(modelguard_options INTERFACE -Wno-maybe-uninitialized -Wno-restrict)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # designated initialisers leave the rest at its default on purpose
  target_compile_options(modelguard_options INTERFACE -Wno-missing-field-initializers -Wno-missing-designated-field-initializers)
else()
  target_compile_options(modelguard_options INTERFACE -Wno-missing-field-initializers)
endif()
if(MODELGUARD_SANITIZE)
  target_compile_options(modelguard_options INTERFACE -fsanitize=${MODELGUARD_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(modelguard_options INTERFACE -fsanitize=${MODELGUARD_SANITIZE})
endif()
if(MODELGUARD_COVERAGE)
  target_compile_options(modelguard_options INTERFACE --coverage -O0)
  target_link_options(modelguard_options INTERFACE --coverage)
endif()

# modelguard_layer(name SOURCES … USES …): one STATIC library per layer folder, alias modelguard::name.
function(modelguard_layer name)
  cmake_parse_arguments(LAYER "" "" "SOURCES;USES;PRIVATE_USES" ${ARGN})
  add_library(modelguard_${name} STATIC ${LAYER_SOURCES})
  add_library(modelguard::${name} ALIAS modelguard_${name})
  target_link_libraries(modelguard_${name} PUBLIC modelguard::options ${LAYER_USES} PRIVATE ${LAYER_PRIVATE_USES})
endfunction()
