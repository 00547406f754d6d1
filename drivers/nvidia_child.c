// SPDX-License-Identifier: Apache-2.0
// Starts nvidia-smi, and sees to it that it never outlives us nor stays behind as a zombie.
#define _GNU_SOURCE
#include "nvidia_child.h"

#include "nvidia_row.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUFFER (1 << 20) // 16 GPUs for more than three minutes; what an unprivileged pipe may have
#define STEP_MS 5
#define STEPS 60 // of patience, for each of two signals
#define TEXT_OF(number) TEXT(number)
#define TEXT(number) #number

// A meter that ignores a signal must not have a child that does.
static void default_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        sigaction(i, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

// /dev/null, `out`, /dev/null, and nothing else.
static bool set_descriptors(int out)
{
    int null = open("/dev/null", O_RDWR);

    null = null < 0 ? -1 : fcntl(null, F_DUPFD, 3); // ours may have been closed at the start
    out = fcntl(out, F_DUPFD, 3);
    if (null < 0 || out < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(null, 2) < 0)
        return false;
    if (syscall(SYS_close_range, 3U, ~0U, 0U) != 0) // before Linux 5.9, or not allowed
        for (int fd = 3; fd < 1024; fd++)
            close(fd);
    return true;
}

static void become(const char *program, int out, pid_t parent)
{
    static const char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};
    const char *const arguments[] = {program, "--query-gpu=" JP_NVIDIA_QUERY, "--format=csv,noheader,nounits",
                                     "-lms",  TEXT_OF(JP_NVIDIA_PERIOD_MS),   NULL};

    default_signals();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || !set_descriptors(out) || chdir("/") != 0)
        return;
    setsid(); // fails under the unit's filter, where there is no terminal either
    execve(program, (char *const *)arguments, (char *const *)environment);
}

int jp_nvidia_child_start(struct jp_nvidia_child *child, const char *program)
{
    pid_t parent = getpid(), pid;
    int fds[2], size;

    if (pipe2(fds, O_CLOEXEC) != 0)
        return -errno;
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    fcntl(fds[0], F_SETPIPE_SZ, BUFFER);
    size = fcntl(fds[0], F_GETPIPE_SZ);
    pid = fork();
    if (pid == 0) {
        become(program, fds[1], parent);
        _exit(127);
    }
    if (pid < 0) {
        size = -errno;
        close(fds[0]);
        close(fds[1]);
        return size;
    }
    close(fds[1]);
    *child =
        (struct jp_nvidia_child){.pid = pid, .fd = fds[0], .uid = geteuid(), .buffer = size > 0 ? (size_t)size : 4096};
    return 0;
}

void jp_nvidia_child_end(struct jp_nvidia_child *child, int signal_number)
{
    if (child->fd >= 0)
        close(child->fd);
    child->fd = -1;
    if (child->pid > 0)
        kill(child->pid, signal_number);
}

bool jp_nvidia_child_gone(struct jp_nvidia_child *child)
{
    pid_t rc = child->pid > 0 ? waitpid(child->pid, NULL, WNOHANG) : 0;

    if (rc == child->pid || (rc < 0 && errno == ECHILD)) // who ignores SIGCHLD has nothing to wait for
        child->pid = 0;
    return child->pid == 0;
}

void jp_nvidia_child_stop(struct jp_nvidia_child *child)
{
    static const int signals[] = {SIGTERM, SIGKILL};

    for (int i = 0; i < 2 && child->pid > 0; i++) {
        jp_nvidia_child_end(child, signals[i]);
        for (int step = 0; step < STEPS && !jp_nvidia_child_gone(child); step++)
            poll(NULL, 0, STEP_MS);
    }
    if (child->fd >= 0)
        close(child->fd);
    *child = (struct jp_nvidia_child){.fd = -1};
}
