/* Opening what is there. */
#include "container.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"

static int no_such_container(const char *id, struct error *err)
{
	return error_set(err, ENOENT, "container %s does not exist", id);
}

static int open_directory(struct container *c, struct error *err)
{
	auto_close int root = state_open_root(false, err);

	if (root == -ENOENT)
		return no_such_container(c->id, err);
	if (root < 0)
		return root;
	c->dir_fd = openat(root, c->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (c->dir_fd < 0 && errno == ENOENT)
		return no_such_container(c->id, err);
	if (c->dir_fd < 0)
		return error_sys(err, "cannot open the directory of container %s in %s", c->id, globals.root);
	return 0;
}

/* The directory lives on while it is open: it counts as deleted when no name leads to it. */
static bool is_deleted(int dir_fd)
{
	struct stat st;

	return fstat(dir_fd, &st) == 0 && st.st_nlink == 0;
}

/* A creator that was killed early has not made the file. With the root locked nobody removes the directory meanwhile,
 * and finds it not empty then. */
static int make_lock_file(const struct container *c, struct error *err)
{
	auto_close int root = state_open_root(false, err);
	int fd;

	if (root < 0)
		return root;
	if (flock(root, LOCK_SH) < 0)
		return error_sys(err, "cannot lock the state root %s", globals.root);
	fd = openat(c->dir_fd, "lock", O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == ENOENT ? no_such_container(c->id, err) : error_sys(err, "cannot lock container %s", c->id);
	return fd;
}

int container_lock(struct container *c, struct error *err)
{
	int rc;

	if (c->lock_fd >= 0)
		return 0;
	c->lock_fd = openat(c->dir_fd, "lock", O_RDONLY | O_CLOEXEC);
	if (c->lock_fd < 0 && errno != ENOENT)
		return error_sys(err, "cannot lock container %s", c->id);
	if (c->lock_fd < 0)
		c->lock_fd = make_lock_file(c, err);
	if (c->lock_fd < 0)
		return c->lock_fd;
	do
		rc = flock(c->lock_fd, LOCK_EX);
	while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return error_sys(err, "cannot lock container %s", c->id);
	return is_deleted(c->dir_fd) ? no_such_container(c->id, err) : 0;
}

/* Before state.json is there, nothing else of the container is. */
static int load_state(struct container *c, struct error *err)
{
	int rc = state_load(&c->state, c->dir_fd, c->id, err);

	if (rc != -ENOENT)
		return rc;
	if (is_deleted(c->dir_fd))
		return no_such_container(c->id, err);
	c->state = (struct state){.id = c->id, .status = STATUS_CREATING, .bundle = ""};
	if (err)
		*err = (struct error){0};
	return 0;
}

int container_open(struct container *c, const char *id, bool lock, struct error *err)
{
	int rc;

	*c = (struct container)CONTAINER_INIT;
	rc = state_check_id(id, err);
	if (rc < 0)
		return rc;
	c->id = strdup(id);
	rc = c->id ? open_directory(c, err) : error_oom(err);
	if (rc == 0 && lock)
		rc = container_lock(c, err);
	if (rc == 0)
		rc = load_state(c, err);
	if (rc < 0) {
		container_close(c);
		return rc;
	}
	c->pidfd = state_refresh(&c->state, c->dir_fd, lock);
	return 0;
}

int container_load_spec(struct container *c, struct error *err)
{
	int rc = c->has_spec ? 0 : spec_load(&c->spec, c->dir_fd, "config.json", err);

	if (rc < 0)
		return error_wrap(err, "cannot load the configuration of container %s", c->id);
	c->has_spec = true;
	return 0;
}

void container_close(struct container *c)
{
	close_fd(&c->start_fd);
	close_fd(&c->terminal);
	close_fd(&c->report);
	close_fd(&c->pidfd);
	close_fd(&c->lock_fd);
	close_fd(&c->dir_fd);
	state_free(&c->state);
	if (c->has_spec)
		spec_free(&c->spec);
	free(c->id);
	*c = (struct container)CONTAINER_INIT;
}
