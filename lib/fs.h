/* Files by directory descriptor: whole-file reads and writes, atomic replacement, trees, and paths that cannot leave
 * a root (openat2(2)). All descriptors are close-on-exec. */
#ifndef FS_H
#define FS_H

#include <stddef.h>
#include <sys/types.h>

struct error;

/* Reads a whole file of at most max bytes into a NUL-terminated allocation that the caller owns; *ret_len (may be
 * NULL) does not count the NUL. A longer file is -EFBIG. dirfd may be AT_FDCWD. */
int fs_read_at(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len, struct error *err);
/* The same from a descriptor that is read to its end (a pipe, stdin). */
int fs_read_fd(int fd, const char *name, size_t max, char **ret, size_t *ret_len, struct error *err);

/* Writes to an existing file in one write(2): /proc, /sys, cgroup files. Not created, not truncated. */
int fs_write_at(int dirfd, const char *path, const char *text, struct error *err);
/* Replaces (or creates) a file atomically: temporary name in the same directory, then rename(2). */
int fs_replace_at(int dirfd, const char *path, const void *data, size_t len, mode_t mode, struct error *err);
/* Writes all of it, restarting after EINTR and short writes; 0 or -errno. */
int fs_write_all(int fd, const void *data, size_t len);

/* Opens, with O_CLOEXEC added. Descriptor or negative code. */
int fs_open_at(int dirfd, const char *path, int flags, mode_t mode, struct error *err);

/* Makes the directory and its parents; existing ones are fine. */
int fs_mkdirs(const char *path, mode_t mode, struct error *err);
/* Removes a file or a whole tree beneath dirfd, never following symbolic links nor crossing into other mounts; a
 * missing one is success. */
int fs_remove_tree(int dirfd, const char *name, struct error *err);

/* Opens path as if root_fd were "/": absolute paths, ".." and symbolic links stay inside (RESOLVE_IN_ROOT,
 * RESOLVE_NO_MAGICLINKS). Restarts on EAGAIN, which rename storms cause, for a bounded time. */
int fs_open_in_root(int root_fd, const char *path, int flags, mode_t mode, struct error *err);
/* Makes directories of path inside the root as needed and returns an O_PATH|O_DIRECTORY descriptor of the last one.
 * Directories are created one by one beneath an already opened parent, so no exchange of a parent can redirect them. */
int fs_mkdirs_in_root(int root_fd, const char *path, mode_t mode, struct error *err);

/* "/proc/self/fd/N", for system calls that take only paths. */
enum { FS_PROC_FD_SIZE = 32 };
const char *fs_proc_fd(int fd, char out[FS_PROC_FD_SIZE]);

/* True for a single path component that is not "", "." or ".." and has no '/'. */
int fs_is_name(const char *s);

#endif
