# The style guide, and the compiler's part of it.
add_test(NAME tidy COMMAND ${JP_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/tidy/tidy.py)
set(paths)
foreach(library jp_base jp_drivers jp_boards jp_measure jp_carbon jp_keep jp_send jp_report)
  list(APPEND paths ${library}=$<JOIN:$<TARGET_PROPERTY:${library},INTERFACE_COMPILE_OPTIONS>,$<COMMA>>)
endforeach()
add_test(NAME tidy.upward COMMAND ${JP_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/tidy/upward.py ${paths})
set_tests_properties(tidy tidy.upward PROPERTIES TIMEOUT 120)
