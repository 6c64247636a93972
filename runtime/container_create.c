/* Creating a container, the parent's side, in four stages:
 *
 *    prepare  reads and checks everything that can be wrong; touches nothing
 *    record   makes the container's directory and says in it what is going to be made on the host
 *    spawn    makes it (container_spawn.c); init waits at its start
 *    finish   saves the state with the pid, tells whoever wants to know, lets init go
 *
 * Should this process be killed, init dies with it until the last step of `finish`, and what else there is on the host
 * is named by the record. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "container.h"
#include "create.h"
#include "error.h"
#include "fs.h"
#include "log.h"
#include "net.h"
#include "notify.h"
#include "rootfs.h"
#include "rootless.h"
#include "seal.h"
#include "seccomp.h"
#include "services.h"
#include "sync.h"
#include "terminal.h"
#include "version.h"

/* --- prepare ------------------------------------------------------------------------------------------------ */

static int open_bundle(struct creation *cr, struct error *err)
{
	const char *path = cr->o->bundle ? cr->o->bundle : ".";
	char absolute[PATH_MAX], proc[FS_PROC_FD_SIZE];
	ssize_t n;

	cr->bundle_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (cr->bundle_fd < 0)
		return error_sys(err, "cannot open the bundle %s", path);
	n = readlink(fs_proc_fd(cr->bundle_fd, proc), absolute, sizeof(absolute) - 1);
	if (n < 0)
		return error_sys(err, "cannot find out the path of the bundle %s", path);
	absolute[n] = '\0';
	cr->bundle = strdup(absolute);
	return cr->bundle ? 0 : error_oom(err);
}

/* IFNAME=FILE of --net; a relative file is the caller's, not the bundle's. */
static int add_net(struct spec *s, const char *net, struct error *err)
{
	const char *equals = strchr(net, '=');
	auto_free char *ifname = equals ? strndup(net, (size_t)(equals - net)) : NULL;
	auto_free char *here = NULL, *file = NULL;
	int rc;

	if (!equals)
		return error_set(err, EINVAL, "--net %s: needs the form IFNAME=FILE", net);
	if (!spec_namespace(s, NS_NET))
		return error_set(err, EINVAL, "--net %s: the container has no network namespace of its own: add "
				 "{\"type\": \"network\"} to linux.namespaces", net);
	here = equals[1] == '/' ? strdup("") : getcwd(NULL, 0);
	file = here ? str_printf("%s%s%s", here, *here ? "/" : "", equals + 1) : NULL;
	if (!ifname || !file)
		return error_oom(err);
	rc = spec_add_attachment(s, ifname, equals[1] ? file : "", err);
	return rc < 0 ? error_wrap(err, "--net %s", net) : 0;
}

/* A descriptor of our own is close-on-exec; one that was handed to us cannot be. */
static int check_preserved(uint32_t first, uint32_t n, struct error *err)
{
	for (uint32_t i = first; i < first + n; i++) {
		int flags = fcntl((int)i, F_GETFD);

		if (flags < 0 || flags & FD_CLOEXEC)
			return error_set(err, EBADF, "cannot preserve descriptor %u: please check that --preserve-fds is not more "
					 "than there are", i);
	}
	return 0;
}

/* The supervisor of services never executes anything that would close what the caller of nsrun left open. Ours are all
 * close-on-exec, so what is not is not ours. */
static void close_inherited(int first)
{
	auto_closedir DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		int fd = atoi(e->d_name);

		if (fd >= first && !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
			close(fd);
	}
}

/* sd_listen_fds(3): they are ours if LISTEN_PID is. */
static int count_listen_fds(void)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
	uint32_t number, count;

	if (!pid || !n || str_u32(pid, 1, INT_MAX, &number) < 0 || (pid_t)number != getpid() ||
	    str_u32(n, 0, 1024, &count) < 0)
		return 0;
	return (int)count;
}

static int load_spec(struct creation *cr, struct error *err)
{
	struct spec *s = &cr->c->spec;
	int rc = open_bundle(cr, err);

	if (rc == 0)
		rc = spec_load(s, cr->bundle_fd, "config.json", err);
	if (rc < 0)
		return rc;
	cr->c->has_spec = true;
	for (char **net = cr->o->net; net && *net; net++) {
		rc = add_net(s, *net, err);
		if (rc < 0)
			return rc;
	}
	return spec_check_host(s, err);
}

