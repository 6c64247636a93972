/* AppArmor profiles. The kernel changes to the profile at the next execve(2) whose name the process has written to its own
 * attr/apparmor/exec. It is written to a procfs of our own: one that the container has mounted, or what is bound over the
 * file there, would swallow the name, and the program would run unconfined (CVE-2019-16884, CVE-2019-19921), or another
 * file would take what is written (CVE-2025-52881). */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "process.h"
#include "rootfs.h"
#include "str.h"

enum { LABEL_MAX = 4096 };

/* The attributes are a task's, and only the task itself may write them; before Linux 5.8 all security modules shared one
 * set. thread-self is a link, but none that leads elsewhere. */
static int open_attributes(int proc, struct error *err)
{
	static const char *const paths[] = {"thread-self/attr/apparmor", "thread-self/attr"};
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS,
	};
	int fd = -1;

	for (size_t i = 0; fd < 0 && i < ARRAY_SIZE(paths); i++)
		fd = (int)syscall(SYS_openat2, proc, paths[i], &how, sizeof(how));
	return fd < 0 ? error_sys(err, "cannot open the attributes of the process") : fd;
}

/* A kernel that has AppArmor but was not started with it has the files, and answers EINVAL; one without has none, and what
 * another security module says to the command is of no use to anybody. */
static bool is_enabled(int proc)
{
	auto_free char *label = NULL;

	return fs_read_at(proc, "thread-self/attr/apparmor/current", LABEL_MAX, &label, NULL, NULL) == 0;
}

static int refused(int proc, const char *profile, int code, struct error *err)
{
	if (code == ENOENT)
		return error_set(err, ENOENT, "cannot set the AppArmor profile %s: no profile of that name is loaded: load it with "
				 "apparmor_parser(8)", profile);
	if (code == EACCES || code == EPERM)
		return error_set(err, code, "cannot set the AppArmor profile %s: %s: the profile that nsrun runs under must allow it "
				 "(change_profile)", profile, strerror(code));
	if (code == EINVAL && !is_enabled(proc) && str_eq(profile, "unconfined"))
		return 0; /* it is, and engines write it out */
	if (code == EINVAL && !is_enabled(proc))
		return error_set(err, ENOTSUP, "cannot set the AppArmor profile %s: AppArmor is not enabled on this host: leave "
				 "process.apparmorProfile out (engines: --security-opt apparmor=unconfined)", profile);
	return error_set(err, code, "cannot set the AppArmor profile %s: %s", profile, strerror(code));
}

static int say(const char *attribute, const char *verb, const char *profile, struct error *err)
{
	auto_free char *command = str_printf("%s %s", verb, profile);
	auto_close int proc = -1, attributes = -1;
	int rc;

	if (!command)
		return error_oom(err);
	proc = rootfs_private_proc(false, err);
	attributes = proc < 0 ? proc : open_attributes(proc, err);
	if (attributes < 0)
		return error_wrap(err, "cannot set the AppArmor profile %s", profile);
	rc = fs_write_at(attributes, attribute, command, NULL);
	return rc < 0 ? refused(proc, profile, -rc, err) : 0;
}

int apparmor_check(const char *profile, struct error *err)
{
	return str_empty(profile) ? 0 : say("current", "permprofile", profile, err);
}

int apparmor_apply(const char *profile, struct error *err)
{
	return str_empty(profile) ? 0 : say("exec", "exec", profile, err);
}
