/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_CONFIG_SCHEMA_H
#define VOFW_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Inside the config module: how an agent declares its options, and the engine that reads a file
 * by such a declaration. Neither the tables nor the types of values know the parser's library.
 */

#define SCHEMA_WRONG_MAX 256

struct option;

/* A type of value: how its text becomes bytes of a struct. */
struct type {
	size_t size;
	/*
	 * Writes the value to out (which may be any bytes before, and is left alone on error).
	 * NULL when good, else what is wrong: static, or of strerror.
	 */
	const char *(*parse)(const struct option *o, const char *text, void *out);
	void (*release)(void *value); /* NULL: owns nothing. Zeroes the value */
};

struct option {
	const char *name;
	const struct type *type;
	size_t offset;        /* of the value in its struct */
	const char *def;      /* the text of the default; NULL: all zero */
	const char *expected; /* told after each error: "expected ..." */
	uint64_t min, max;    /* of numbers (in the option's unit) and of the length of strings */
	const char *const *choices; /* type_choice: ended by NULL */
	uint64_t unit_ms;           /* type_duration: what a bare number means */
	bool required;
	bool secret;      /* its value is not told in errors */
	const char *with; /* if this is set, that option of the same section must be set too */
	size_t list_max;  /* 0: one value; else an array, its count at list_n_offset */
	size_t list_n_offset;
};

/*
 * A section with options, ended by an option whose name is NULL. `name` NULL is the top level.
 * A titled section ("agent "office" { ... }") may stand often: its structs (struct_size bytes
 * each, the title a char * at offset 0) become an array, its pointer at `offset`, in the order of
 * the titles.
 */
struct section {
	const char *name;
	const struct option *options;
	const struct option *title; /* NULL: a plain section, at most once */
	size_t struct_size, offset, n_offset;
	bool required; /* titled: at least one */
	/*
	 * Of a plain section whose values were all read: completes those that follow from each other.
	 * false, with what is wrong and what was expected, when they do not go together. May be NULL.
	 */
	bool (*complete)(void *conf, char wrong[static SCHEMA_WRONG_MAX]);
};

struct schema {
	const struct section *sections; /* ended by one without options */
	size_t size;                    /* of the agent's struct */
};

/* Reads `file` into a new struct; ERR_MALFORMED, with one line on stderr, when it is not good. */
int schema_load(const struct schema *s, const char *file, void **out);

/* Takes over conf; strings are wiped. NULL is fine. */
void schema_free(const struct schema *s, void *conf);

extern const struct type type_string;   /* char *; min..max bytes, printable */
extern const struct type type_name;     /* char *; of [A-Za-z0-9._-] */
extern const struct type type_user;     /* char *; the user part of a SIP URI, unescaped */
extern const struct type type_domain;   /* char *; a host name or address, made lower case */
extern const struct type type_file;     /* char *; a file that can be read now */
extern const struct type type_url;      /* char *; http or https, host, port, path */
extern const struct type type_proxy;    /* char *; as tunnel.proxy of config.h tells */
extern const struct type type_u32;      /* uint32_t */
extern const struct type type_auto_u32; /* uint32_t; "auto" is 0, which no number may be */
extern const struct type type_rate;     /* uint32_t in kbit/s; k, M, G behind the number */
extern const struct type type_bytes;    /* uint64_t; K, M, G behind the number */
extern const struct type type_duration; /* uint32_t in the option's unit; ms, s, m, h behind it */
extern const struct type type_choice;   /* int: the index in choices */
extern const struct type type_bool;     /* bool: likewise, of two */
extern const struct type type_addr;     /* struct addr with a port; 0.0.0.0 and :: allowed */
extern const struct type type_host;     /* struct addr of one host, port 0 */
extern const struct type type_server;   /* char *; an address, its port may be missing */
extern const struct type type_listen;   /* struct config_listen of one host */
extern const struct type type_carrier;  /* struct config_tunnel_listen */
extern const struct type type_ports;    /* uint16_t[2]: the first and the last port */

#endif
