# Turns every board file into one C table: id, text. Run as cmake -DOUT=FILE -DDIR=DIR -P embed.cmake.
file(GLOB files ${DIR}/*.conf)
list(SORT files)
set(table "")
foreach(file ${files})
  get_filename_component(id ${file} NAME_WE)
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "(..)" "\\\\x\\1" bytes "${bytes}")
  string(REGEX REPLACE "(\\\\x0a)" "\\1\"\n     \"" bytes "${bytes}")
  string(APPEND table "    {\"${id}\",\n     \"${bytes}\"},\n")
endforeach()
file(WRITE ${OUT} "// Made by embed.cmake from the board files.
#include \"builtin.h\"

const struct jp_board_text jp_board_texts[] = {
${table}    {0, 0},
};
")
