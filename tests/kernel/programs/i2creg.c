// SPDX-License-Identifier: Apache-2.0
// i2creg [-f] BUS ADDRESS REGISTER[=VALUE]...: registers of 16 bits, most significant byte first, as the INA chips have
// them; SMBus words are the other way round. Without a value it prints one. -f goes past a kernel driver that holds the
// chip: for scripting a stub.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/i2c-dev.h>

#include <i2c/smbus.h>

static int swap(int word)
{
    return (word & 0xff) << 8 | (word >> 8 & 0xff);
}

static int one(int fd, char *word)
{
    char *value = strchr(word, '=');
    int reg = (int)strtol(word, NULL, 0);
    int got;

    if (value)
        return i2c_smbus_write_word_data(fd, (unsigned char)reg, (unsigned short)swap((int)strtol(value + 1, NULL, 0)));
    got = i2c_smbus_read_word_data(fd, (unsigned char)reg);
    if (got >= 0)
        printf("0x%04x\n", (unsigned)swap(got));
    return got;
}

int main(int count, char **words)
{
    int force = count > 1 && strcmp(words[1], "-f") == 0, fd, rc = 0;
    char path[32];

    words += force;
    count -= force;
    if (count < 4)
        return 64;
    snprintf(path, sizeof path, "/dev/i2c-%d", (int)strtol(words[1], NULL, 0));
    fd = open(path, O_RDWR);
    if (fd < 0 || ioctl(fd, force ? I2C_SLAVE_FORCE : I2C_SLAVE, strtol(words[2], NULL, 0)) < 0) {
        printf("%s %s: %s\n", path, words[2], strerror(errno));
        return 2;
    }
    for (int i = 3; i < count && rc >= 0; i++) {
        rc = one(fd, words[i]);
        if (rc < 0)
            printf("%s %s register %s: %s\n", path, words[2], words[i], strerror(-rc));
    }
    return rc < 0;
}
