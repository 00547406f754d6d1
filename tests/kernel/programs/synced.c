// SPDX-License-Identifier: Apache-2.0
// synced: tells the kernel that its clock is synchronized, as a time daemon would. Setting the clock takes that back.
#include <stdio.h>
#include <sys/timex.h>

int main(void)
{
    struct timex timex = {
        .modes = ADJ_STATUS | ADJ_MAXERROR | ADJ_ESTERROR, .status = STA_PLL, .maxerror = 2000, .esterror = 1000};

    if (adjtimex(&timex) < 0) {
        perror("adjtimex");
        return 1;
    }
    return 0;
}
