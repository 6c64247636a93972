/* keep: stays, and makes a WireGuard device again when its daemon died or the device vanished. It never polls: a pidfd
 * tells of the daemon, rtnetlink of the device. What the device should be is in the attachment's record; when that is
 * gone, the attachment was taken back and there is nothing to keep. */
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cleanup.h"
#include "commands.h"
#include "fs.h"
#include "netns.h"
#include "record.h"
#include "str.h"
#include "wireguard.h"

enum { KEEP_MAX = 32, RETRY_MIN_MS = 500, RETRY_MAX_MS = 30000 };

struct kept {
	const char *ifname, *file; /* file NULL: the configuration in the record */
	char *record_path;
	struct json_doc *doc; /* of record, configuration, call */
	struct cni_call call;
	struct cni_conf conf;
	struct cni_result result;
	struct mnl_socket *events;
	int daemon;	   /* pidfd; -1: none */
	bool broken;	   /* to be made again at the next chance */
	uint64_t retry_ms;
};

struct keep_options {
	const char *id;
};

static void say(const struct kept *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(const struct kept *k, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "%s: ", k->ifname);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

/* --- what is to be kept --------------------------------------------------------------------------------------- */

/* One plugin's configuration: the element of type wireguard of a list, with the list's name and version; or the file as
 * it is when it is no list. */
static struct json_value *find_plugin(struct json_doc *doc, const struct json_value *config)
{
	const struct json_value *list = json_get(config, "plugins");
	struct json_value *v;
	size_t i;

	if (!list)
		return str_eq(json_get_text(config, "type"), "wireguard") ? json_copy(doc, config) : NULL;
	for (i = 0; i < list->n; i++)
		if (str_eq(json_get_text(list->items[i], "type"), "wireguard")) {
			v = json_copy(doc, list->items[i]);
			json_set(doc, v, "name", json_copy(doc, json_get(config, "name")));
			json_set(doc, v, "cniVersion", json_copy(doc, json_get(config, "cniVersion")));
			return v;
		}
	return NULL;
}

static int load_conf(struct kept *k, const struct json_value *config, struct error *err)
{
	struct json_value *plugin = find_plugin(k->doc, config);

	if (!plugin)
		return error_set(err, CNI_INVALID_CONFIG, "%s is no attachment of type wireguard", k->ifname);
	/* A key that cannot be found from here must not be replaced: the peers know the old one. */
	json_unset(plugin, "createKey");
	return conf_load(k->doc, plugin, &k->conf, err);
}

/* The file's text lives in a document of its own only until it is copied. */
static int load_file(struct kept *k, struct error *err)
{
	auto_json struct json_doc *doc = NULL;
	auto_free char *text = NULL;
	size_t len;
	int r = fs_read_at(AT_FDCWD, k->file, JSON_MAX_SIZE, &text, &len, err);

	if (r < 0)
		return r;
	doc = json_parse(k->file, text, len, err);
	return doc ? load_conf(k, json_root(doc), err) : -EINVAL;
}

/* Of the whole list's result what belongs to this interface. */
static int own_result(struct kept *k, const struct json_value *v, struct error *err)
{
	struct cni_result all;
	size_t i;
	int r = result_decode(k->doc, v, NULL, &all, err);

	if (r < 0)
		return r;
	k->result = (struct cni_result){.routes = all.routes, .n_routes = all.n_routes};
	for (i = 0; i < all.n_ips; i++) {
		const struct cni_ip *ip = &all.ips[i];
		if (ip->has_interface && (size_t)ip->interface < all.n_interfaces &&
		    str_eq(all.interfaces[ip->interface].name, k->ifname) &&
		    result_add_ip(k->doc, &k->result, ip) < 0)
			return error_oom(err);
	}
	return 0;
}

static void forget(struct kept *k)
{
	call_close(&k->call);
	json_free(k->doc);
	k->doc = NULL;
	k->call = (struct cni_call)CALL_INIT;
}

/* Reads the record (and the file) anew. -ENOENT: the attachment is gone. */
static int load(struct kept *k, struct error *err)
{
	struct record rec;
	int r;

	forget(k);
	r = record_load(k->record_path, &k->doc, &rec, err);
	if (r < 0)
		return r;
	if (!rec.result)
		return error_set(err, CNI_TRY_AGAIN, "%s is not complete yet", k->ifname);
	k->call.command = CNI_ADD;
	k->call.container_id = rec.container_id;
	k->call.netns = rec.netns;
	k->call.ifname = rec.ifname;
	k->call.path = rec.path;
	r = k->file ? load_file(k, err) : load_conf(k, rec.config, err);
	if (r == 0)
		r = own_result(k, rec.result, err);
	return r < 0 ? r : call_open(&k->call, &k->conf, err);
}

/* --- watching ------------------------------------------------------------------------------------------------- */

static int open_events(struct kept *k, struct error *err)
{
	auto_close int self = netns_open_self(err);
	int group = RTNLGRP_LINK, r;

	if (k->events || self < 0)
		return self < 0 ? self : 0;
	r = netns_enter(k->call.netns_fd, err);
	if (r < 0)
		return r;
	k->events = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	r = k->events && mnl_socket_bind(k->events, 0, MNL_SOCKET_AUTOPID) == 0 &&
			    mnl_socket_setsockopt(k->events, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) == 0
		    ? 0
		    : error_sys(err, "cannot listen to the kernel about links");
	return netns_enter(self, err) < 0 ? -err->code : r;
}

static void drain(struct mnl_socket *s)
{
	char buf[8192];

	/* What they say does not matter, nor whether some were lost: the device is asked for afterwards. */
	while (mnl_socket_recvfrom(s, buf, sizeof(buf)) > 0 || errno == ENOBUFS || errno == EINTR)
		;
}

static bool is_well(struct kept *k)
{
	struct link_info link;
	struct rtnl *container;

	if (call_container(&k->call, &container, NULL) < 0 || rtnl_link_get(container, k->ifname, &link, NULL) < 0)
		return false;
	close_fd(&k->daemon);
	k->daemon = wireguard_daemon(&k->call, &k->conf);
	return k->daemon >= 0 || str_eq(link.kind, "wireguard");
}

static int make_again(struct kept *k, struct error *err)
{
	int r = load(k, err);

	if (r == 0)
		r = wireguard_unmake(&k->call, &k->conf, err);
	if (r == 0)
		r = wireguard_make(&k->call, &k->conf, &k->result, err);
	if (r < 0)
		return r;
	if (access(k->record_path, F_OK) < 0) { /* taken back meanwhile: del must not have missed anything */
		wireguard_unmake(&k->call, &k->conf, NULL);
		return error_set(err, ENOENT, "the attachment was taken back");
	}
	return 0;
}

/* Returns 1 when there is nothing to keep any more. */
static int look(struct kept *k)
{
	struct error err = {0};

	if (access(k->record_path, F_OK) < 0)
		return 1;
	if (!k->broken && is_well(k))
		return 0;
	say(k, "the device is gone; making it again");
	if (make_again(k, &err) == 0) {
		k->broken = false;
		k->retry_ms = 0;
		say(k, "made again");
		is_well(k); /* for the new daemon's descriptor; if it died at once, that becomes readable */
		return 0;
	}
	if (err.code == ENOENT && access(k->record_path, F_OK) < 0)
		return 1;
	k->broken = true;
	k->retry_ms = k->retry_ms ? 2 * k->retry_ms : RETRY_MIN_MS;
	if (k->retry_ms > RETRY_MAX_MS)
		k->retry_ms = RETRY_MAX_MS;
	say(k, "%s; the next attempt is in %llu ms", err.msg, (unsigned long long)k->retry_ms);
	return 0;
}

static void reload(struct kept *k)
{
	struct error err = {0};

	if (load(k, &err) < 0 || wireguard_sync(&k->call, &k->conf, &err) < 0)
		say(k, "cannot reload: %s", err.msg);
	else
		say(k, "keys and peers reloaded");
}

/* --- the loop ------------------------------------------------------------------------------------------------- */

static int open_signals(struct error *err)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? error_sys(err, "cannot make a signalfd") : fd;
}

