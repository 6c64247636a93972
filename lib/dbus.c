#include "dbus.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "cleanup.h"
#include "error.h"

#define BUS_NAME "org.freedesktop.DBus"

enum { RECEIVE_SIZE = 4096, AUTH_MAX = 4096 };

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* --- bytes -------------------------------------------------------------------------------------------------- */

static int send_all(struct dbus *d, const void *data, size_t len, struct error *err)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = send(d->fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_sys(err, "cannot write to the D-Bus socket");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int receive_some(struct dbus *d, int64_t deadline, struct error *err)
{
	struct pollfd p = {.fd = d->fd, .events = POLLIN};
	int64_t left = deadline - now_ms();
	char data[RECEIVE_SIZE];
	ssize_t n;

	n = poll(&p, 1, left > 0 ? (int)left : 0);
	if (n < 0)
		return errno == EINTR ? 0 : error_sys(err, "cannot wait for the D-Bus socket");
	if (n == 0)
		return error_set(err, ETIMEDOUT, "there was no answer within %d s", DBUS_PATIENCE_MS / 1000);
	n = recv(d->fd, data, sizeof(data), 0);
	if (n < 0)
		return error_sys(err, "cannot read from the D-Bus socket");
	if (n == 0)
		return error_set(err, ECONNRESET, "the other side has closed the D-Bus connection");
	buf_add(&d->in, data, (size_t)n);
	return d->in.failed ? error_oom(err) : 0;
}

/* Has n bytes that have not been looked at be there. */
static int fill(struct dbus *d, size_t n, int64_t deadline, struct error *err)
{
	int rc = 0;

	while (rc == 0 && d->in.len - d->taken < n)
		rc = receive_some(d, deadline, err);
	return rc;
}

static void drop_taken(struct dbus *d)
{
	if (d->taken == 0)
		return;
	memmove(d->in.data, d->in.data + d->taken, d->in.len - d->taken);
	d->in.len -= d->taken;
	d->taken = 0;
}

/* --- connecting --------------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *p = c ? strchr(digits, c | 0x20) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* The value of a key in "unix:path=/x,guid=y", with its %xx resolved, as the name of a socket. False: there is none, or
 * it is too long for one. */
static bool get_name(const char *address, size_t len, const char *key, char *out, size_t size)
{
	const char *p = address + strlen("unix:"), *end = address + len;
	size_t key_len = strlen(key), n = 0;

	while (p < end && !(strncmp(p, key, key_len) == 0 && p[key_len] == '=')) {
		const char *comma = memchr(p, ',', (size_t)(end - p));

		p = comma ? comma + 1 : end;
	}
	if (p == end)
		return false;
	for (p += key_len + 1; p < end && *p != ','; p++) {
		int high = end - p > 2 && *p == '%' ? hex_digit(p[1]) : -1, low = high >= 0 ? hex_digit(p[2]) : -1;

		if (n == size)
			return false;
		out[n++] = low >= 0 ? (char)(high << 4 | low) : *p;
		p += low >= 0 ? 2 : 0;
	}
	if (n < size)
		out[n] = '\0';
	return n > 0;
}

/* The socket that one address names: its length, or 0. */
static socklen_t parse_address(const char *address, size_t len, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (!str_starts(address, "unix:"))
		return 0;
	if (get_name(address, len, "path", ret->sun_path, sizeof(ret->sun_path) - 1))
		return sizeof(*ret);
	if (get_name(address, len, "abstract", ret->sun_path + 1, sizeof(ret->sun_path) - 2))
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(ret->sun_path + 1));
	return 0;
}

