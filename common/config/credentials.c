/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

#define PART_MAX 255

static bool
is_part(const char *s, size_t least)
{
	size_t n = strlen(s);

	for (; *s != '\0'; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	}
	return n >= least && n <= PART_MAX;
}

static int
parse(char *line, char **user, char **password)
{
	char *end = line + strcspn(line, "\r\n"), *colon;

	if (end[strspn(end, "\r\n")] != '\0')
		return ERR_MALFORMED;
	*end = '\0';
	colon = strchr(line, ':');
	if (colon == NULL)
		return ERR_MALFORMED;
	*colon = '\0';
	if (!is_part(line, 1) || !is_part(colon + 1, 0))
		return ERR_MALFORMED;
	*user = mem_strdup(line);
	*password = mem_strdup(colon + 1);
	return 0;
}

int
credentials_read(const char *file, char **user, char **password)
{
	char line[2 * PART_MAX + 8];
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err = ERR_IO;
	struct stat st;
	ssize_t n = 0;

	if (fd < 0)
		return ERR_IO;
	if (fstat(fd, &st) == 0)
		err = (st.st_mode & S_IRWXO) != 0 ? ERR_AUTH : 0;
	if (err == 0 && (n = read(fd, line, sizeof(line) - 1)) < 0)
		err = ERR_IO;
	close(fd);
	if (err == 0) {
		line[n] = '\0';
		/* A NUL would hide what is behind it. */
		err = strlen(line) == (size_t)n ? parse(line, user, password) : ERR_MALFORMED;
		explicit_bzero(line, sizeof(line));
	}
	return err;
}
