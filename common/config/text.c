/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The bytes of the file before libconfuse sees them. Some of its habits (in 3.3) would make our
 * errors wrong: it counts lines twice or more in every comment, it takes the end of the file for
 * the end of any section, and of a string in double quotes, and it passes over characters that
 * cannot be in a bare word. So comments are blanked here, and what is not closed is told with the
 * line on which it was opened.
 */
#include "config/text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/mem.h"

#define FILE_MAX (8U << 20)
#define DEPTH_MAX 8

struct scan {
	const char *file;
	char *p; /* ends with a NUL, which is not of the file */
	int line;
	int open[DEPTH_MAX]; /* the line of each brace not closed yet */
	size_t depth;
};

static int
refuse(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	return ERR_MALFORMED;
}

/*
 * Passes a string from its opening quote to behind the closing one. None of our values has lines,
 * and a quote that was forgotten is found where it is missing rather than at the next one.
 */
static int
scan_string(struct scan *s)
{
	char quote = *s->p++;

	for (; *s->p != quote; s->p++) {
		if (*s->p == '\\' && s->p[1] != '\0')
			s->p++;
		if (*s->p == '\0' || *s->p == '\n')
			return refuse(s->file, s->line, "a string is not closed; expected a quote");
	}
	s->p++;
	return 0;
}

static void
blank_line(struct scan *s)
{
	while (*s->p != '\0' && *s->p != '\n')
		*s->p++ = ' ';
}

static int
blank_comment(struct scan *s)
{
	int opened = s->line;

	for (; strncmp(s->p, "*/", 2) != 0; s->p++) {
		if (*s->p == '\0')
			return refuse(s->file, opened, "a comment is not closed; expected */");
		if (*s->p == '\n')
			s->line++;
		else
			*s->p = ' ';
	}
	memset(s->p, ' ', 2);
	s->p += 2;
	return 0;
}

static int
scan_brace(struct scan *s)
{
	if (*s->p++ == '{') {
		if (s->depth == DEPTH_MAX)
			return refuse(s->file, s->line, "too many braces within each other");
		s->open[s->depth++] = s->line;
	} else {
		if (s->depth == 0)
			return refuse(s->file, s->line, "this } closes nothing");
		s->depth--;
	}
	return 0;
}

/* In the middle of a bare word such as http://x, a slash begins no comment. */
static bool
in_word(const struct scan *s, const char *begin)
{
	return s->p > begin && strchr(" #\"'\t\n\r={}()+,*", s->p[-1]) == NULL;
}

static int
scan_next(struct scan *s, const char *begin)
{
	switch (*s->p) {
	case '"':
	case '\'':
		return scan_string(s);
	case '{':
	case '}':
		return scan_brace(s);
	case '#':
		blank_line(s);
		return 0;
	case '/':
		if (s->p[1] == '/' && !in_word(s, begin)) {
			blank_line(s);
			return 0;
		}
		if (s->p[1] == '*' && !in_word(s, begin))
			return blank_comment(s);
		break;
	case '+':
		if (s->p[1] == '=')
			break;
		/* fallthrough */
	case '*':
		return refuse(s->file, s->line, "a value with + or * in it needs quotes");
	case '\n':
		s->line++;
		break;
	}
	s->p++;
	return 0;
}

int
text_prepare(const char *file, char *text, int *last_line)
{
	struct scan s = { .file = file, .p = text, .line = 1 };

	while (*s.p != '\0') {
		if (scan_next(&s, text) < 0)
			return ERR_MALFORMED;
	}
	if (s.depth > 0)
		return refuse(file, s.open[s.depth - 1], "this { is not closed; expected a }");
	*last_line = s.p > text && s.p[-1] == '\n' ? s.line - 1 : s.line;
	return 0;
}

static int
refuse_file(const char *file)
{
	fprintf(stderr, "%s: cannot read the configuration: %s\n", file, strerror(errno));
	return ERR_MALFORMED;
}

/* NULL, with errno, when it cannot be read whole. */
static char *
slurp(FILE *f, size_t *n)
{
	char *text;
	struct stat st;

	if (fstat(fileno(f), &st) < 0)
		return NULL;
	if (S_ISDIR(st.st_mode) || st.st_size > FILE_MAX) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EFBIG;
		return NULL;
	}
	/* A pipe or device tells no size: then the cap is. */
	*n = S_ISREG(st.st_mode) ? (size_t)st.st_size : FILE_MAX;
	text = mem_alloc(*n + 1);
	*n = fread(text, 1, *n, f);
	text[*n] = '\0';
	if (ferror(f)) {
		mem_free(text);
		return NULL;
	}
	return text;
}

int
text_read(const char *file, char **text)
{
	FILE *f = fopen(file, "re");
	char *all;
	size_t n;

	if (f == NULL)
		return refuse_file(file);
	all = slurp(f, &n);
	if (all == NULL) {
		refuse_file(file);
	} else if (strlen(all) != n) {
		refuse(file, 1, "this is no text: it has a byte of zero");
		mem_free(all);
		all = NULL;
	}
	fclose(f);
	if (all == NULL)
		return ERR_MALFORMED;
	*text = all;
	return 0;
}
