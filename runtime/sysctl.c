/* Kernel parameters. Written to a procfs of our own, so that nothing the container or its image mounts can redirect
 * them (CVE-2025-52881); spec_check.c has refused those that no namespace of the container's holds. What /proc/sys
 * shows of network, ipc and uts is that of the process that looks, so init writes, once it is in its namespaces, with
 * all rights it will ever have. The procfs is made earlier, while the host's /proc is in sight: in a user namespace the
 * kernel allows none to whoever sees none. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "init.h"
#include "log.h"
#include "ns.h"
#include "rootfs.h"
#include "str.h"

enum { SYSCTL_NAME_MAX = 256 };

/* As sysctl(8): '.' separates and '/' stands for a '.' within a name ("net.ipv4.conf.eth0/100.forwarding"), unless the
 * first separator is a '/': then it is the other way round. */
static int sysctl_path(const char *name, char out[SYSCTL_NAME_MAX], struct error *err)
{
	const char *first = strpbrk(name, "./");
	bool dots = !first || *first == '.';
	int n = snprintf(out, SYSCTL_NAME_MAX, "sys/%s", name);

	if (n < 0 || n >= SYSCTL_NAME_MAX)
		return error_set(err, ENAMETOOLONG, "the name of the kernel parameter %s is too long", name);
	for (char *p = out + strlen("sys/"); dots && *p; p++)
		*p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
	return 0;
}

static int sysctl_write(int proc, const char *name, const char *value, struct error *err)
{
	struct open_how how = {
		.flags = O_WRONLY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS,
	};
	char path[SYSCTL_NAME_MAX];
	auto_close int fd = -1;
	int r = sysctl_path(name, path, err);

	if (r < 0)
		return r;
	/* The file is root's of the host, though the name is the user namespace's to change. */
	if (strcmp(path, "sys/kernel/domainname") == 0)
		return setdomainname(value, strlen(value)) < 0 ? error_sys(err, "cannot set the domain name to %s", value) : 0;
	fd = (int)syscall(SYS_openat2, proc, path, &how, sizeof(how));
	if (fd < 0 && errno == ENOENT)
		return error_set(err, ENOENT, "cannot set the kernel parameter %s: there is none of that name in the container's "
				 "namespaces", name);
	if (fd < 0 && (errno == EACCES || errno == EPERM) && ns_in_userns())
		return error_set(err, errno, "cannot set the kernel parameter %s: %s in a user namespace, unless a namespace that "
				 "was made in it holds the parameter (not one joined by path)", name, strerror(errno));
	if (fd < 0)
		return error_sys(err, "cannot set the kernel parameter %s", name);
	r = fs_write_all(fd, value, strlen(value));
	return r < 0 ? error_set(err, -r, "cannot set the kernel parameter %s to \"%s\": %s", name, value, strerror(-r)) : 0;
}

/* Its file in /proc belongs to the host's root, whoever owns the uts namespace. */
static int set_domainname(const char *value, struct error *err)
{
	if (setdomainname(value, strlen(value)) < 0)
		return error_sys(err, "cannot set the kernel parameter kernel.domainname to \"%s\"", value);
	return 0;
}

int rootfs_sysctl_open(struct init_ctx *ctx, struct error *err)
{
	if (!ctx->spec->linux_.sysctl.n)
		return 0;
	ctx->sysctl_proc = rootfs_private_proc(true, err);
	return ctx->sysctl_proc < 0 ? error_wrap(err, "cannot set kernel parameters") : 0;
}

int rootfs_sysctl(struct init_ctx *ctx, struct error *err)
{
	const struct json_map *map = &ctx->spec->linux_.sysctl;
	int r = 0;

	for (size_t i = 0; r == 0 && i < map->n; i++) {
		const char *name = map->pairs[i].key, *value = map->pairs[i].value;

		if (str_eq(name, "kernel.domainname") || str_eq(name, "kernel/domainname"))
			r = set_domainname(value, err);
		else
			r = sysctl_write(ctx->sysctl_proc, name, value, err);
	}
	close_fd(&ctx->sysctl_proc);
	return r;
}
