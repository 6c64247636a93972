/* What went wrong, as text for the user and a code for the caller.
 *
 * A function that can fail takes `struct error *err` last and returns 0 (or a non-negative result) or a negative
 * code; on success it leaves *err alone. Each setter returns the negative code, so failing is one line:
 *
 *         return error_sys(err, "cannot open %s", path);
 *
 * err may be NULL where the caller does not care for the text. The struct holds no pointers, so the same bytes can
 * be sent to another process. Only commands print it. */
#ifndef ERROR_H
#define ERROR_H

/* Codes below are errno values; a program's own codes (CNI's, for one) start here. */
enum { ERROR_OWN = 4096 };

enum { ERROR_TEXT_SIZE = 1024 };

struct error {
	int code; /* positive errno, or ERROR_OWN + n; 0: nothing happened yet */
	char msg[ERROR_TEXT_SIZE];
};

/* Sets code (positive) and text; returns -code. Text that does not fit is cut. */
int error_set(struct error *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Sets code from errno and appends ": strerror(errno)" to the text; returns -errno. */
int error_sys(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "text: " before the message that is there, keeping the code; returns -code. */
int error_wrap(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* -ENOMEM with the text "out of memory". */
int error_oom(struct error *err);

#endif
