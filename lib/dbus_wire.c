/* D-Bus messages as bytes. */
#include "dbus.h"

#include <byteswap.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

/* --- writing ------------------------------------------------------------------------------------------------ */

void dbus_align(struct buf *b, size_t alignment)
{
	while (b->len % alignment && !b->failed)
		buf_putc(b, '\0');
}

void dbus_put_u16(struct buf *b, uint16_t v)
{
	dbus_align(b, sizeof(v));
	buf_add(b, &v, sizeof(v));
}

void dbus_put_u32(struct buf *b, uint32_t v)
{
	dbus_align(b, sizeof(v));
	buf_add(b, &v, sizeof(v));
}

void dbus_put_u64(struct buf *b, uint64_t v)
{
	dbus_align(b, sizeof(v));
	buf_add(b, &v, sizeof(v));
}

void dbus_put_string(struct buf *b, const char *s)
{
	size_t len = strlen(s);

	dbus_put_u32(b, (uint32_t)len);
	buf_add(b, s, len + 1);
}

void dbus_put_signature(struct buf *b, const char *s)
{
	size_t len = strlen(s);

	buf_putc(b, (char)len);
	buf_add(b, s, len + 1);
}

/* The padding before the first element does not count as part of the array, but is there even without elements. */
struct dbus_array dbus_open_array(struct buf *b, size_t alignment)
{
	struct dbus_array a;

	dbus_put_u32(b, 0);
	a.length_at = b->len - sizeof(uint32_t);
	dbus_align(b, alignment);
	a.start = b->len;
	return a;
}

void dbus_close_array(struct buf *b, struct dbus_array a)
{
	uint32_t len = (uint32_t)(b->len - a.start);

	if (!b->failed)
		memcpy(b->data + a.length_at, &len, sizeof(len));
}

/* --- reading ------------------------------------------------------------------------------------------------ */

/* The next n bytes, or NULL. */
static const uint8_t *take(struct dbus_reader *r, size_t alignment, size_t n)
{
	size_t at = (r->pos + alignment - 1) / alignment * alignment;

	if (r->failed || at > r->len || n > r->len - at) {
		r->failed = true;
		return NULL;
	}
	r->pos = at + n;
	return r->data + at;
}

uint8_t dbus_get_byte(struct dbus_reader *r)
{
	const uint8_t *p = take(r, 1, 1);

	return p ? *p : 0;
}

uint32_t dbus_get_u32(struct dbus_reader *r)
{
	const uint8_t *p = take(r, 4, 4);
	uint32_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return r->swap ? bswap_32(v) : v;
}

/* len bytes, none of which is NUL, and a NUL. */
static const char *get_text(struct dbus_reader *r, size_t len)
{
	const uint8_t *p = len < r->len ? take(r, 1, len + 1) : NULL;

	if (p && !memchr(p, '\0', len) && p[len] == '\0')
		return (const char *)p;
	r->failed = true;
	return "";
}

const char *dbus_get_string(struct dbus_reader *r)
{
	return get_text(r, dbus_get_u32(r));
}

const char *dbus_get_signature(struct dbus_reader *r)
{
	return get_text(r, dbus_get_byte(r));
}

/* --- messages ----------------------------------------------------------------------------------------------- */

enum { AT_ORDER, AT_TYPE, AT_FLAGS, AT_VERSION, AT_BODY_LEN = 4, AT_SERIAL = 8, AT_FIELDS_LEN = 12 };
enum { PROTOCOL_VERSION = 1 };
enum { FIELD_PATH = 1, FIELD_INTERFACE, FIELD_MEMBER, FIELD_ERROR, FIELD_REPLY_SERIAL, FIELD_SENDER = 7, FIELD_SIGNATURE };

static bool is_foreign(const uint8_t *head)
{
	return head[AT_ORDER] != (__BYTE_ORDER == __LITTLE_ENDIAN ? 'l' : 'B');
}

static uint32_t number_at(const uint8_t *head, size_t at)
{
	struct dbus_reader r = {.data = head, .len = DBUS_HEAD_SIZE, .pos = at, .swap = is_foreign(head)};

	return dbus_get_u32(&r);
}

/* The header ends with padding to 8. */
static uint64_t body_start(const uint8_t *head)
{
	return (DBUS_HEAD_SIZE + (uint64_t)number_at(head, AT_FIELDS_LEN) + 7) / 8 * 8;
}

ssize_t dbus_message_size(const uint8_t head[DBUS_HEAD_SIZE])
{
	uint64_t size;

	if ((head[AT_ORDER] != 'l' && head[AT_ORDER] != 'B') || head[AT_TYPE] == 0 || head[AT_VERSION] != PROTOCOL_VERSION)
		return -EBADMSG;
	size = body_start(head) + number_at(head, AT_BODY_LEN);
	return size > DBUS_MESSAGE_MAX ? -EMSGSIZE : (ssize_t)size;
}

/* One field of the header: its number, and a variant of a basic type. Those that a later protocol adds are skipped, if
 * they are of a type that fields have today. */
static void get_field(struct dbus_reader *r, struct dbus_message *m)
{
	uint8_t field;
	const char *type, *text = NULL;
	uint32_t number = 0;

	(void)take(r, 8, 0);
	field = dbus_get_byte(r);
	type = dbus_get_signature(r);
	if (strcmp(type, "s") == 0 || strcmp(type, "o") == 0)
		text = dbus_get_string(r);
	else if (strcmp(type, "g") == 0)
		text = dbus_get_signature(r);
	else if (strcmp(type, "u") == 0)
		number = dbus_get_u32(r);
	else
		r->failed = true;
	if (field == FIELD_PATH)
		m->path = text;
	else if (field == FIELD_INTERFACE)
		m->interface = text;
	else if (field == FIELD_MEMBER)
		m->member = text;
	else if (field == FIELD_ERROR)
		m->error = text;
	else if (field == FIELD_SENDER)
		m->sender = text;
	else if (field == FIELD_SIGNATURE)
		m->signature = text;
	else if (field == FIELD_REPLY_SERIAL)
		m->reply_serial = number;
}

static bool is_complete(const struct dbus_message *m)
{
	switch (m->type) {
	case DBUS_CALL:
		return m->path && m->member;
	case DBUS_RETURN:
		return m->reply_serial != 0;
	case DBUS_ERROR:
		return m->reply_serial != 0 && m->error;
	case DBUS_SIGNAL:
		return m->path && m->interface && m->member;
	default:
		return true;
	}
}

int dbus_message_parse(const uint8_t *data, size_t len, struct dbus_message *ret)
{
	struct dbus_message m = {.type = data[AT_TYPE]};
	struct dbus_reader r = {.data = data, .pos = DBUS_HEAD_SIZE, .swap = is_foreign(data)};
	size_t body;

	if (body_start(data) > len)
		return -EBADMSG;
	body = (size_t)body_start(data);
	r.len = DBUS_HEAD_SIZE + number_at(data, AT_FIELDS_LEN);
	while (r.pos < r.len && !r.failed)
		get_field(&r, &m);
	if (!m.signature)
		m.signature = "";
	if (r.failed || !is_complete(&m))
		return -EBADMSG;
	m.body = (struct dbus_reader){.data = data + body, .len = len - body, .swap = r.swap};
	*ret = m;
	return 0;
}
