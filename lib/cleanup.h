/* Release on scope exit, by attribute. Every cleanup keeps errno, accepts "nothing" (NULL, -1) and disarms itself.
 * A resource that outlives its scope is handed over with take_fd() or take_ptr(). */
#ifndef CLEANUP_H
#define CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
	int saved = errno;
	free(*(void **)p);
	*(void **)p = NULL;
	errno = saved;
}

static inline void cleanup_close(int *fd)
{
	int saved = errno;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

static inline void cleanup_fclose(FILE **f)
{
	int saved = errno;
	if (*f)
		fclose(*f);
	*f = NULL;
	errno = saved;
}

static inline void cleanup_closedir(DIR **d)
{
	int saved = errno;
	if (*d)
		closedir(*d);
	*d = NULL;
	errno = saved;
}

#define auto_free __attribute__((cleanup(cleanup_free)))
#define auto_close __attribute__((cleanup(cleanup_close)))
#define auto_fclose __attribute__((cleanup(cleanup_fclose)))
#define auto_closedir __attribute__((cleanup(cleanup_closedir)))

/* Closes now, before the scope ends; *fd becomes -1. */
static inline void close_fd(int *fd)
{
	cleanup_close(fd);
}

/* Hands the descriptor over: returns it and leaves -1 behind. */
static inline int take_fd(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

/* Hands the pointer over: evaluates to it and leaves NULL behind. */
#define take_ptr(p)                                                                                                    \
	({                                                                                                             \
		__typeof__(p) *take_from_ = &(p);                                                                      \
		__typeof__(p) taken_ = *take_from_;                                                                    \
		*take_from_ = NULL;                                                                                    \
		taken_;                                                                                                \
	})

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
