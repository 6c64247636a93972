/* FNV-1a, 64 bits: names that must follow from longer ones. Not for secrets; whoever looks something up by a hash
 * compares the full text too. */
#ifndef HASH_H
#define HASH_H

#include <stdint.h>

#define HASH_START 0xcbf29ce484222325u

/* Goes on from h with the text and its end, so that ("ab", "c") and ("a", "bc") differ. */
static inline uint64_t hash_text(uint64_t h, const char *s)
{
	for (;; s++) {
		h = (h ^ (uint8_t)*s) * 0x100000001b3u;
		if (*s == '\0')
			return h;
	}
}

#endif
