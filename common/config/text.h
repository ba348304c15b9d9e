/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_CONFIG_TEXT_H
#define VOFW_CONFIG_TEXT_H

/*
 * Inside the config module: the text of a configuration file, made ready for libconfuse. Errors
 * are one line on stderr and ERR_MALFORMED.
 */

/* Reads the whole file; the caller owns *text, which ends with a NUL. */
int text_read(const char *file, char **text);

/*
 * Blanks all comments of `text` in place, without moving a line, and checks that every brace,
 * string and comment is closed. *last_line is the number of the last line. `file` is for errors.
 */
int text_prepare(const char *file, char *text, int *last_line);

#endif
