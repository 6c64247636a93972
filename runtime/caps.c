/* The capability sets of a process, by capset(2) and prctl(2).
 *
 * What the kernel does not know, or what nsrun does not have itself, cannot be given: a warning, as config.md demands,
 * so a privileged container also runs where root lacks a capability. Nothing is inheritable but by request
 * (CVE-2022-27650): with inheritable sets, programs with file capabilities get rights that nobody meant. */
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "log.h"
#include "process.h"

#define CAP(name) {#name, name}
const struct word caps_words[] = {
	CAP(CAP_CHOWN), CAP(CAP_DAC_OVERRIDE), CAP(CAP_DAC_READ_SEARCH), CAP(CAP_FOWNER), CAP(CAP_FSETID),
	CAP(CAP_KILL), CAP(CAP_SETGID), CAP(CAP_SETUID), CAP(CAP_SETPCAP), CAP(CAP_LINUX_IMMUTABLE),
	CAP(CAP_NET_BIND_SERVICE), CAP(CAP_NET_BROADCAST), CAP(CAP_NET_ADMIN), CAP(CAP_NET_RAW),
	CAP(CAP_IPC_LOCK), CAP(CAP_IPC_OWNER), CAP(CAP_SYS_MODULE), CAP(CAP_SYS_RAWIO), CAP(CAP_SYS_CHROOT),
	CAP(CAP_SYS_PTRACE), CAP(CAP_SYS_PACCT), CAP(CAP_SYS_ADMIN), CAP(CAP_SYS_BOOT), CAP(CAP_SYS_NICE),
	CAP(CAP_SYS_RESOURCE), CAP(CAP_SYS_TIME), CAP(CAP_SYS_TTY_CONFIG), CAP(CAP_MKNOD), CAP(CAP_LEASE),
	CAP(CAP_AUDIT_WRITE), CAP(CAP_AUDIT_CONTROL), CAP(CAP_SETFCAP), CAP(CAP_MAC_OVERRIDE),
	CAP(CAP_MAC_ADMIN), CAP(CAP_SYSLOG), CAP(CAP_WAKE_ALARM), CAP(CAP_BLOCK_SUSPEND), CAP(CAP_AUDIT_READ),
	CAP(CAP_PERFMON), CAP(CAP_BPF), CAP(CAP_CHECKPOINT_RESTORE), {NULL, 0},
};
#undef CAP

/* A set as the kernel counts: capability n is bit n. */
typedef uint64_t capset;
#define BIT(n) ((capset)1 << (n))

struct current {
	capset effective, permitted, inheritable;
};

int caps_number(const char *name)
{
	return word_value(caps_words, name);
}

static bool kernel_knows(int cap)
{
	return prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0;
}

/* Names to bits; what there is not goes to `unknown`, once. */
static capset parse_set(char *const *names, struct buf *unknown)
{
	capset set = 0;

	for (size_t i = 0; names && names[i]; i++) {
		int cap = caps_number(names[i]);

		if (cap >= 0 && kernel_knows(cap))
			set |= BIT(cap);
		else if (unknown && (!unknown->data || !strstr(unknown->data, names[i])))
			buf_printf(unknown, " %s", names[i]);
	}
	return set;
}

static void warn_names(const char *what, capset set)
{
	auto_buf struct buf names = {0};

	for (const struct word *w = caps_words; w->word; w++)
		if (set & BIT(w->value))
			buf_printf(&names, " %s", w->word);
	if (names.data)
		log_warn("%s:%s", what, names.data);
}

int caps_apply_bounding(const struct spec_capabilities *c, struct error *err)
{
	capset wanted = parse_set(c ? c->bounding : NULL, NULL);

	for (int cap = 0; cap < 64; cap++) {
		int there = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (there < 0) /* beyond the kernel's last one */
			break;
		if (there && !(wanted & BIT(cap)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return error_sys(err, "cannot drop %s from the bounding set", word_name(caps_words, cap));
	}
	return 0;
}

static int get_current(struct current *ret, struct error *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return error_sys(err, "cannot get the capabilities of the process");
	ret->effective = data[0].effective | (capset)data[1].effective << 32;
	ret->permitted = data[0].permitted | (capset)data[1].permitted << 32;
	ret->inheritable = data[0].inheritable | (capset)data[1].inheritable << 32;
	return 0;
}

static int set_current(const struct current *c, struct error *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{(uint32_t)c->effective, (uint32_t)c->permitted, (uint32_t)c->inheritable},
		{(uint32_t)(c->effective >> 32), (uint32_t)(c->permitted >> 32), (uint32_t)(c->inheritable >> 32)},
	};

	if (syscall(SYS_capset, &head, data) < 0)
		return error_sys(err, "cannot apply capabilities");
	return 0;
}

/* The kernel raises one only if it is both permitted and inheritable; clients (docker --cap-add for a user other than
 * root, older `runc spec`) ask for more, and get a warning in every runtime. */
static int raise_ambient(capset wanted, struct error *err)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return error_sys(err, "cannot clear the ambient capabilities");
	for (const struct word *w = caps_words; w->word; w++)
		if (wanted & BIT(w->value) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, w->value, 0, 0) < 0)
			log_warn("can't raise ambient capability %s: %s", w->word, strerror(errno));
	return 0;
}

bool caps_has(int cap)
{
	struct current now = {0};

	return get_current(&now, NULL) == 0 && now.effective & BIT(cap);
}

int caps_apply(const struct spec_capabilities *c, struct error *err)
{
	static const struct spec_capabilities none;
	auto_buf struct buf unknown = {0};
	struct current now = {0}, next;
	capset ambient;
	int r = get_current(&now, err);

	if (r < 0)
		return r;
	if (!c)
		c = &none;
	parse_set(c->bounding, &unknown);
	next.permitted = parse_set(c->permitted, &unknown);
	next.effective = parse_set(c->effective, &unknown);
	next.inheritable = parse_set(c->inheritable, &unknown);
	ambient = parse_set(c->ambient, &unknown);
	if (unknown.data)
		log_warn("ignoring unknown or unavailable capabilities:%s", unknown.data);
	warn_names("ignoring capabilities that nsrun lacks itself", next.permitted & ~now.permitted);
	next.permitted &= now.permitted;
	warn_names("ignoring effective capabilities that are not permitted",
		   next.effective & now.permitted & ~next.permitted);
	next.effective &= next.permitted;
	next.inheritable &= now.permitted | now.inheritable;
	r = set_current(&next, err);
	return r < 0 ? r : raise_ambient(ambient, err);
}
