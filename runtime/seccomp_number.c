/* The numbers of system calls by name and architecture: libseccomp's tables, and i386's two ways to one call. */
#include <seccomp.h>

#include "cleanup.h"
#include "seccomp_parts.h"

enum { I386_SOCKETCALL = 102, I386_IPC = 117 };

/* libseccomp numbers the cases of socketcall(2) -101 and on, those of ipc(2) -201 and on: the selector is the rest of the
 * division by 100 or 200. The direct numbers came with Linux 4.3 and 5.1; 0: there is none. */
static const struct {
	int pseudo;
	uint32_t direct;
} i386_calls[] = {
	{__PNR_socket, 359},	  {__PNR_bind, 361},	  {__PNR_connect, 362},	   {__PNR_listen, 363},
	{__PNR_accept, 0},	  {__PNR_getsockname, 367}, {__PNR_getpeername, 368}, {__PNR_socketpair, 360},
	{__PNR_send, 0},	  {__PNR_recv, 0},	  {__PNR_sendto, 369},	   {__PNR_recvfrom, 371},
	{__PNR_shutdown, 373},	  {__PNR_setsockopt, 366}, {__PNR_getsockopt, 365}, {__PNR_sendmsg, 370},
	{__PNR_recvmsg, 372},	  {__PNR_accept4, 364},	  {__PNR_recvmmsg, 337},   {__PNR_sendmmsg, 345},
	{__PNR_semop, 0},	  {__PNR_semget, 393},	  {__PNR_semctl, 394},	   {__PNR_semtimedop, 0},
	{__PNR_msgsnd, 400},	  {__PNR_msgrcv, 401},	  {__PNR_msgget, 399},	   {__PNR_msgctl, 402},
	{__PNR_shmat, 397},	  {__PNR_shmdt, 398},	  {__PNR_shmget, 395},	   {__PNR_shmctl, 396},
};

static struct seccomp_number i386_number(int pseudo)
{
	for (size_t i = 0; i < ARRAY_SIZE(i386_calls); i++) {
		bool socket = pseudo > -200;

		if (i386_calls[i].pseudo != pseudo)
			continue;
		return (struct seccomp_number){
			.there = i386_calls[i].direct,
			.nr = i386_calls[i].direct,
			.multiplexer = socket ? I386_SOCKETCALL : I386_IPC,
			.selector = (uint32_t)-pseudo % (socket ? 100 : 200),
		};
	}
	return (struct seccomp_number){0};
}

struct seccomp_number seccomp_number(uint32_t arch, const char *name)
{
	/* What the architecture does not have is negative. */
	int number = seccomp_syscall_resolve_name_arch(arch, name);

	if (number >= 0)
		return (struct seccomp_number){.there = true, .nr = (uint32_t)number};
	return arch == SCMP_ARCH_X86 ? i386_number(number) : (struct seccomp_number){0};
}
