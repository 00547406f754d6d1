// SPDX-License-Identifier: Apache-2.0
// The PMIC of a Raspberry Pi 5, asked through the firmware's mailbox: all rails in one answer.
//
// The answer is the text of `vcgencmd pmic_read_adc`, "VDD_CORE_A current(7)=0.92871990A" a line. Sources: device names
// and layout of a message raspberrypi/utils vcgencmd/vcgencmd.c, the ioctl raspberrypi/linux
// drivers/char/broadcom/vcio.c, the rails the README of jfikar/RPi5-power.
#define _GNU_SOURCE
#include "channel.h"
#include "drivers.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define RAILS_MAX 20 // 12 are known
#define ANSWER_MAX 4096
#define ASK_FIRMWARE _IOWR(100, 0, char *)
#define GET_GENCMD_RESULT 0x00030080
#define WHOLE_MAX 1000 // volt or ampere: no rail has that, and their product in micro-units fits

// A question, and in its place the answer.
struct message {
    uint32_t size, status;
    uint32_t tag, room, length, error;
    char text[ANSWER_MAX];
    uint32_t end;
};

enum half { VOLTS, AMPERES, HALVES };

struct rail {
    char name[33];
    int error[HALVES]; // positive errno; ENODATA: not in the answer
    int64_t micro[HALVES];
};

struct state {
    int fd;
    bool saved; // a regular file in the device's place: it holds the answer
    int count;
    struct rail rails[RAILS_MAX];
};

static const char *const devices[] = {"/dev/vcio_gencmd", "/dev/vcio"};

