/* nfnetlink as nftables (and ctnetlink) speaks it: a socket, a buffer of messages, and the two ways to send it, as
 * questions (an answer each) or as one transaction. Only the nft_*.c files and conntrack.c include this. */
#ifndef NFT_BATCH_H
#define NFT_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct nlmsghdr;

/* How often something is begun anew because the ruleset changed meanwhile: each time another process has got ahead,
 * so this is reached only if the ruleset is changed without end. */
enum { NFT_TRIES = 1000 };

/* Our table. */
#define NFT_TABLE "netsetup"

struct nft_socket {
	int fd;
	uint32_t seq;
};

/* socket(2) in the namespace (-1: the caller's own); a descriptor or a negative errno, without text. */
int nft_socket_in(int netns_fd, int domain, int type, int protocol);
/* Opens a socket in the namespace (-1: the caller's own). */
int nft_open(int netns_fd, struct nft_socket *ret, struct error *err);
/* Done with it. It is closed when the process ends, by a detached child: closing waits for a grace period. */
void nft_close(struct nft_socket *s);
#define auto_nft __attribute__((cleanup(nft_close)))

/* Messages in a row. Zero-initialise; running out of memory sets `failed` and shows when it is sent. */
struct nft_batch {
	char *buf;
	size_t len, cap;
	bool failed;
	struct nft_label {
		size_t offset;	  /* of the message in buf */
		const char *what; /* "chain forward"; static text */
	} *labels;
	size_t n, labels_cap;
};

void nft_batch_free(struct nft_batch *b);
#define auto_batch __attribute__((cleanup(nft_batch_free)))

/* Starts a message of the table's family with room for NFT_MESSAGE_MAX bytes, or NULL without memory;
 * nft_batch_end() counts it in. `what` names its object in error texts. */
enum { NFT_MESSAGE_MAX = 4096 };
struct nlmsghdr *nft_batch_begin(struct nft_batch *b, uint16_t type, uint16_t flags, const char *what);
void nft_batch_end(struct nft_batch *b, const struct nlmsghdr *m);

/* Sends the messages as questions. Each has one answer: a message (code 0), or a negative errno. The callback may
 * end it with a negative code, for which a text is made here. At most NFT_ASK_MAX at a time, so that the answers
 * fit the socket's buffer. */
enum { NFT_ASK_MAX = 16 };
typedef int nft_answer(size_t index, int code, const struct nlmsghdr *m, void *arg);
int nft_ask(struct nft_socket *s, struct nft_batch *b, nft_answer *answer, void *arg, struct error *err);
/* Sends one question with many answers. When the callback ends it early, the socket has no further use. */
int nft_dump(struct nft_socket *s, struct nft_batch *b, nft_answer *answer, void *arg, struct error *err);

/* The ruleset's generation; never 0. */
int nft_generation(struct nft_socket *s, uint32_t *ret, struct error *err);
/* Sends the messages as one transaction: all or nothing. generation 0: whatever the ruleset is now; else -ERESTART
 * when it has changed since. The first failure is returned (with the text). */
int nft_commit(struct nft_socket *s, struct nft_batch *b, uint32_t generation, struct error *err);
/* The same for one of at most NFT_LATER_SIZE bytes (a longer one is not sent) that is to be tried NFT_LATER_MS after this
 * process has ended, whatever comes of it: the child that closes the socket sends it. Takes the socket. */
enum { NFT_LATER_MS = 500, NFT_LATER_SIZE = 384 };
void nft_commit_later(struct nft_socket *s, struct nft_batch *b);

#endif
