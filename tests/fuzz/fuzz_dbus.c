/* fuzz: lib tests/fuzz/corpus/dbus */
/* Bytes as a message from a bus, and as a value's text. Whatever they are, strings lie within the message and end there,
 * nothing is read behind the end, and a text is either refused with a reason or becomes a variant whose size fits its
 * type. */
#include <stdlib.h>
#include <string.h>

#include "dbus.h"
#include "error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
	if (!good)
		abort();
}

static void check_within(const char *s, const uint8_t *data, size_t size)
{
	const uint8_t *p = (const uint8_t *)s;

	require(!s || !*s || (p >= data && p < data + size && strlen(s) < (size_t)(data + size - p)));
}

static void check_message(const uint8_t *data, size_t size)
{
	struct dbus_message m;
	ssize_t len = size < DBUS_HEAD_SIZE ? -1 : dbus_message_size(data);

	if (len < 0 || (size_t)len > size || dbus_message_parse(data, (size_t)len, &m) < 0)
		return;
	require(len <= DBUS_MESSAGE_MAX && m.type && m.signature);
	require(m.type != DBUS_SIGNAL || (m.path && m.interface && m.member));
	require(m.type != DBUS_RETURN || m.reply_serial);
	check_within(m.path, data, size);
	check_within(m.interface, data, size);
	check_within(m.member, data, size);
	check_within(m.error, data, size);
	check_within(m.sender, data, size);
	check_within(m.signature, data, size);
	for (size_t i = 0; !m.body.failed; i++) {
		switch (i % 4) {
		case 0:
			(void)dbus_get_u32(&m.body);
			break;
		case 1:
			check_within(dbus_get_string(&m.body), data, size);
			break;
		case 2:
			(void)dbus_get_byte(&m.body);
			break;
		default:
			check_within(dbus_get_signature(&m.body), data, size);
		}
	}
}

static void check_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct buf b = {0};
	struct error err = {0};

	require(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	if (dbus_put_text(&b, text, &err) == 0)
		require(b.len > 2 && (uint8_t)b.data[0] == strlen(b.data + 1) && b.len > (size_t)(uint8_t)b.data[0] + 2);
	else
		require(err.code && err.msg[0]);
	buf_free(&b);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_message(data, size);
	check_text(data, size);
	return 0;
}