static int ask(const struct state *self, struct message *message)
{
    static const char command[] = "pmic_read_adc";

    static_assert(offsetof(struct message, text) == 24 && sizeof(struct message) == ANSWER_MAX + 28, "as vcgencmd's");
    *message = (struct message){.size = sizeof *message, .tag = GET_GENCMD_RESULT, .room = ANSWER_MAX};
    if (!self->saved) {
        memcpy(message->text, command, sizeof command);
        if (ioctl(self->fd, ASK_FIRMWARE, message) < 0)
            return -errno;
    } else if (pread(self->fd, message->text, ANSWER_MAX, 0) < 0)
        return -errno;
    message->text[ANSWER_MAX - 1] = '\0';
    return message->error ? -EOPNOTSUPP : 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int64_t divide(int64_t value, int64_t by)
{
    return (value + (value < 0 ? -by : by) / 2) / by;
}

// "0.92871990A" in millionths. A line that was cut lacks its unit.
static int take_micro(const char *at, char unit, int64_t *micro)
{
    bool negative = *at == '-';
    int64_t value = 0, scale = 100000000;

    at += negative;
    if (!is_digit(*at))
        return EINVAL;
    for (; is_digit(*at) && value <= WHOLE_MAX; at++)
        value = value * 10 + (*at - '0');
    if (value > WHOLE_MAX)
        return ERANGE;
    value *= scale;
    if (*at == '.')
        for (at++; is_digit(*at); at++)
            value += (scale /= 10) * (*at - '0');
    if (*at != unit || at[1 + strspn(at + 1, " \t\r")])
        return EINVAL;
    *micro = divide(negative ? -value : value, 100);
    return negative && unit == 'V' ? ERANGE : 0;
}

static struct rail *find_rail(struct state *self, const char *name, size_t length, bool learn)
{
    struct rail *rail = self->rails;

    for (; rail < self->rails + self->count; rail++)
        if (strlen(rail->name) == length && memcmp(rail->name, name, length) == 0)
            return rail;
    if (!learn || self->count == RAILS_MAX)
        return NULL;
    *rail = (struct rail){.error = {ENODATA, ENODATA}};
    memcpy(rail->name, name, length);
    self->count++;
    return rail;
}

// What does not look like a measured value is not one; the first of two lines of one name holds.
static void take_line(struct state *self, const char *line, bool learn)
{
    const char *name = line + strspn(line, " \t"), *value = strchr(name, '=');
    size_t length = strcspn(name, " \t=");
    enum half half;
    struct rail *rail;

    if (!value || length < 3 || length - 2 >= sizeof rail->name || name[length - 2] != '_' ||
        !strchr("AV", name[length - 1]))
        return;
    half = name[length - 1] == 'A' ? AMPERES : VOLTS;
    rail = find_rail(self, name, length - 2, learn);
    if (rail && rail->error[half] == ENODATA)
        rail->error[half] = take_micro(value + 1, name[length - 1], &rail->micro[half]);
}

// Fills the rails from one answer. 0, or -errno and no rail has a value.
static int refresh(struct state *self, bool learn)
{
    struct message message;
    char *rest, *line;
    int rc = ask(self, &message);

    for (int i = 0; i < self->count; i++)
        self->rails[i].error[VOLTS] = self->rails[i].error[AMPERES] = ENODATA;
    if (rc < 0)
        return rc;
    for (line = strtok_r(message.text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        take_line(self, line, learn);
    return 0;
}

// A voltage without a current is no rail: the input (EXT5V) and the clock's battery (BATT).
static void drop_halves(struct state *self)
{
    int kept = 0;

    for (int i = 0; i < self->count; i++)
        if (self->rails[i].error[VOLTS] != ENODATA && self->rails[i].error[AMPERES] != ENODATA)
            self->rails[kept++] = self->rails[i];
    self->count = kept;
}

static int learn_rails(struct state *self, const struct jp_site *site, const char *path)
{
    struct stat st;
    int rc;

    self->count = 0;
    self->fd = jp_site_open(site, path);
    if (self->fd < 0)
        return self->fd;
    self->saved = fstat(self->fd, &st) == 0 && S_ISREG(st.st_mode);
    rc = refresh(self, true);
    drop_halves(self);
    if (rc == 0 && self->count > 0)
        return self->count;
    close(self->fd);
    return rc < 0 ? rc : -ENODATA;
}

static int open_pmic(void *state, const struct jp_site *site, const struct jp_found *found, struct jp_channel *channels,
                     int max)
{
    struct state *self = state;
    int count = learn_rails(self, site, found->path);

    if (count > max)
        count = self->count = max;
    for (int i = 0; i < count; i++) {
        const char *name = self->rails[i].name;

        jp_channel_init(&channels[i], JP_POWER, "rpi_pmic", name);
        channels[i].index = i + 1;
        if (strcmp(name, "VDD_CORE") == 0)
            channels[i].roles = JP_ROLE_CPU;
        if (strncmp(name, "DDR_", 4) == 0)
            channels[i].roles = JP_ROLE_RAM;
    }
    return count;
}

static void answer(const struct rail *rail, int error, struct jp_reading *reading)
{
    int64_t uv = rail->micro[VOLTS], ua = rail->micro[AMPERES];

    for (int i = 0; i < HALVES && error == 0; i++)
        error = rail->error[i];
    if (error) {
        jp_reading_missing(reading, error);
        return;
    }
    jp_reading_good(reading, divide(uv * ua, 1000000));
    reading->mv = (int32_t)divide(uv, 1000);
    reading->ma = (int32_t)divide(ua, 1000);
}

static void read_pmic(void *state, struct jp_pass *pass)
{
    struct state *self = state;
    int rc = refresh(self, false);

    for (int i = 0; i < self->count; i++)
        if (pass->readings[i].state == JP_WANTED)
            answer(&self->rails[i], -rc, &pass->readings[i]);
    jp_pass_late(pass);
}

static void close_pmic(void *state)
{
    struct state *self = state;

    close(self->fd);
}

static bool is_pi5(const struct jp_site *site)
{
    static const char soc[] = "brcm,bcm2712";
    char text[512];
    int length = jp_site_read(site, "/proc/device-tree/compatible", text, sizeof text);

    return length > 0 && memmem(text, (size_t)length, soc, sizeof soc - 1);
}

// The device that may be opened, else the first one there.
static const char *find_device(const struct jp_site *site)
{
    const char *denied = NULL;

    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        int fd = jp_site_open(site, devices[i]);

        if (fd >= 0) {
            close(fd);
            return devices[i];
        }
        if (fd != -ENOENT && !denied)
            denied = devices[i];
    }
    return denied;
}

// Every Raspberry Pi has the mailbox, and one of these rails: elsewhere silence is no fault.
static int probe_pmic(const struct jp_site *site, struct jp_found *found, int max)
{
    const char *path = find_device(site);
    struct state trial;

    if (!path || max < 1)
        return 0;
    if (learn_rails(&trial, site, path) > 0)
        close_pmic(&trial);
    else if (!is_pi5(site))
        return 0;
    *found = (struct jp_found){.param = 0};
    snprintf(found->path, sizeof found->path, "%s", path);
    return 1;
}

const struct jp_driver jp_driver_rpi_pmic = {
    .name = "rpi_pmic",
    .state_size = sizeof(struct state),
    .probe = probe_pmic,
    .open = open_pmic,
    .read = read_pmic,
    .close = close_pmic,
};
