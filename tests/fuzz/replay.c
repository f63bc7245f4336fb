/* replay.c -- main() of a fuzz target when the compiler has no libFuzzer: runs the target once on each file
 * named, so that a saved crash or a corpus is checked with any compiler. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_INPUT (16u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int replay(const char *path)
{
	FILE *f = fopen(path, "re");
	uint8_t *data = malloc(MAX_INPUT), *exact = NULL;
	size_t n = f && data ? fread(data, 1, MAX_INPUT, f) : 0;
	int r = -1;

	if (f && data && !ferror(f)) {
		exact = realloc(data, n ? n : 1);
		data = exact ? exact : data;
		LLVMFuzzerTestOneInput(data, n);
		r = 0;
	}
	if (f)
		fclose(f);
	free(data);
	return r;
}

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++) {
		if (replay(argv[i]) < 0) {
			perror(argv[i]);
			failed = 1;
		}
	}
	return failed;
}
