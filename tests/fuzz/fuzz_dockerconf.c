/* docker's config.json. What is found belongs to the host asked for, and holds no NUL that would cut it. */
#include "base/err.h"
#include "registry/registry_int.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const hosts[] = {"h", "docker.io", "reg.example:5000"};
	char *text = malloc(size + 1); /* as skf_read_file_at leaves it: with a NUL behind */

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = 0;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
		char *user = NULL, *password = NULL, *token = NULL;
		struct skf_err e = SKF_ERR_INIT;
		int r = skf_dockerconf_find(text, size, hosts[i], &user, &password, &token, &e);

		if (r < 0 && (user || password || token || !e.msg[0]))
			abort();
		if (r == 1 && !user != !password)
			abort();
		free(user);
		free(password);
		free(token);
	}
	free(text);
	return 0;
}