static int connect_one(struct dbus *d, const char *address, size_t len, struct error *err)
{
	const struct timeval patience = {.tv_sec = DBUS_PATIENCE_MS / 1000};
	struct sockaddr_un a;
	socklen_t size = parse_address(address, len, &a);

	if (size == 0)
		return error_set(err, EINVAL, "cannot connect to D-Bus at \"%.*s\": only unix:path= and unix:abstract= are known",
				 (int)len, address);
	close_fd(&d->fd);
	d->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (d->fd < 0)
		return error_sys(err, "cannot make a socket");
	/* For connecting, too: a service that hangs has a full queue. */
	(void)setsockopt(d->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(d->fd, (struct sockaddr *)&a, size) < 0)
		return error_sys(err, "cannot connect to D-Bus at %.*s", (int)len, address);
	return 0;
}

static int connect_any(struct dbus *d, const char *addresses, struct error *err)
{
	for (const char *p = addresses;;) {
		size_t len = strcspn(p, ";");
		struct error why = {0};
		int rc = connect_one(d, p, len, &why);

		if (rc < 0 && p[len] == '\0')
			return error_set(err, -rc, "%s", why.msg);
		if (rc == 0)
			return 0;
		p += len + 1;
	}
}

/* Who we are is left to the socket to tell, in the same breath as all else that is to say: the other side knows our user
 * id as it is in its own user namespace. */
static int authenticate(struct dbus *d, int64_t deadline, struct error *err)
{
	static const char hello[] = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
	int rc = send_all(d, hello, sizeof(hello) - 1, err);

	while (rc == 0) {
		const char *line = d->in.data ? d->in.data + d->taken : "", *end = strstr(line, "\r\n");

		if (end && str_starts(line, "OK")) {
			d->taken = (size_t)(end + 2 - d->in.data);
			return 0;
		}
		if (end && !str_starts(line, "DATA"))
			return error_set(err, EACCES, "D-Bus refuses us: %.*s", (int)(end - line), line);
		if (end)
			d->taken = (size_t)(end + 2 - d->in.data);
		else if (d->in.len >= AUTH_MAX)
			return error_set(err, EPROTO, "the other side does not speak D-Bus");
		else
			rc = receive_some(d, deadline, err);
	}
	return rc;
}

/* Header and body in one write. */
static int send_call(struct dbus *d, const struct dbus_call *c, struct error *err)
{
	const struct {
		char number;
		const char *type, *text;
	} fields[] = {{1, "o", c->path}, {2, "s", c->interface}, {3, "s", c->member}, {6, "s", c->destination},
		      {8, "g", c->signature}};
	auto_buf struct buf b = {0};
	struct dbus_array a;

	buf_putc(&b, __BYTE_ORDER == __LITTLE_ENDIAN ? 'l' : 'B');
	buf_putc(&b, DBUS_CALL);
	buf_putc(&b, 0); /* flags: an answer is wanted, and the service may be started for it */
	buf_putc(&b, 1);
	dbus_put_u32(&b, c->body ? (uint32_t)c->body->len : 0);
	dbus_put_u32(&b, ++d->serial);
	a = dbus_open_array(&b, 8);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (!fields[i].text)
			continue;
		dbus_align(&b, 8);
		buf_putc(&b, fields[i].number);
		dbus_put_signature(&b, fields[i].type);
		if (fields[i].type[0] == 'g')
			dbus_put_signature(&b, fields[i].text);
		else
			dbus_put_string(&b, fields[i].text);
	}
	dbus_close_array(&b, a);
	dbus_align(&b, 8);
	if (c->body && c->body->len)
		buf_add(&b, c->body->data, c->body->len);
	if (b.failed || (c->body && c->body->failed))
		return error_oom(err);
	return send_all(d, b.data, b.len, err);
}

static int call_bus(struct dbus *d, const char *member, const struct buf *body, struct error *err)
{
	return send_call(d, &(struct dbus_call){.destination = BUS_NAME, .path = "/org/freedesktop/DBus",
						.interface = BUS_NAME, .member = member, .body = body,
						.signature = body ? "s" : NULL}, err);
}

