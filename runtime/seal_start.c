/* The program's entry point, before the C library's: seals (seal.h) without having been a whole program first.
 *
 * What a static program costs is mostly the C library's start: on a virtual machine it asks the processor some 170 times
 * about its caches, and each question is an exit to the hypervisor, 0.3 ms in all. The process that only re-executes
 * itself need not have that. Whatever is unusual is left to seal_self(), which main() calls in any case; when this file
 * is not the entry point (sanitizers, other processors: see the Makefile) it does all of it.
 *
 * Nothing of the C library works here: no memory is relocated, there is no thread pointer, so no stack protector, no
 * errno, and no call that the compiler might make up, such as memcpy(3). */
#include <linux/mount.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#ifdef __x86_64__

#define BARE                                                                                                           \
	__attribute__((no_stack_protector, no_sanitize("address", "undefined"), optimize("no-tree-loop-distribute-patterns")))
#define HERE_CWD (-100)	     /* AT_FDCWD, whose header declares what must not be called here */
#define HERE_EMPTY_PATH 0x1000 /* AT_EMPTY_PATH */
#define HERE_CLOEXEC 02000000

enum { ENV_MAX = 1024, PATH_SIZE = 1024 };

/* --- system calls ------------------------------------------------------------------------------------------- */

BARE static long call(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
	return ret;
}

/* _start wants the stack, and the register that holds what to run at exit, as the kernel left them. */
__asm__(".globl seal_start\n"
	".type seal_start, @function\n"
	"seal_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rdx, %r12\n"
	"	mov %rsp, %rdi\n"
	"	call seal_early\n"
	"	mov %r12, %rdx\n"
	"	jmp _start\n");

/* --- strings ------------------------------------------------------------------------------------------------ */

BARE static int same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

BARE static int begins(const char *s, const char *with)
{
	while (*with && *s == *with) {
		s++;
		with++;
	}
	return !*with;
}

/* --- sealing ------------------------------------------------------------------------------------------------ */

static const char self[] = "/proc/self/exe", variable[] = "NSRUN_SELF=";

/* A word that names a sealed command, wherever it stands: sealing without need does no harm. */
BARE static int wants_seal(char **argv)
{
	for (; *argv; argv++)
		if (same(*argv, "run") || same(*argv, "create") || same(*argv, "exec"))
			return 1;
	return 0;
}

BARE static int is_read_only(void)
{
	struct statfs fs;

	return call(SYS_statfs, (long)self, (long)&fs, 0, 0, 0) == 0 && fs.f_flags & ST_RDONLY;
}

/* "NSRUN_SELF=FD:PATH" for seal_self(), as seal.c's reexecute() writes it. */
BARE static int make_variable(char out[PATH_SIZE], long fd)
{
	size_t n = 0;
	long len;

	while (variable[n]) {
		out[n] = variable[n];
		n++;
	}
	if (fd > 99)
		return 0;
	if (fd > 9)
		out[n++] = (char)('0' + fd / 10);
	out[n++] = (char)('0' + fd % 10);
	out[n++] = ':';
	len = call(SYS_readlinkat, HERE_CWD, (long)self, (long)(out + n), (long)(PATH_SIZE - n), 0);
	if (len <= 0 || (size_t)len >= PATH_SIZE - n)
		return 0;
	out[n + (size_t)len] = '\0';
	return 1;
}

/* The environment with ours in place of one that may be there. */
BARE static int make_environment(char *out[ENV_MAX], char **env, char *ours)
{
	size_t n = 0;

	for (; *env; env++) {
		if (begins(*env, variable))
			continue;
		if (n == ENV_MAX - 2)
			return 0;
		out[n++] = *env;
	}
	out[n++] = ours;
	out[n] = NULL;
	return 1;
}

void seal_early(long *stack);

/* stack: argc, argv, NULL, environment, NULL. Returns when it is for the C library to go on. */
BARE void seal_early(long *stack)
{
	char **argv = (char **)(stack + 1), **env = argv + stack[0] + 1;
	struct mount_attr attr;
	char *environment[ENV_MAX], ours[PATH_SIZE];
	long fd;

	if (!wants_seal(argv) || is_read_only())
		return;
	attr.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	attr.attr_clr = attr.propagation = attr.userns_fd = 0;
	fd = call(SYS_open_tree, HERE_CWD, (long)self, OPEN_TREE_CLONE | HERE_CLOEXEC, 0, 0);
	if (fd < 0)
		return;
	/* Open in the process to come: seal_release() says why. */
	if (call(SYS_mount_setattr, fd, (long)"", HERE_EMPTY_PATH, (long)&attr, sizeof(attr)) == 0 &&
	    make_variable(ours, fd) && make_environment(environment, env, ours) && call(SYS_fcntl, fd, 2 /* F_SETFD */, 0, 0, 0) == 0)
		call(SYS_execveat, fd, (long)"", (long)argv, (long)environment, HERE_EMPTY_PATH);
	call(SYS_close, fd, 0, 0, 0, 0);
}

#endif
