/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <dirent.h>
#include <libgen.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The main program of a fuzz target where libFuzzer is not there: runs the target once over every
 * file named, or else over $srcdir/tests/fuzz/corpus/NAME/ for the program fuzz_NAME. A target
 * without a corpus is a failure: it would prove nothing.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
replay(const char *file)
{
	FILE *f = fopen(file, "rb");
	uint8_t *data;
	long n;

	if (f == NULL || fseek(f, 0, SEEK_END) < 0 || (n = ftell(f)) < 0) {
		perror(file);
		exit(1);
	}
	rewind(f);
	/* A block of just that size, so that the sanitizer sees a read past the end. */
	data = malloc((size_t)n);
	if (fread(data, 1, (size_t)n, f) != (size_t)n) {
		perror(file);
		exit(1);
	}
	fclose(f);
	LLVMFuzzerTestOneInput(data, (size_t)n);
	free(data);
}

static int
is_visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static int
replay_corpus(const char *program)
{
	const char *srcdir = getenv("srcdir"), *name = strstr(program, "fuzz_");
	char dir[512], file[1024];
	struct dirent **list;
	int n;

	snprintf(dir, sizeof(dir), "%s/tests/fuzz/corpus/%s", srcdir == NULL ? "." : srcdir,
	    name == NULL ? program : name + strlen("fuzz_"));
	n = scandir(dir, &list, is_visible, alphasort);
	if (n <= 0) {
		fprintf(stderr, "%s: no corpus\n", dir);
		return 1;
	}
	for (int i = 0; i < n; i++) {
		snprintf(file, sizeof(file), "%s/%s", dir, list[i]->d_name);
		replay(file);
		free(list[i]);
	}
	free(list);
	printf("%s: %d inputs replayed\n", dir, n);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc < 2)
		return replay_corpus(basename(argv[0]));
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	return 0;
}
