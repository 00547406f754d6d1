// SPDX-License-Identifier: Apache-2.0
// Users and folders.
#define _GNU_SOURCE
#include "identity.h"

#include "fs.h"
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int jp_identity_find(const struct jp_config *config, struct jp_identity *identity)
{
    const struct passwd *user;

    *identity = (struct jp_identity){.uid = geteuid(), .gid = getegid()};
    snprintf(identity->name, sizeof identity->name, "%s", config->user);
    if (geteuid() != 0)
        return 0;
    user = getpwnam(config->user);
    if (!user) {
        user = getpwnam("nobody");
        if (!user)
            return -ENOENT;
        jp_log_warning("there is no user %s here: the halves run as nobody", config->user);
        snprintf(identity->name, sizeof identity->name, "nobody");
    }
    identity->uid = user->pw_uid;
    identity->gid = user->pw_gid;
    identity->drop = user->pw_uid != 0;
    return 0;
}

int jp_identity_drop(const struct jp_identity *identity)
{
    uid_t real, effective, saved;
    gid_t group, effective_group, saved_group;

    if (!identity->drop)
        return 0;
    if (setgroups(1, &identity->gid) || setresgid(identity->gid, identity->gid, identity->gid) ||
        setresuid(identity->uid, identity->uid, identity->uid))
        return -errno;
    if (getresuid(&real, &effective, &saved) || getresgid(&group, &effective_group, &saved_group))
        return -errno;
    if (real != identity->uid || effective != identity->uid || saved != identity->uid || group != identity->gid ||
        effective_group != identity->gid || saved_group != identity->gid || setuid(0) == 0)
        return -EPERM;
    return 0;
}

static bool is_empty(int fd)
{
    DIR *dir = fdopendir(dup(fd));
    const struct dirent *entry;
    bool empty = dir != NULL;

    while (dir && empty && (entry = readdir(dir)))
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    if (dir)
        closedir(dir);
    return empty;
}

static int make_folder(const char *path, mode_t mode, const struct jp_identity *identity)
{
    struct stat st;
    bool made;
    int fd, rc = jp_fs_make_dirs(&jp_fs_real, path, 0700);

    if (rc < 0)
        return rc;
    made = rc == 1;
    rc = 0;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) // there, and only the one who will use it need be able to look
        return made || errno == ENOTDIR || errno == ELOOP ? -errno : 0;
    if (fstat(fd, &st))
        rc = -errno;
    else if (made || (identity->drop && st.st_uid == 0 && !(st.st_mode & S_ISVTX) && is_empty(fd)))
        rc = (identity->drop && fchown(fd, identity->uid, identity->gid)) || fchmod(fd, mode) ? -errno : 0;
    close(fd);
    return rc;
}

static const char *advice(int error)
{
    switch (error) {
    case EACCES:
    case EPERM:
        return "make it, chown it to that user and open the folders above it, or name another";
    case EROFS:
        return "the file system is read-only: name a folder on another";
    case ENOSPC:
    case EDQUOT:
        return "the file system is full: free some of it, or name a folder on another";
    case ENOTDIR:
    case ELOOP:
        return "a part of the path is no folder or a link: remove that, or name another";
    default:
        return "name another folder";
    }
}

// A disk that fails or is full may come back: post measures on and tries again.
static bool may_pass(int error)
{
    return error == EROFS || error == ENOSPC || error == EDQUOT || error == EIO;
}

int jp_identity_folders(const struct jp_config *config, const struct jp_identity *identity, bool with_spool)
{
    int rc = make_folder(config->paths_hot, 02770, identity);
    const char *key = "hot", *path = config->paths_hot;

    if (rc == 0 && with_spool) {
        key = "spool";
        path = config->paths_spool;
        rc = make_folder(path, 0750, identity);
        if (may_pass(-rc)) {
            jp_log_warning("paths.%s %s cannot be made: %s; it is tried again", key, path, strerror(-rc));
            rc = 0;
        }
    }
    if (rc)
        jp_log_error("paths.%s %s cannot be made for user %u: %s; %s", key, path, (unsigned)identity->uid,
                     strerror(-rc), advice(-rc));
    return rc;
}

int jp_identity_can_write(const struct jp_config *config, bool with_spool)
{
    const struct {
        const char *key, *path;
    } folders[] = {{"hot", config->paths_hot}, {"spool", config->paths_spool}};

    int rc;

    for (int i = 0; i < (with_spool ? 2 : 1); i++) {
        if (access(folders[i].path, R_OK | W_OK | X_OK) == 0)
            continue;
        rc = -errno;
        if (i == 1 && (may_pass(-rc) || rc == -ENOENT)) // post says it, and tries again
            continue;
        jp_log_error("paths.%s %s cannot be used by user %u: %s; %s", folders[i].key, folders[i].path,
                     (unsigned)geteuid(), strerror(-rc), advice(-rc));
        return rc;
    }
    return 0;
}
