/* nsrun features: what this build can do, as runtime-spec's features.md wants it. Printed from the tables that the code
 * itself works by, so that it cannot claim more. */
#include <seccomp.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "commands.h"
#include "error.h"
#include "hooks.h"
#include "json.h"
#include "mount_opts.h"
#include "ns.h"
#include "process.h"
#include "seccomp.h"
#include "version.h"

/* Making values into one document; running out of memory shows once, at the end. */
struct maker {
	struct json_doc *doc;
	bool failed;
};

static struct json_value *object(struct maker *m, struct json_value *parent, const char *key)
{
	struct json_value *v = json_make(m->doc, JSON_OBJECT);

	if (parent && json_set(m->doc, parent, key, v) < 0)
		m->failed = true;
	return v;
}

static struct json_value *list(struct maker *m, struct json_value *parent, const char *key)
{
	struct json_value *v = json_make(m->doc, JSON_ARRAY);

	if (json_set(m->doc, parent, key, v) < 0)
		m->failed = true;
	return v;
}

static void add(struct maker *m, struct json_value *array, const char *text)
{
	if (json_append(m->doc, array, json_make_text(m->doc, text)) < 0)
		m->failed = true;
}

static void set_text(struct maker *m, struct json_value *o, const char *key, const char *text)
{
	if (json_set(m->doc, o, key, json_make_text(m->doc, text)) < 0)
		m->failed = true;
}

static void set_bool(struct maker *m, struct json_value *o, const char *key, bool b)
{
	if (json_set(m->doc, o, key, json_make_bool(m->doc, b)) < 0)
		m->failed = true;
}

static void add_words(struct maker *m, struct json_value *parent, const char *key, const struct word *words)
{
	struct json_value *v = list(m, parent, key);

	for (; words->word; words++)
		add(m, v, words->word);
}

static void set_enabled(struct maker *m, struct json_value *linux_, const char *key, bool enabled)
{
	set_bool(m, object(m, linux_, key), "enabled", enabled);
}

/* --- parts -------------------------------------------------------------------------------------------------- */

static void add_cgroup(struct maker *m, struct json_value *linux_)
{
	struct json_value *v = object(m, linux_, "cgroup");

	set_bool(m, v, "v1", true);
	set_bool(m, v, "v2", true);
	set_bool(m, v, "systemd", true);
	set_bool(m, v, "systemdUser", true);
	set_bool(m, v, "rdma", true);
}

static void add_seccomp(struct maker *m, struct json_value *linux_)
{
	struct json_value *v = object(m, linux_, "seccomp"), *works;

	set_bool(m, v, "enabled", true);
	add_words(m, v, "actions", seccomp_actions);
	add_words(m, v, "operators", seccomp_operators);
	add_words(m, v, "archs", seccomp_architectures);
	add_words(m, v, "knownFlags", seccomp_flags);
	works = list(m, v, "supportedFlags");
	for (const struct word *w = seccomp_flags; w->word; w++)
		if (seccomp_flag_works(w->value))
			add(m, works, w->word);
}

static void add_linux(struct maker *m, struct json_value *root)
{
	struct json_value *v = object(m, root, "linux"), *namespaces = list(m, v, "namespaces");

	for (int i = 0; i < NS_KINDS; i++)
		add(m, namespaces, ns_info[i].word);
	add_words(m, v, "capabilities", caps_words);
	add_cgroup(m, v);
	add_seccomp(m, v);
	set_enabled(m, v, "apparmor", true);
	set_enabled(m, v, "selinux", false);
	set_enabled(m, v, "intelRdt", false);
	set_enabled(m, object(m, v, "mountExtensions"), "idmap", true);
	set_enabled(m, v, "netDevices", true);
}

static void add_annotations(struct maker *m, struct json_value *root)
{
	const struct scmp_version *library = seccomp_version();
	struct json_value *v = object(m, root, "annotations");
	char text[48];

	set_text(m, v, "org.nsrun.version", PROJECT_VERSION);
	snprintf(text, sizeof(text), "%u.%u.%u", library->major, library->minor, library->micro);
	set_text(m, v, "io.github.seccomp.libseccomp.version", text);
}

static void add_all(struct maker *m, struct json_value *root)
{
	struct json_value *v, *unsafe;

	set_text(m, root, "ociVersionMin", "1.0.0");
	set_text(m, root, "ociVersionMax", OCI_SPEC_VERSION);
	v = list(m, root, "hooks");
	for (int i = 0; i < HOOK_KINDS; i++)
		add(m, v, hooks_name((enum hook_kind)i));
	v = list(m, root, "mountOptions");
	for (const struct mount_word *w = mount_words; w->word; w++)
		add(m, v, w->word);
	add_linux(m, root);
	add_annotations(m, root);
	/* Who may set these in someone else's container can read files of the bundle's host as root, or set any property of
	 * its scope. */
	unsafe = list(m, root, "potentiallyUnsafeConfigAnnotations");
	add(m, unsafe, "org.nsrun.");
	add(m, unsafe, "org.systemd.property.");
}

static int run(void *opts, int argc, char **argv)
{
	auto_json struct json_doc *doc = json_new();
	auto_buf struct buf b = {0};
	struct maker m = {.doc = doc};
	struct json_value *root;
	struct error err = {0};

	(void)opts;
	(void)argc;
	(void)argv;
	root = doc ? object(&m, NULL, NULL) : NULL;
	if (root)
		add_all(&m, root);
	json_write(&b, root, 4);
	buf_putc(&b, '\n');
	if (!root || m.failed || b.failed) {
		error_oom(&err);
		return command_failed(&err);
	}
	fputs(b.data, stdout);
	return 0;
}

const struct cli_command cmd_features = {
	.name = "features",
	.help = "show what this build can do, as JSON",
	.run = run,
};