static int prepare(struct creation *cr, struct error *err)
{
	const struct create_options *o = cr->o;
	struct spec *s = &cr->c->spec;
	int rc = load_spec(cr, err);

	if (rc < 0)
		return rc;
	rc = terminal_check_socket(s->process && s->process->terminal && !s->services, !o->foreground, o->console_socket,
				   err);
	if (rc < 0)
		return rc;
	cr->init.listen_fds = count_listen_fds();
	rc = check_preserved(3, o->preserve_fds + (uint32_t)cr->init.listen_fds, err);
	if (rc == 0 && s->services)
		close_inherited(3 + (int)o->preserve_fds + cr->init.listen_fds);
	if (rc == 0 && s->services)
		rc = services_load(s, cr->bundle_fd, &cr->services, err);
	if (rc == 0)
		rc = ns_plan_make(s, &cr->plan, err);
	if (rc == 0)
		rc = ns_check_rights(&cr->plan, err);
	if (rc == 0)
		rc = net_check_rights(s, err);
	if (rc == 0 && s->linux_.seccomp)
		rc = seccomp_compile(s->linux_.seccomp, &cr->seccomp, err);
	if (rc == 0)
		rc = cgroup_plan(s, cr->c->id, globals.cgroup_manager, &cr->cgroup, err);
	if (rc == 0 && cr->cgroup.n && rootless_cgroups())
		rc = rootless_plan(&cr->cgroup, s, err);
	return rc;
}

/* --- record ------------------------------------------------------------------------------------------------- */

