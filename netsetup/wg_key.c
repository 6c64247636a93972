/* Keys of WireGuard: files, texts, and the public key that belongs to a private one. The arithmetic is the textbook
 * Montgomery ladder over 16 limbs of 16 bits (RFC 7748 section 5), in constant time; it runs once for a key. */
#include "wg_conf.h"

#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "fs.h"
#include "str.h"

/* --- X25519 --------------------------------------------------------------------------------------------------- */

typedef int64_t field[16];

static const field a24 = {0xdb41, 1}; /* (486662 - 2) / 4 */

static void carry(field o)
{
	int i;

	for (i = 0; i < 16; i++) {
		int64_t c;
		o[i] += INT64_C(1) << 16;
		c = o[i] >> 16;
		o[(i + 1) * (i < 15)] += c - 1 + 37 * (c - 1) * (i == 15);
		o[i] -= c * (INT64_C(1) << 16);
	}
}

/* Swaps when b is 1, without a branch on the secret bit. */
static void swap(field p, field q, int64_t b)
{
	int64_t mask = ~(b - 1);
	int i;

	for (i = 0; i < 16; i++) {
		int64_t t = mask & (p[i] ^ q[i]);
		p[i] ^= t;
		q[i] ^= t;
	}
}

static void add(field o, const field a, const field b)
{
	int i;

	for (i = 0; i < 16; i++)
		o[i] = a[i] + b[i];
}

static void sub(field o, const field a, const field b)
{
	int i;

	for (i = 0; i < 16; i++)
		o[i] = a[i] - b[i];
}

static void mul(field o, const field a, const field b)
{
	int64_t t[31] = {0};
	int i, j;

	for (i = 0; i < 16; i++)
		for (j = 0; j < 16; j++)
			t[i + j] += a[i] * b[j];
	for (i = 0; i < 15; i++)
		t[i] += 38 * t[i + 16]; /* 2^256 = 38 mod p */
	memcpy(o, t, sizeof(field));
	carry(o);
	carry(o);
}

/* a^(p-2): every bit of the exponent but 2 and 4 is set. */
static void invert(field o, const field a)
{
	field c;
	int i;

	memcpy(c, a, sizeof(field));
	for (i = 253; i >= 0; i--) {
		mul(c, c, c);
		if (i != 2 && i != 4)
			mul(c, c, a);
	}
	memcpy(o, c, sizeof(field));
}

/* The unique representative below p, as 32 bytes, least first. */
static void pack(uint8_t out[32], const field n)
{
	field m, t;
	int i, j;

	memcpy(t, n, sizeof(field));
	carry(t);
	carry(t);
	carry(t);
	for (j = 0; j < 2; j++) {
		int64_t borrow;
		m[0] = t[0] - 0xffed;
		for (i = 1; i < 15; i++) {
			m[i] = t[i] - 0xffff - ((m[i - 1] >> 16) & 1);
			m[i - 1] &= 0xffff;
		}
		m[15] = t[15] - 0x7fff - ((m[14] >> 16) & 1);
		borrow = (m[15] >> 16) & 1;
		m[14] &= 0xffff;
		swap(t, m, 1 - borrow);
	}
	for (i = 0; i < 16; i++) {
		out[2 * i] = (uint8_t)(t[i] & 0xff);
		out[2 * i + 1] = (uint8_t)(t[i] >> 8);
	}
}

static void ladder_step(field a, field b, field c, field d, const field x)
{
	field e, f;

	add(e, a, c);
	sub(a, a, c);
	add(c, b, d);
	sub(b, b, d);
	mul(d, e, e);
	mul(f, a, a);
	mul(a, c, a);
	mul(c, b, e);
	add(e, a, c);
	sub(a, a, c);
	mul(b, a, a);
	sub(c, d, f);
	mul(a, c, a24);
	add(a, a, d);
	mul(c, c, a);
	mul(a, d, f);
	mul(d, b, x);
	mul(b, e, e);
}

void wg_key_public(const uint8_t private_key[WG_KEY_SIZE], uint8_t ret[WG_KEY_SIZE])
{
	const field x = {9};
	field a = {1}, b = {9}, c = {0}, d = {1};
	uint8_t z[32];
	int i;

	memcpy(z, private_key, sizeof(z));
	z[31] = (z[31] & 127) | 64;
	z[0] &= 248;
	for (i = 254; i >= 0; i--) {
		int64_t bit = (z[i >> 3] >> (i & 7)) & 1;
		swap(a, b, bit);
		swap(c, d, bit);
		ladder_step(a, b, c, d, x);
		swap(a, b, bit);
		swap(c, d, bit);
	}
	invert(c, c);
	mul(a, a, c);
	pack(ret, a);
	explicit_bzero(z, sizeof(z));
}

