// SPDX-License-Identifier: Apache-2.0
// ask SOCKET REQUEST: one request over meter's control socket; prints the reply.
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int count, char **words)
{
    static char reply[1 << 17];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    ssize_t size;

    if (count != 3)
        return 64;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", words[1]);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) || send(fd, words[2], strlen(words[2]), 0) < 0) {
        perror(words[1]);
        return 1;
    }
    size = recv(fd, reply, sizeof reply, 0);
    if (size <= 0)
        return 1;
    fwrite(reply, 1, (size_t)size, stdout);
    return 0;
}
