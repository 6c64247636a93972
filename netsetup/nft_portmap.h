/* What others need of nft_portmap.c. */
#ifndef NFT_PORTMAP_H
#define NFT_PORTMAP_H

#include <stddef.h>
#include <stdint.h>

/* "host port tcp/8080": the first two fields of every port map's key. */
void nft_portmap_describe(const uint8_t *key, char *out, size_t size);

#endif