int dbus_open(struct dbus *d, const char *addresses, bool direct, struct error *err)
{
	int64_t deadline = now_ms() + DBUS_PATIENCE_MS;
	int rc;

	*d = (struct dbus){.fd = -1, .direct = direct};
	rc = connect_any(d, addresses, err);
	if (rc == 0)
		rc = authenticate(d, deadline, err);
	/* The answer, a name that we have no use for, is passed over like one to no call. */
	return rc < 0 || direct ? rc : call_bus(d, "Hello", NULL, err);
}

/* The kernel tells the number of who listens as it is in our namespace. */
bool dbus_shares_pids(const struct dbus *d)
{
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);

	return getsockopt(d->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid > 0;
}

void dbus_close(struct dbus *d)
{
	close_fd(&d->fd);
	buf_free(&d->in);
}

/* --- talking ------------------------------------------------------------------------------------------------ */

/* The errors that a caller can do something about. */
static const struct word error_words[] = {
	{"org.freedesktop.DBus.Error.AccessDenied", EACCES},
	{"org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", EACCES},
	{"org.freedesktop.DBus.Error.ServiceUnknown", EHOSTUNREACH},
	{"org.freedesktop.DBus.Error.NameHasNoOwner", EHOSTUNREACH},
	{"org.freedesktop.systemd1.UnitExists", EEXIST},
	{"org.freedesktop.systemd1.NoSuchUnit", ENOENT},
	{NULL, 0},
};

static int remote_error(struct dbus_message *m, struct error *err)
{
	const char *text = m->signature[0] == 's' ? dbus_get_string(&m->body) : "";
	int code = word_value(error_words, m->error);

	return error_set(err, code > 0 ? code : EREMOTEIO, "%s", *text ? text : m->error);
}

static int receive(struct dbus *d, int64_t deadline, struct dbus_message *ret, struct error *err)
{
	const uint8_t *data;
	ssize_t size = 0;
	int rc;

	drop_taken(d);
	rc = fill(d, DBUS_HEAD_SIZE, deadline, err);
	if (rc == 0) {
		size = dbus_message_size((const uint8_t *)d->in.data);
		rc = size < 0 ? (int)size : fill(d, (size_t)size, deadline, err);
	}
	if (rc == 0) {
		data = (const uint8_t *)d->in.data;
		rc = dbus_message_parse(data, (size_t)size, ret);
		d->taken = (size_t)size;
	}
	if (rc == -EBADMSG || rc == -EMSGSIZE)
		return error_set(err, -rc, "the other side sends what is no D-Bus message");
	return rc;
}

int dbus_call(struct dbus *d, const struct dbus_call *c, struct dbus_message *ret, struct error *err)
{
	int64_t deadline = now_ms() + DBUS_PATIENCE_MS;
	struct dbus_message m = {0};
	int rc = send_call(d, c, err);

	while (rc == 0) {
		rc = receive(d, deadline, &m, err);
		if (rc == 0 && m.reply_serial == d->serial && (m.type == DBUS_RETURN || m.type == DBUS_ERROR))
			break;
	}
	if (rc == 0 && m.type == DBUS_ERROR)
		return remote_error(&m, err);
	if (rc == 0 && ret)
		*ret = m;
	return rc;
}

int dbus_add_match(struct dbus *d, const char *rule, struct error *err)
{
	auto_buf struct buf body = {0};

	if (d->direct)
		return 0;
	dbus_put_string(&body, rule);
	/* Nothing follows from its answer: if it was refused, the wait for the signal ends at its time limit. */
	return call_bus(d, "AddMatch", &body, err);
}

int dbus_wait_signal(struct dbus *d, bool (*wanted)(const struct dbus_message *m, void *arg), void *arg,
		     struct error *err)
{
	int64_t deadline = now_ms() + DBUS_PATIENCE_MS;
	struct dbus_message m;
	int rc;

	do
		rc = receive(d, deadline, &m, err);
	while (rc == 0 && !(m.type == DBUS_SIGNAL && wanted(&m, arg)));
	return rc;
}
