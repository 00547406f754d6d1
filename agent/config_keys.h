// SPDX-License-Identifier: Apache-2.0
// The configuration's keys as one table: what each is called, what it may hold, its default, where it goes.
//
// Private to config*.c: reader, printer and defaults all walk this table.
#ifndef JP_CONFIG_KEYS_H
#define JP_CONFIG_KEYS_H

#include "config.h"

#include <libconfig.h>
#include <stddef.h>

enum jp_key_type {
    JP_KEY_TEXT = 1, // char[size]: `form`, or one of `words`
    JP_KEY_ID,       // char[size]: a name of the `form`, or an integer min..max as its digits
    JP_KEY_INT,      // int, min..max
    JP_KEY_INT64,    // int64_t, min..max
    JP_KEY_MILLI,    // int64_t in thousandths of what the file says, min..max in the file's unit
    JP_KEY_REAL,     // double, min..max
    JP_KEY_BOOL,     // bool
    JP_KEY_WORD,     // an enum (int): the index in `words`
    JP_KEY_SWITCH,   // bool: words[0] false, words[1] true
    JP_KEY_VERSION,  // int: 5, or 4 for "3.1.1"
    JP_KEY_BITS,     // unsigned: a list of `words`, bit 1 << index each
    JP_KEY_NAMES,    // char[max][size] and an int at `count_at`: a list of names, of `words` if given
    JP_KEY_LIST,     // an array of `max` structs of `size` bytes and their count: a list of groups with `fields`
    JP_KEY_BOAMPS,   // checked only (config_boamps.c)
};

enum jp_key_form {
    JP_FORM_LINE, // printable, no control characters
    JP_FORM_NAME,
    JP_FORM_LABEL, // printable, goes between quotes as it is
    JP_FORM_PATH,
    JP_FORM_COUNTRY,
    JP_FORM_LEVEL, // one level of a topic
    JP_FORM_TOPIC, // some levels
    JP_FORM_URL,
};

struct jp_key {
    const char *path; // "group.name", or "name"
    enum jp_key_type type;
    size_t at, size; // in struct jp_config, or in the list's struct
    double min, max;
    enum jp_key_form form;
    const char *const *words;    // NULL at the end
    bool required;               // in a list's group
    const char *text;            // default of a TEXT, NULL for ""
    bool automatic;              // TEXT, NAMES: "auto" stands for the default, "" or an empty list
    double number;               // default of the others
    const char *unset;           // what "" or the default NaN or negative number means, for --check; NULL: never unset
    const struct jp_key *fields; // LIST; path NULL at the end
    bool pairs;                  // LIST: a group {FIRST = SECOND; ...} of the first two fields is allowed too
    size_t count_at;
    int limit; // LIST, NAMES: how many fit
};

extern const struct jp_key jp_keys[]; // path NULL at the end

// Whether text has the form; what the form allows, in words.
bool jp_form_ok(enum jp_key_form form, const char *text);
const char *jp_form_allowed(enum jp_key_form form);

struct jp_config_text;

// Where an error goes, and what tells its place.
struct jp_config_reader {
    const char *path; // of the main file
    char *error;
    size_t error_size;
    struct jp_config_text *text; // owned, NULL before jp_config_text_read()
};

// Reads the main file and all that it includes (a relative path begins at the main file's folder) into one text in
// which includes are resolved, integers beyond 32 bits carry their L, and the last line ends. 0, and then
// jp_config_text_free(); -ENOENT when the main file is not there, -EINVAL, both with the error filled.
int jp_config_text_read(struct jp_config_reader *reader);
const char *jp_config_text(const struct jp_config_reader *reader);
void jp_config_text_free(struct jp_config_reader *reader);

// "FILE:LINE" of a line of the text (0: none in particular).
void jp_config_place(const struct jp_config_reader *reader, unsigned line, char *out, size_t size);

// Fills the error with "FILE:LINE: " of the setting and the text. Always -EINVAL.
int jp_config_wrong(const struct jp_config_reader *reader, const config_setting_t *setting, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Sets the fields of a table (path NULL at the end) to their defaults.
void jp_config_defaults(const struct jp_key *keys, void *base);

// Reads one setting of any type but LIST and BOAMPS into the struct at `base`. 0 or -EINVAL, error filled.
int jp_config_read_scalar(const struct jp_config_reader *reader, const struct jp_key *key,
                          const config_setting_t *setting, void *base);

// Reads all settings of `root` over `config`. 0 or -EINVAL with the error filled.
int jp_config_read_keys(const struct jp_config_reader *reader, const config_setting_t *root, struct jp_config *config);

// Checks the group `boamps`: its names are those of the BoAmps schema. 0 or -EINVAL with the error filled.
int jp_config_read_boamps(const struct jp_config_reader *reader, const config_setting_t *setting);

// What no key alone can tell: files without their partner, a mix that is not whole, ... 0 or -EINVAL.
int jp_config_check(const struct jp_config_reader *reader, const config_t *file, const struct jp_config *config);

// What is wrong with the file of the key mqtt.ca_file, .cert_file or .key_file, where mqtt.url is encrypted; NULL when
// nothing is. The file can be read.
const char *jp_config_pem_problem(const struct jp_config *config, const char *key);

#endif
