#include "net.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "netns.h"
#include "process.h"
#include "seal.h"
#include "spawn.h"
#include "str.h"

/* The helper: named by the environment, beside nsrun, or in PATH. */
static char *find_netsetup(void)
{
	const char *named = getenv("NSRUN_NETSETUP"), *self = seal_path(), *slash = self ? strrchr(self, '/') : NULL;
	auto_free char *beside = slash ? str_printf("%.*s/netsetup", (int)(slash - self), self) : NULL;
	char *found = NULL;

	if (!str_empty(named))
		return spawn_find(named, NULL);
	if (beside)
		found = spawn_find(beside, NULL);
	return found ? found : spawn_find("netsetup", NULL);
}

static void strip_newlines(struct buf *b)
{
	while (b->len && b->data[b->len - 1] == '\n')
		b->data[--b->len] = '\0';
}

/* Runs `netsetup args...`; what it says on stderr is the error. */
static int run(char **args, struct error *err)
{
	auto_free char *path = find_netsetup();
	auto_buf struct buf errors = {0};
	struct spawn s = {.path = path, .argv = args, .errors = &errors};
	char how[SPAWN_STATUS_SIZE];
	int status, rc;

	if (!path)
		return error_set(err, ENOENT, "cannot find netsetup, which does the container's network: it stands beside nsrun, "
				 "or in PATH, or where NSRUN_NETSETUP says");
	rc = spawn_run(&s, &status, err);
	if (rc < 0)
		return rc;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	strip_newlines(&errors);
	return error_set(err, EIO, "%s", errors.len ? errors.data : spawn_status(status, how));
}

int net_check_rights(const struct spec *s, struct error *err)
{
	const char *name = s->n_attachments	      ? s->attachments[0].ifname :
			   s->linux_.n_net_devices ? s->linux_.net_devices[0].host_name :
						     "";
	const char *what = s->n_attachments	      ? "annotations.org.nsrun.net." :
			   s->linux_.n_net_devices ? "linux.netDevices." :
			   s->netns_name	      ? "annotations.org.nsrun.netns" :
						     NULL;

	if (!what || (caps_has(CAP_NET_ADMIN) && caps_has(CAP_SYS_ADMIN)))
		return 0;
	return error_set(err, EPERM, "%s%s: needs rights over the host's network (CAP_NET_ADMIN and CAP_SYS_ADMIN): run nsrun as "
			 "root, or try it with a network of your own: unshare -r --net --mount nsrun ...", what, name);
}

int net_attach(const struct container *c, const struct spec *s, pid_t pid, struct error *err)
{
	auto_strv char **args = NULL;
	int rc = 0;

	for (const char *const *a = (const char *const[]){"netsetup", "add", "--id", c->id, "--netns", NULL}; *a; a++)
		rc |= strv_add(&args, *a);
	rc |= strv_addf(&args, "/proc/%d/ns/net", pid);
	for (size_t i = 0; i < s->n_attachments; i++) {
		const struct spec_attachment *a = &s->attachments[i];
		bool absolute = a->file[0] == '/';

		rc |= strv_addf(&args, "%s=%s%s%s", a->ifname, absolute ? "" : c->state.bundle, absolute ? "" : "/", a->file);
	}
	if (rc < 0)
		return error_oom(err);
	rc = run(args, err);
	return rc < 0 ? error_wrap(err, "cannot make the network of container %s", c->id) : 0;
}

int net_detach(const struct container *c, struct error *err)
{
	char *args[] = {"netsetup", "del", "--id", c->id, NULL};
	int rc = run(args, err);

	return rc < 0 ? error_wrap(err, "cannot take the network of container %s back", c->id) : 0;
}

int net_move_devices(const struct spec *s, pid_t pid, struct error *err)
{
	auto_strv char **args = NULL;
	int rc = 0;

	rc |= strv_add(&args, "netsetup") | strv_add(&args, "move") | strv_add(&args, "--netns");
	rc |= strv_addf(&args, "/proc/%d/ns/net", pid);
	for (size_t i = 0; i < s->linux_.n_net_devices; i++) {
		const struct spec_netdev *d = &s->linux_.net_devices[i];

		rc |= strv_addf(&args, "%s=%s", d->host_name, d->name ? d->name : d->host_name);
	}
	if (rc < 0)
		return error_oom(err);
	rc = run(args, err);
	return rc < 0 ? error_wrap(err, "cannot move network devices into the container") : 0;
}

int net_prepare(const struct spec *s, struct error *err)
{
	const char *root = getenv("NETSETUP_ROOT");
	int rc = 0;

	if (s->netns_name)
		rc = fs_mkdirs(NETNS_DIR, 0755, err);
	if (rc == 0 && s->n_attachments)
		rc = fs_mkdirs(str_empty(root) ? "/run/netsetup" : root, 0711, err);
	return rc;
}

char *net_helper(struct error *err)
{
	char *path = find_netsetup();

	if (!path)
		error_set(err, ENOENT, "cannot find netsetup: it stands beside nsrun, or in PATH, or where NSRUN_NETSETUP says");
	return path;
}
