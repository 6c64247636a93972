/* What of the network tables cannot say: linux.netDevices, an object whose keys are data, and the annotations of
 * specs/bundle.md. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "fs.h"
#include "json.h"
#include "spec.h"
#include "spec_parts.h"

#define ANNOTATION "org.nsrun."
#define ANNOTATION_NET ANNOTATION "net."

/* include/uapi/linux/if.h's IFNAMSIZ counts the NUL. */
enum { IFNAME_MAX = 15 };

bool spec_is_ifname(const char *s)
{
	size_t len = strlen(s);

	/* net/core/dev.c, dev_valid_name(). '%' is legal there, but asks for a number in most calls that name a link. */
	return len > 0 && len <= IFNAME_MAX && strcmp(s, ".") && strcmp(s, "..") && !strpbrk(s, "/:% \t\n\v\f\r");
}

/* A name with at most one "%d", for which the kernel puts the first free number. */
static bool is_ifname_template(const char *s)
{
	char plain[IFNAME_MAX + 1];
	const char *at = strstr(s, "%d");

	if (!at || strlen(s) > IFNAME_MAX)
		return spec_is_ifname(s);
	memcpy(plain, s, (size_t)(at - s));
	plain[at - s] = '0';
	strcpy(plain + (at - s) + 1, at + 2);
	return spec_is_ifname(plain);
}

static int decode_net_device(struct spec_netdev *d, const char *key, const struct json_value *v, struct error *err)
{
	const struct json_value *name;

	if (!spec_is_ifname(key))
		return error_set(err, EINVAL,
				 "linux.netDevices: \"%s\" is no interface name (1 to 15 bytes without '/', ':', "
				 "'%%' and space)", key);
	if (v->what != JSON_OBJECT)
		return error_set(err, EINVAL, "linux.netDevices.%s: expected an object", key);
	d->host_name = key;
	name = json_get(v, "name");
	if (json_is_empty(name))
		return 0;
	if (name->what != JSON_TEXT)
		return error_set(err, EINVAL, "linux.netDevices.%s.name: expected a string", key);
	if (!is_ifname_template(name->text))
		return error_set(err, EINVAL,
				 "linux.netDevices.%s.name: \"%s\" is no interface name (1 to 15 bytes without '/', ':' "
				 "and space; one %%d may stand for a number)",
				 key, name->text);
	d->name = name->text;
	return 0;
}

int spec_decode_net_devices(struct spec *s, struct error *err)
{
	const struct json_value *v = s->linux_.net_devices_raw;

	if (!v)
		return 0;
	if (v->what != JSON_OBJECT)
		return error_set(err, EINVAL, "linux.netDevices: expected an object");
	s->linux_.net_devices = json_alloc(s->doc, (v->n + 1) * sizeof(struct spec_netdev));
	if (!s->linux_.net_devices)
		return error_oom(err);
	for (size_t i = 0; i < v->n; i++) {
		int r = decode_net_device(&s->linux_.net_devices[i], v->keys[i], v->items[i], err);

		if (r < 0)
			return r;
	}
	s->linux_.n_net_devices = v->n;
	return 0;
}

/* --- annotations -------------------------------------------------------------------------------------------- */

int spec_add_attachment(struct spec *s, const char *ifname, const char *file, struct error *err)
{
	struct spec_attachment *list;
	size_t at = 0;
	bool same;

	if (!spec_is_ifname(ifname))
		return error_set(err, EINVAL,
				 "\"%s\" is no interface name (1 to 15 bytes without '/', ':', '%%' and space)",
				 ifname);
	if (!*file)
		return error_set(err, EINVAL, "no network configuration file is named for interface %s", ifname);
	if (!spec_namespace(s, NS_NET))
		return error_set(err, EINVAL,
				 "interface %s cannot be made without a network namespace: add {\"type\": "
				 "\"network\"} to linux.namespaces", ifname);
	while (at < s->n_attachments && strcmp(s->attachments[at].ifname, ifname) < 0)
		at++;
	same = at < s->n_attachments && !strcmp(s->attachments[at].ifname, ifname);
	/* A new array each time: the old one stays with the document, and few containers have more than a handful. */
	list = json_alloc(s->doc, (s->n_attachments + 1) * sizeof(*list));
	if (!list)
		return error_oom(err);
	for (size_t i = 0; i < at; i++)
		list[i] = s->attachments[i];
	for (size_t i = at + same; i < s->n_attachments; i++)
		list[i + !same] = s->attachments[i];
	list[at].ifname = json_strdup(s->doc, ifname);
	list[at].file = json_strdup(s->doc, file);
	if (!list[at].ifname || !list[at].file)
		return error_oom(err);
	s->attachments = list;
	s->n_attachments += !same;
	return 0;
}

static int decode_annotation(struct spec *s, const char *key, const char *value, struct error *err)
{
	if (str_starts(key, ANNOTATION_NET)) {
		int r = spec_add_attachment(s, key + strlen(ANNOTATION_NET), value, err);

		return r < 0 ? error_wrap(err, "annotations.%s", key) : 0;
	}
	if (!strcmp(key, ANNOTATION "netns")) {
		if (!fs_is_name(value))
			return error_set(err, EINVAL, "annotations.%s: \"%s\" is no file name", key, value);
		s->netns_name = value;
	} else if (!strcmp(key, ANNOTATION "services")) {
		if (!*value)
			return error_set(err, EINVAL, "annotations.%s: must not be empty", key);
		s->services = value;
	} else {
		return error_set(err, EINVAL,
				 "annotations.%s: nsrun has no such annotation; it has " ANNOTATION_NET "IFNAME, "
				 ANNOTATION "netns and " ANNOTATION "services", key);
	}
	return 0;
}

int spec_decode_annotations(struct spec *s, struct error *err)
{
	for (size_t i = 0; i < s->annotations.n; i++) {
		const struct json_pair *p = &s->annotations.pairs[i];
		int r = str_starts(p->key, ANNOTATION) ? decode_annotation(s, p->key, p->value, err) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}