/* Until the first retry is due; -1: none is. */
static int poll_timeout(const struct kept *list, size_t n)
{
	int ms = -1;
	size_t i;

	for (i = 0; i < n; i++)
		if (list[i].broken && (ms < 0 || (int)list[i].retry_ms < ms))
			ms = (int)list[i].retry_ms;
	return ms;
}

static int handle_signals(int fd, struct kept *list, size_t n)
{
	struct signalfd_siginfo s;
	size_t i;

	while (read(fd, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
		if (s.ssi_signo != SIGHUP)
			return 1;
		for (i = 0; i < n; i++)
			reload(&list[i]);
	}
	return 0;
}

/* Ends when told to, or when none of the attachments is there any more. */
static int loop(int signals, struct kept *list, size_t n, struct error *err)
{
	struct pollfd fds[1 + 2 * KEEP_MAX];
	size_t i, gone;

	for (;;) {
		for (i = gone = 0; i < n; i++)
			gone += look(&list[i]) != 0;
		if (gone == n)
			return 0;
		fds[0] = (struct pollfd){.fd = signals, .events = POLLIN};
		for (i = 0; i < n; i++) {
			fds[1 + 2 * i] = (struct pollfd){.fd = mnl_socket_get_fd(list[i].events), .events = POLLIN};
			fds[2 + 2 * i] = (struct pollfd){.fd = list[i].broken ? -1 : list[i].daemon, .events = POLLIN};
		}
		if (poll(fds, 1 + 2 * n, poll_timeout(list, n)) < 0 && errno != EINTR)
			return error_sys(err, "cannot wait");
		if (handle_signals(signals, list, n))
			return 0;
		for (i = 0; i < n; i++)
			drain(list[i].events);
	}
}

/* Argument IFNAME or IFNAME=FILE; the string is cut at the '='. */
static int open_kept(struct kept *k, const char *id, char *arg, struct error *err)
{
	char *equals = strchr(arg, '=');
	struct record name = {.container_id = id};
	int r;

	*k = (struct kept){.call = CALL_INIT, .daemon = -1};
	if (equals) {
		*equals = '\0';
		k->file = equals + 1;
	}
	k->ifname = name.ifname = arg;
	k->record_path = record_path(&name);
	if (!k->record_path)
		return error_oom(err);
	record_wait(k->record_path);
	r = load(k, err);
	if (r == -ENOENT && access(k->record_path, F_OK) < 0)
		return error_set(err, ENOENT, "container %s has no attachment %s: `netsetup list` shows what there is", id,
				 k->ifname);
	return r < 0 ? r : open_events(k, err);
}

static void close_kept(struct kept *k)
{
	forget(k);
	free(k->record_path);
	close_fd(&k->daemon);
	if (k->events)
		mnl_socket_close(k->events);
}

static int run(void *arg, int argc, char **argv)
{
	const struct keep_options *o = arg;
	const char *id = o->id ? o->id : getenv("NSRUN_ID");
	struct kept list[KEEP_MAX];
	struct error err = {0};
	auto_close int signals = -1;
	int n = 0, r = 0;

	if (str_empty(id))
		r = error_set(&err, EINVAL, "--id is missing, and there is no NSRUN_ID in the environment");
	else if (argc > KEEP_MAX)
		r = error_set(&err, E2BIG, "more than %d attachments in one process", KEEP_MAX);
	signals = r < 0 ? -1 : open_signals(&err);
	r = signals < 0 ? -1 : 0;
	for (; r == 0 && n < argc; n++)
		r = open_kept(&list[n], id, argv[n], &err);
	if (r == 0)
		r = loop(signals, list, (size_t)n, &err);
	while (n > 0)
		close_kept(&list[--n]);
	return r < 0 ? command_failed(&err) : 0;
}

static const struct cli_option options[] = {
	{"id", 0, CLI_STRING, offsetof(struct keep_options, id), "ID", "the container (default: $NSRUN_ID)"},
	{.kind = CLI_END},
};

const struct cli_command cmd_keep = {
	.name = "keep",
	.args = "IFNAME[=FILE]...",
	.help = "stay, and make WireGuard attachments again when they vanish",
	.details = "SIGHUP gives the running device the keys and peers of FILE (without FILE: of the configuration that the\n"
		   "attachment was made with), leaving the sessions of peers that stay alone. SIGTERM ends; the device stays.",
	.options = options,
	.options_size = sizeof(struct keep_options),
	.min_args = 1,
	.max_args = -1,
	.run = run,
};
