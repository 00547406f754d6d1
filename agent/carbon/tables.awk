# SPDX-License-Identifier: Apache-2.0
# Turns a table of agent/carbon/data into C: awk -v table=grid|tdp -f tables.awk FILE.csv > FILE.c
# Plain POSIX awk (mawk is enough). Lines that begin with "#" are the attribution and are kept as comments.

# Splits a CSV line into field[1..n]; returns n.
function split_csv(line, field,    n, rest, at) {
    n = 0
    rest = line
    for (;;) {
        n++
        if (substr(rest, 1, 1) == "\"") {
            rest = substr(rest, 2)
            field[n] = ""
            while ((at = index(rest, "\"")) > 0) {
                field[n] = field[n] substr(rest, 1, at - 1)
                rest = substr(rest, at + 1)
                if (substr(rest, 1, 1) != "\"")
                    break
                field[n] = field[n] "\""
                rest = substr(rest, 2)
            }
            at = index(rest, ",")
        } else {
            at = index(rest, ",")
            field[n] = at ? substr(rest, 1, at - 1) : rest
        }
        if (!at)
            return n
        rest = substr(rest, at + 1)
    }
}

function quoted(text) {
    gsub(/\\/, "\\\\", text)
    gsub(/"/, "\\\"", text)
    return "\"" text "\""
}

function fail(what) {
    print FILENAME ":" NR ": " what > "/dev/stderr"
    failed = 1
    exit 1
}

BEGIN {
    want = table == "grid" ? 6 : 2
    print "// Generated at build; the text to change is the table in agent/carbon/data."
    print "#include \"tables.h\"\n"
}

{ sub(/\r$/, "") }

/^#/ {
    print "//" substr($0, 2)
    next
}

!heading {
    heading = 1
    print table == "grid" ? "\nconst struct jp_grid_row jp_grid_rows[] = {" : "\nconst struct jp_tdp_row jp_tdp_rows[] = {"
    next
}

{
    if (split_csv($0, field) != want)
        fail("expected " want " columns")
    if (table == "grid") {
        if (field[4] !~ /^[0-9.]+$/ || field[5] !~ /^[0-9]+$/)
            fail("expected numbers in columns 4 and 5")
        printf "    {%s, %s, %s, %s, %s, %s},\n", quoted(field[1]), quoted(field[2]), quoted(field[3]), field[4], field[5],
               quoted(field[6])
    } else {
        if (field[2] !~ /^[0-9.]+$/)
            fail("expected a number in column 2")
        printf "    {%s, %d},\n", quoted(field[1]), field[2] * 1000 + 0.5
    }
    rows++
}

END {
    if (failed)
        exit 1
    print "};\n"
    printf "const int jp_%s_row_count = %d;\n", table, rows
}
