/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_CONFIG_CREDENTIALS_H
#define VOFW_CONFIG_CREDENTIALS_H

/*
 * Inside the config module: a file that has one line, "user:password", and that nobody but its owner
 * and group may read.
 */

/*
 * Reads it; the caller owns *user and *password, and wipes them. ERR_AUTH, and nothing is read, when
 * others may read or write the file; ERR_IO, with errno, when it cannot be read; ERR_MALFORMED when
 * it is no such line of 1 to 255 and at most 255 printable bytes.
 */
int credentials_read(const char *file, char **user, char **password);

#endif
