#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "wg_conf.h"

static int run(void *options, int argc, char **argv)
{
	uint8_t private_key[WG_KEY_SIZE], public_key[WG_KEY_SIZE];
	char text[WG_KEY_TEXT_SIZE];
	struct error err = {0};

	(void)options;
	(void)argc;
	if (wg_key_read(argv[0], true, private_key, &err) < 0)
		return command_failed(&err);
	wg_key_public(private_key, public_key);
	explicit_bzero(private_key, sizeof(private_key));
	puts(wg_key_text(public_key, text));
	return 0;
}

const struct cli_command cmd_key = {
	.name = "key",
	.args = "FILE",
	.help = "print the public key of a WireGuard private key, making the key if there is none",
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
