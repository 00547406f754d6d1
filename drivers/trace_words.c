// SPDX-License-Identifier: Apache-2.0
// Escapes, numbers and error names of the trace format.
#include "trace_words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ERRNO_MAX 4095 // the kernel's own bound
#define COUNT(table) (sizeof(table) / sizeof(table)[0])

// What drivers of sensors and their buses answer; the others go by their number.
static const struct {
    const char *word;
    int error;
} errors[] = {
    {"ENODATA", ENODATA},
    {"EIO", EIO},
    {"EAGAIN", EAGAIN},
    {"ETIMEDOUT", ETIMEDOUT},
    {"EACCES", EACCES},
    {"ENOENT", ENOENT},
    {"ENODEV", ENODEV},
    {"ENXIO", ENXIO},
    {"EREMOTEIO", EREMOTEIO},
    {"EINVAL", EINVAL},
    {"EPERM", EPERM},
    {"ERANGE", ERANGE},
    {"EBUSY", EBUSY},
    {"ENOMEM", ENOMEM},
    {"EOPNOTSUPP", EOPNOTSUPP},
    {"EOVERFLOW", EOVERFLOW},
    {"EPROTO", EPROTO},
    {"EBADMSG", EBADMSG},
    {"ESHUTDOWN", ESHUTDOWN},
    {"EINTR", EINTR},
    {"ECANCELED", ECANCELED},
    {"EHOSTDOWN", EHOSTDOWN},
    {"EPIPE", EPIPE},
    {"ESTALE", ESTALE},
    {"EINPROGRESS", EINPROGRESS},
    {"ENOSYS", ENOSYS},
    {"EMSGSIZE", EMSGSIZE},
};

int jp_trace_number(const char *text, int64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoll(text, &end, 0);
    return end == text || *end || errno || *value > JP_TRACE_NUMBER_MAX || *value < -JP_TRACE_NUMBER_MAX ? -EINVAL : 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The byte of the escape behind a backslash; *at moves behind it. -1 for none.
static int take_escape(const char **at)
{
    int high, low;

    switch (*(*at)++) {
    case '0':
        return '\0';
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case '\\':
        return '\\';
    case 'x':
        high = hex_digit((*at)[0]);
        low = high < 0 ? -1 : hex_digit((*at)[1]);
        *at += 2;
        return low < 0 ? -1 : high * 16 + low;
    default:
        return -1;
    }
}

int64_t jp_trace_unescape(char *text)
{
    const char *at = text;
    char *to = text;

    while (*at) {
        int byte = (unsigned char)*at++;

        if (byte == '\\')
            byte = take_escape(&at);
        if (byte < 0)
            return -EINVAL;
        *to++ = (char)byte;
    }
    *to = '\0';
    return to - text;
}

void jp_trace_put_escaped(FILE *out, const char *bytes, size_t length, int word)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];

        if (byte == '\\')
            fputs("\\\\", out);
        else if (byte == '\0')
            fputs("\\0", out);
        else if (byte == '\n')
            fputs("\\n", out);
        else if (byte == '\t')
            fputs("\\t", out);
        else if (byte < (word ? '!' : ' ') || byte > '~')
            fprintf(out, "\\x%02x", byte);
        else
            putc(byte, out);
    }
}

int jp_trace_error(const char *word)
{
    int64_t number;

    if (strcmp(word, "-") == 0)
        return ENODATA;
    for (size_t i = 0; i < COUNT(errors); i++)
        if (strcmp(errors[i].word, word) == 0)
            return errors[i].error;
    if (word[0] != 'E' || word[1] < '1' || word[1] > '9' || jp_trace_number(word + 1, &number) < 0)
        return 0;
    return number <= ERRNO_MAX ? (int)number : 0;
}

void jp_trace_error_word(int error, char out[JP_TRACE_ERROR_MAX])
{
    for (size_t i = 0; i < COUNT(errors); i++)
        if (errors[i].error == error) {
            snprintf(out, JP_TRACE_ERROR_MAX, "%s", errors[i].word);
            return;
        }
    snprintf(out, JP_TRACE_ERROR_MAX, "E%d", error);
}