/* --- texts and files ------------------------------------------------------------------------------------------ */

const char *wg_key_text(const uint8_t key[WG_KEY_SIZE], char out[WG_KEY_TEXT_SIZE])
{
	struct buf b = {0};

	base64_encode(&b, key, WG_KEY_SIZE);
	snprintf(out, WG_KEY_TEXT_SIZE, "%s", b.data ? b.data : "");
	buf_free(&b);
	return out;
}

int wg_key_parse(const char *s, uint8_t ret[WG_KEY_SIZE])
{
	uint8_t key[WG_KEY_SIZE + 1];

	if (strlen(s) != WG_KEY_TEXT_SIZE - 1 || base64_decode(s, key, sizeof(key)) != WG_KEY_SIZE)
		return -EINVAL;
	memcpy(ret, key, WG_KEY_SIZE);
	return 0;
}

bool wg_key_is_zero(const uint8_t key[WG_KEY_SIZE])
{
	static const uint8_t zero[WG_KEY_SIZE];

	return !memcmp(key, zero, WG_KEY_SIZE);
}

static int make_parent(const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	auto_free char *dir = slash && slash > path ? strndup(path, (size_t)(slash - path)) : NULL;

	return dir ? fs_mkdirs(dir, 0700, err) : 0;
}

/* A key is made once and has to be there after every power cut: whole before it has its name, and on the disk with its
 * directories before anybody hears the public half. */
static int sync_around(const char *path, struct error *err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 || syncfs(fd) < 0 ? error_sys(err, "cannot bring '%s' to the disk", path) : 0;
}

static int write_synced(const char *path, const char *text, struct error *err)
{
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return error_sys(err, "cannot create '%s'", path);
	r = fs_write_all(fd, text, strlen(text));
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r < 0 ? error_set(err, -r, "cannot write '%s': %s", path, strerror(-r)) : 0;
}

/* 1: made; 0: there is one. Of two processes that make the same key one wins, and the other reads it. */
static int write_private(const char *path, const uint8_t key[WG_KEY_SIZE], struct error *err)
{
	auto_free char *own = str_printf("%s.%d", path, (int)getpid());
	char line[WG_KEY_TEXT_SIZE + 1], text[WG_KEY_TEXT_SIZE];
	int r;

	if (!own)
		return error_oom(err);
	snprintf(line, sizeof(line), "%s\n", wg_key_text(key, text));
	r = write_synced(own, line, err);
	explicit_bzero(line, sizeof(line));
	explicit_bzero(text, sizeof(text));
	if (r == 0 && renameat2(AT_FDCWD, own, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
		return 1;
	if (r == 0 && errno != EEXIST)
		r = error_sys(err, "cannot create private key '%s'", path);
	unlink(own);
	return r;
}

static int create_key(const char *path, struct error *err)
{
	uint8_t key[WG_KEY_SIZE], public_key[WG_KEY_SIZE];
	char text[WG_KEY_TEXT_SIZE];
	auto_free char *pub = str_printf("%s.pub", path);
	int r;

	if (!pub)
		return error_oom(err);
	if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
		return error_sys(err, "cannot get random bytes for '%s'", path);
	key[0] &= 248;
	key[31] = (key[31] & 127) | 64;
	wg_key_public(key, public_key);
	r = make_parent(path, err);
	if (r == 0)
		r = write_private(path, key, err);
	explicit_bzero(key, sizeof(key));
	if (r <= 0)
		return r;
	wg_key_text(public_key, text);
	text[WG_KEY_TEXT_SIZE - 1] = '\n';
	r = fs_replace_at(AT_FDCWD, pub, text, WG_KEY_TEXT_SIZE, 0644, err);
	return r < 0 ? r : sync_around(path, err);
}

int wg_key_read(const char *path, bool create, uint8_t ret[WG_KEY_SIZE], struct error *err)
{
	auto_free char *text = NULL;
	int r;

	if (create && access(path, F_OK) < 0 && errno == ENOENT) {
		r = create_key(path, err);
		if (r < 0)
			return r;
	}
	r = fs_read_at(AT_FDCWD, path, 4096, &text, NULL, err);
	if (r == -ENOENT)
		return error_set(err, CNI_INVALID_CONFIG,
				 "key file '%s' does not exist; `netsetup key %s` makes one", path, path);
	if (r < 0)
		return r;
	text[strcspn(text, " \t\r\n")] = '\0';
	r = wg_key_parse(text, ret);
	explicit_bzero(text, strlen(text));
	if (r < 0)
		return error_set(err, CNI_INVALID_CONFIG,
				 "'%s' holds no key: one line of 44 characters of base64 is expected", path);
	return 0;
}
