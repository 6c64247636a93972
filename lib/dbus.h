/* A small D-Bus client, for a few method calls and one signal over a Unix socket; and the marshalling under it, which
 * trusts nothing that it reads. Source: D-Bus specification, "Message Protocol" and "Authentication Protocol".
 *
 *    auto_dbus struct dbus d = DBUS_INIT;
 *    auto_buf struct buf body = {0};
 *    struct dbus_message reply;
 *
 *    dbus_open(&d, "unix:path=/run/dbus/system_bus_socket", false, &err);
 *    dbus_put_string(&body, "x.scope");
 *    dbus_call(&d, &(struct dbus_call){.member = "GetUnit", ..., .signature = "s", .body = &body}, &reply, &err);
 *    path = dbus_get_string(&reply.body); */
#ifndef DBUS_H
#define DBUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "str.h"

struct error;

/* --- writing (dbus_wire.c) ---------------------------------------------------------------------------------- */

/* All append to a body, in the byte order of this machine, with the padding that the type needs. Like the buffer's own
 * functions they cannot fail; b->failed says whether memory ran out. */
void dbus_align(struct buf *b, size_t alignment);
void dbus_put_u16(struct buf *b, uint16_t v);
void dbus_put_u32(struct buf *b, uint32_t v); /* also booleans */
void dbus_put_u64(struct buf *b, uint64_t v);
void dbus_put_string(struct buf *b, const char *s); /* also object paths */
void dbus_put_signature(struct buf *b, const char *s);

/* An array: what is put between the two are its elements. */
struct dbus_array {
	size_t length_at, start;
};
struct dbus_array dbus_open_array(struct buf *b, size_t alignment);
void dbus_close_array(struct buf *b, struct dbus_array a);

/* A value as people write it, in GVariant's text format, as a variant (dbus_text.c): 'text', true, 5 (an int32),
 * 0.5, uint64 5, ['a', 'b'], ('a', 5), @as []. -EINVAL: it is none; the error says where. */
int dbus_put_text(struct buf *b, const char *text, struct error *err);

/* --- reading (dbus_wire.c) ---------------------------------------------------------------------------------- */

/* Reading behind the end, or what is not of the type, sets `failed`; then, and from then on, numbers are 0 and strings
 * empty. Strings point into the data. */
struct dbus_reader {
	const uint8_t *data;
	size_t len, pos;
	bool swap, failed;
};

uint8_t dbus_get_byte(struct dbus_reader *r);
uint32_t dbus_get_u32(struct dbus_reader *r);
const char *dbus_get_string(struct dbus_reader *r);
const char *dbus_get_signature(struct dbus_reader *r);

enum dbus_type { DBUS_CALL = 1, DBUS_RETURN, DBUS_ERROR, DBUS_SIGNAL };

struct dbus_message {
	int type; /* enum dbus_type, or one that a later protocol has */
	uint32_t reply_serial;
	const char *path, *interface, *member, *error; /* NULL: it has none; never where the type requires it */
	const char *sender;			       /* as the bus says; NULL on a direct connection */
	const char *signature;			       /* "" without a body */
	struct dbus_reader body;
};

enum { DBUS_HEAD_SIZE = 16, DBUS_MESSAGE_MAX = 1 << 20 };

/* The size of the whole message that begins with these bytes. -EBADMSG: they begin none; -EMSGSIZE: one that is larger
 * than any that we ask for. */
ssize_t dbus_message_size(const uint8_t head[DBUS_HEAD_SIZE]);
/* len is what dbus_message_size() says. -EBADMSG. */
int dbus_message_parse(const uint8_t *data, size_t len, struct dbus_message *ret);

/* --- talking (dbus.c) --------------------------------------------------------------------------------------- */

struct dbus {
	int fd;
	bool direct;	/* there is no bus in between: the other end is the service itself */
	uint32_t serial; /* of the last message sent */
	struct buf in;	/* received; `taken` bytes of it have been looked at */
	size_t taken;
};
#define DBUS_INIT {.fd = -1}

struct dbus_call {
	const char *destination, *path, *interface, *member;
	const char *signature; /* NULL: without a body */
	const struct buf *body;
};

enum { DBUS_PATIENCE_MS = 30000 };

/* Connects to the first that answers of the server addresses in the list ("unix:path=/x;unix:abstract=y"), as whoever
 * we are, and registers with the bus unless it is direct. */
int dbus_open(struct dbus *d, const char *addresses, bool direct, struct error *err);
/* Sends, and waits for the answer, at most DBUS_PATIENCE_MS; signals that come meanwhile are dropped. An answer that is an
 * error becomes ours, with its text; the code is -EREMOTEIO unless dbus.c has a better one for the error's name. *ret
 * (may be NULL) is valid until the next call or wait. */
int dbus_call(struct dbus *d, const struct dbus_call *c, struct dbus_message *ret, struct error *err);
/* False when process numbers of ours mean other processes there, or none: it runs in a pid namespace that is not ours. */
bool dbus_shares_pids(const struct dbus *d);
/* Asks the bus for the signals of a match rule. */
int dbus_add_match(struct dbus *d, const char *rule, struct error *err);
/* Waits for a signal for which wanted() is true, at most DBUS_PATIENCE_MS. */
int dbus_wait_signal(struct dbus *d, bool (*wanted)(const struct dbus_message *m, void *arg), void *arg,
		     struct error *err);
void dbus_close(struct dbus *d);
#define auto_dbus __attribute__((cleanup(dbus_close)))

#endif