static int lock_directory(struct container *c, int root, struct error *err)
{
	c->dir_fd = fs_open_at(root, c->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
	if (c->dir_fd < 0)
		return c->dir_fd;
	c->lock_fd = fs_open_at(c->dir_fd, "lock", O_RDONLY | O_CREAT, 0600, err);
	if (c->lock_fd < 0)
		return c->lock_fd;
	if (flock(c->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK ? error_set(err, EBUSY, "container %s is being deleted", c->id) :
				      error_sys(err, "cannot lock container %s", c->id);
}

/* From making the directory until its lock is held the root is locked, too (specs/state.md): a `delete --force` that
 * finds the directory in between must not take it away from under us. */
static int make_directory(struct container *c, struct error *err)
{
	auto_close int root = state_open_root(true, err);
	int rc;

	if (root < 0)
		return root;
	if (flock(root, LOCK_SH) < 0)
		return error_sys(err, "cannot lock the state root %s", globals.root);
	if (mkdirat(root, c->id, 0700) < 0)
		return errno == EEXIST ? error_set(err, EEXIST, "container with id exists: %s", c->id) :
					 error_sys(err, "cannot make the directory of container %s in %s", c->id, globals.root);
	rc = lock_directory(c, root, err);
	if (rc < 0 && rc != -EBUSY)
		(void)fs_remove_tree(root, c->id, NULL);
	return rc;
}

/* Copies n strings, got by `get`, into the state's document. */
static char **copy_list(struct json_doc *doc, size_t n, const char *(*get)(const struct creation *, size_t),
			const struct creation *cr)
{
	char **list = json_alloc(doc, (n + 1) * sizeof(*list));

	for (size_t i = 0; list && i < n; i++)
		if (!(list[i] = json_strdup(doc, get(cr, i))))
			return NULL;
	return list;
}

static const char *cgroup_path(const struct creation *cr, size_t i)
{
	return cr->cgroup.dirs[i].path;
}

static const char *attachment_name(const struct creation *cr, size_t i)
{
	return cr->c->spec.attachments[i].ifname;
}

static int fill_state(struct creation *cr, struct error *err)
{
	const struct spec *s = &cr->c->spec;
	struct state *st = &cr->c->state;
	struct json_doc *doc = st->doc = json_new();
	char now[STR_TIME_SIZE], rootfs[PATH_MAX];
	bool absolute = s->root->path[0] == '/';

	if (!doc)
		return error_oom(err);
	str_time(now);
	snprintf(rootfs, sizeof(rootfs), "%s%s%s", absolute ? "" : cr->bundle, absolute ? "" : "/", s->root->path);
	st->oci_version = OCI_SPEC_VERSION;
	st->id = cr->c->id;
	st->status = STATUS_CREATING;
	st->bundle = json_strdup(doc, cr->bundle);
	st->rootfs = json_strdup(doc, rootfs);
	st->created = json_strdup(doc, now);
	st->annotations = s->annotations;
	st->netns_name = s->netns_name;
	st->has_services = cr->services;
	st->no_pid_namespace = !ns_is_private(&cr->plan, NS_PID);
	if (cr->cgroup.n)
		st->cgroups = copy_list(doc, cr->cgroup.n, cgroup_path, cr);
	st->unit = cr->cgroup.unit ? json_strdup(doc, cr->cgroup.unit) : NULL;
	if (s->n_attachments)
		st->attachments = copy_list(doc, s->n_attachments, attachment_name, cr);
	if (!st->bundle || !st->rootfs || !st->created || (cr->cgroup.n && !st->cgroups) ||
	    (cr->cgroup.unit && !st->unit) || (s->n_attachments && !st->attachments))
		return error_oom(err);
	return 0;
}

/* The text as it was read; not through a temporary file, since nobody reads it before state.json is there. */
static int save_config(const struct container *c, struct error *err)
{
	auto_close int fd = fs_open_at(c->dir_fd, "config.json", O_WRONLY | O_CREAT | O_TRUNC, 0600, err);
	int rc = fd < 0 ? fd : fs_write_all(fd, c->spec.text, c->spec.text_len);

	if (fd < 0 || rc == 0)
		return rc;
	errno = -rc;
	return error_sys(err, "cannot save the configuration of container %s", c->id);
}

static int record(struct creation *cr, struct error *err)
{
	struct container *c = cr->c;
	int rc = fill_state(cr, err);

	if (rc == 0)
		rc = save_config(c, err);
	if (rc == 0)
		rc = state_save(&c->state, c->dir_fd, err);
	return rc;
}

/* --- start channel ------------------------------------------------------------------------------------------ */

void container_start_address(const struct container *c, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/start.sock", c->dir_fd);
}

static int open_start_channel(struct creation *cr, struct error *err)
{
	struct sockaddr_un addr;

	cr->init.start_listen = -1;
	if (cr->o->run)
		return 0;
	container_start_address(cr->c, &addr);
	cr->init.start_listen = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (cr->init.start_listen < 0 || bind(cr->init.start_listen, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(cr->init.start_listen, 1) < 0)
		return error_sys(err, "cannot make the start socket of container %s", cr->c->id);
	return 0;
}

/* --- finish ------------------------------------------------------------------------------------------------- */

static int write_pid_file(const struct creation *cr, struct error *err)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", cr->c->state.pid);

	return cr->o->pid_file ? fs_replace_at(AT_FDCWD, cr->o->pid_file, text, (size_t)n, 0644, err) : 0;
}

/* With `run`, container_start() goes on where this ends, and saves the state. */
static int finish(struct creation *cr, struct error *err)
{
	struct container *c = cr->c;
	struct sync_msg m;
	int rc;

	c->state.start_time = state_start_time(c->state.pid);
	rc = write_pid_file(cr, err);
	if (rc == 0 && cr->o->pidfd_socket)
		rc = terminal_send(cr->o->pidfd_socket, TERMINAL_PIDFD_INIT, c->pidfd, err);
	c->state.status = STATUS_CREATED;
	c->building = init_starts_at_once(&c->spec, cr->o);
	if (rc == 0 && cr->o->run)
		c->start_fd = take_fd(&cr->sync);
	if (rc < 0 || cr->o->run)
		return rc;
	rc = state_save(&c->state, c->dir_fd, err);
	if (rc == 0)
		rc = sync_send(cr->sync, SYNC_CREATED, 0, -1, err);
	seal_release();
	/* Init closes its end when our death is not its own any more. */
	if (rc == 0)
		rc = sync_receive(cr->sync, &m, NULL, err);
	return rc;
}

static void release(struct creation *cr)
{
	rootfs_close_sources(&cr->init);
	ns_plan_close(&cr->plan);
	cgroup_close(&cr->cgroup);
	seccomp_free(cr->seccomp);
	services_free(cr->services);
	close_fd(&cr->init.start_listen);
	close_fd(&cr->init.sync);
	close_fd(&cr->sync);
	close_fd(&cr->bundle_fd);
	free(cr->bundle);
}

static int create(struct creation *cr, struct error *err)
{
	int rc = prepare(cr, err);

	if (rc == 0)
		rc = make_directory(cr->c, err);
	if (rc < 0)
		return rc;
	rc = record(cr, err);
	if (rc == 0 && cr->services)
		rc = services_open(cr->services, cr->c, err);
	if (rc == 0 && cr->services && cr->o->foreground && notify_is_open())
		rc = services_open_reports(cr->services, &cr->c->report, err);
	if (rc == 0)
		rc = open_start_channel(cr, err);
	if (rc == 0)
		rc = container_spawn(cr, err);
	if (rc == 0)
		rc = finish(cr, err);
	if (rc == 0)
		return 0;
	container_spawn_undo(cr);
	if (!cr->attached)
		cr->c->state.attachments = NULL;
	if (!cr->cgroup.n) /* nothing of it was ours */
		cr->c->state.cgroups = NULL;
	if (container_take_back(cr->c, cr->built, NULL) < 0)
		log_warn("container %s could not be undone completely: nsrun delete --force %s tries again", cr->c->id,
			 cr->c->id);
	return rc;
}

int container_create(struct container *c, const char *id, const struct create_options *o, struct error *err)
{
	struct creation cr = {
		.c = c,
		.o = o,
		.bundle_fd = -1,
		.sync = -1,
		.cgroup = {.dir_fd = -1},
		.init = {.sync = -1, .start_listen = -1, .root_fd = -1, .host_dev = -1, .sysctl_proc = -1, .parent_fds = {-1, -1}},
	};
	int rc = state_check_id(id, err);

	for (int i = 0; i < NS_KINDS; i++)
		cr.plan.join[i] = -1;
	if (rc < 0)
		return rc;
	c->id = strdup(id);
	rc = c->id ? create(&cr, err) : error_oom(err);
	release(&cr);
	return rc;
}
