// SPDX-License-Identifier: Apache-2.0
// A moment as people write it: RFC 3339, a date, or a number since 1970.
#include "when.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define MS_FROM 100000000000LL // 5138-11-16 in seconds, 1973-03-03 in milliseconds
#define DIGITS_MAX 15

// Exactly `count` digits; -1 otherwise.
static int64_t digits(const char **at, int count)
{
    int64_t value = 0;

    for (int i = 0; i < count; i++, (*at)++) {
        if (!isdigit((unsigned char)**at))
            return -1;
        value = value * 10 + (**at - '0');
    }
    return value;
}

// ".123..." in ms, finer digits dropped; 0 without a fraction, -1 for a dot alone.
static int64_t fraction(const char **at)
{
    int64_t ms = 0, scale = 100;

    if (**at != '.')
        return 0;
    (*at)++;
    if (!isdigit((unsigned char)**at))
        return -1;
    for (; isdigit((unsigned char)**at); (*at)++, scale /= 10)
        ms += (**at - '0') * scale;
    return ms;
}

// Days since 1970-01-01 of a date of the Gregorian calendar; counted from 0000-03-01, so that a leap day comes last.
static int64_t days(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month > 2 ? year : year - 1, m = (month + 9) % 12;

    return y * 365 + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + day - 1 - 719468;
}

static int date(const char **at, int64_t *day_number)
{
    static const int8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year = digits(at, 4), month, day;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    if (year < 1 || *(*at)++ != '-')
        return -EINVAL;
    month = digits(at, 2);
    if (month < 1 || month > 12 || *(*at)++ != '-')
        return -EINVAL;
    day = digits(at, 2);
    if (day < 1 || day > lengths[month - 1] || (month == 2 && day == 29 && !leap))
        return -EINVAL;
    *day_number = days(year, month, day);
    return 0;
}

// "12:34" in minutes; -1.
static int64_t minutes(const char **at)
{
    int64_t hour = digits(at, 2), minute;

    if (hour < 0 || hour > 23 || *(*at)++ != ':')
        return -1;
    minute = digits(at, 2);
    return minute < 0 || minute > 59 ? -1 : hour * 60 + minute;
}

static int time_of_day(const char *at, int64_t *ms)
{
    int64_t minute = minutes(&at), second, part, offset = 0, sign = 0;

    if (minute < 0 || *at++ != ':')
        return -EINVAL;
    second = digits(&at, 2); // 60: a leap second
    part = second < 0 || second > 60 ? -1 : fraction(&at);
    if (part < 0)
        return -EINVAL;
    if (*at == '+' || *at == '-') {
        sign = *at++ == '+' ? 1 : -1;
        offset = minutes(&at);
    } else if (*at++ != 'Z' && at[-1] != 'z') {
        return -EINVAL;
    }
    if (offset < 0 || *at)
        return -EINVAL;
    *ms = (minute - sign * offset) * 60000 + second * 1000 + part;
    return 0;
}

static int number(const char *at, int64_t *t_ms)
{
    size_t size = strspn(at, "0123456789");
    int64_t value = size > 0 && size <= DIGITS_MAX ? digits(&at, (int)size) : -1, part;

    if (value < 0)
        return -EINVAL;
    if (value >= MS_FROM && !*at) {
        *t_ms = value;
        return 0;
    }
    part = fraction(&at);
    if (value >= MS_FROM || part < 0 || *at)
        return -EINVAL;
    *t_ms = value * 1000 + part;
    return 0;
}

int jp_when(const char *text, int64_t *t_ms)
{
    int64_t day, ms = 0;
    const char *at = text;

    if (strspn(text, "0123456789") != 4 || text[4] != '-')
        return number(text, t_ms);
    if (date(&at, &day))
        return -EINVAL;
    if (*at && ((*at != 'T' && *at != 't' && *at != ' ') || time_of_day(at + 1, &ms)))
        return -EINVAL;
    *t_ms = day * 86400000 + ms;
    return 0;
}
