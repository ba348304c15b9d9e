/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The engine that reads a file by a schema, and the only user of libconfuse. To libconfuse every
 * value is a string: our own types check it in the moment it is read, so that each error has the
 * line of its value, and the same types fill the struct after the whole file was found good.
 */
#include <confuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/schema.h"
#include "config/text.h"

#define OPTIONS_MAX 32
#define SECTIONS_MAX 16
#define VALUE_MAX 64 /* bytes of the largest type */

static const char changed[] = "a file that it names changed while it was read";

/* libconfuse hands its callbacks no pointer of ours; loading is not concurrent. */
static struct {
	const struct schema *schema;
	int last_line; /* the end of the file counts as there, not as the line behind */
	bool failed;   /* one error was told: the rest is its echo */
} loading;

static const struct section *
find_section(const char *name)
{
	const struct section *s = loading.schema->sections;

	while (s->options != NULL && strcmp(s->name == NULL ? "root" : s->name, name) != 0)
		s++;
	return s;
}

static const struct option *
find_option(const struct section *s, const char *name)
{
	const struct option *o = s->options;

	while (o->name != NULL && strcmp(o->name, name) != 0)
		o++;
	return o;
}

/* "tunnel.url"; of the top level just "store". */
static const char *
full_name(const cfg_t *cfg, const char *name, char buf[static 128])
{
	if (strcmp(cfg->name, "root") == 0)
		snprintf(buf, 128, "%s", name);
	else
		snprintf(buf, 128, "%s.%s", cfg->name, name);
	return buf;
}

static void on_error(cfg_t *cfg, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

static void
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	if (loading.failed)
		return;
	loading.failed = true;
	fprintf(stderr, "%s:%d: ", cfg->filename,
	    cfg->line < loading.last_line ? cfg->line : loading.last_line);
	vfprintf(stderr, fmt, ap);
	/* libconfuse tells what is wrong, but not what would be right. */
	if (strncmp(fmt, "no such option", strlen("no such option")) == 0) {
		fputs("; expected one of:", stderr);
		for (const cfg_opt_t *o = cfg->opts; o->name != NULL; o++)
			fprintf(stderr, " %s", o->name);
	} else if (strncmp(fmt, "found duplicate title", strlen("found duplicate title")) == 0) {
		fputs("; expected each name once", stderr);
	}
	fputc('\n', stderr);
}

/* NULL when the text is good, else what is wrong with it. */
static const char *
check_value(const struct option *o, const char *text)
{
	uint64_t scratch[VALUE_MAX / sizeof(uint64_t)];
	const char *wrong = o->type->parse(o, text, scratch);

	if (wrong == NULL && o->type->release != NULL)
		o->type->release(scratch);
	return wrong;
}

/* One value in a list more, or the only value of an option, before it is stored. */
static const char *
check_repetition(const struct option *o, cfg_opt_t *opt, const char *text)
{
	static char mark[] = "set";
	unsigned n = cfg_opt_size(opt); /* with the slot of this value, still empty */

	/* libconfuse forgets a value when it is set anew, but not the comment of the option. */
	if (n <= 1 && cfg_opt_getcomment(opt) != NULL)
		return "it is set a second time";
	cfg_opt_setcomment(opt, mark);
	if (o->list_max != 0 && n > o->list_max)
		return "the list is too long";
	for (unsigned i = 0; i + 1 < n; i++) {
		if (strcasecmp(cfg_opt_getnstr(opt, i), text) == 0)
			return "it stands twice in the list";
	}
	return NULL;
}

static int
on_value(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	const struct option *o = find_option(find_section(cfg->name), opt->name);
	const char *wrong = check_repetition(o, opt, text);
	char name[128];

	if (wrong == NULL)
		wrong = check_value(o, text);
	if (wrong == NULL) {
		*(const char **)result = text; /* libconfuse copies it */
		return 0;
	}
	full_name(cfg, o->name, name);
	if (o->secret || strchr(text, '@') != NULL)
		cfg_error(cfg, "%s: %s; expected %s", name, wrong, o->expected);
	else
		cfg_error(cfg, "%s = \"%s\": %s; expected %s", name, text, wrong, o->expected);
	return -1;
}

static bool
is_given(cfg_t *cfg, const char *name)
{
	return cfg_size(cfg, name) > 0;
}

/* What the options of one section owe to each other; -1 after an error was told. */
static int
check_section(cfg_t *cfg, const struct section *s)
{
	char name[128];

	for (const struct option *o = s->options; o->name != NULL; o++) {
		if (o->required && !is_given(cfg, o->name)) {
			cfg_error(cfg, "%s is missing; expected %s", full_name(cfg, o->name, name),
			    o->expected);
			return -1;
		}
		if (o->with != NULL && is_given(cfg, o->name) && !is_given(cfg, o->with)) {
			cfg_error(cfg, "%s is set, but %s is not; expected both or none",
			    full_name(cfg, o->name, name), o->with);
			return -1;
		}
	}
	return 0;
}

/* All was checked a moment ago; but a file that is named may have changed since. */
static bool
fill_value(const struct option *o, const char *text, void *out)
{
	return text == NULL || o->type->parse(o, text, out) == NULL;
}

/* cfg NULL: the section is not in the file. */
static bool
fill_options(const struct option *o, cfg_t *cfg, char *conf)
{
	bool good = true;

	for (; o->name != NULL; o++) {
		size_t n = cfg == NULL ? 0 : cfg_size(cfg, o->name);

		if (o->list_max != 0)
			memcpy(conf + o->list_n_offset, &n, sizeof(n));
		if (n == 0)
			good &= fill_value(o, o->def, conf + o->offset);
		for (size_t i = 0; i < n; i++)
			good &= fill_value(o, cfg_getnstr(cfg, o->name, (unsigned)i),
			    conf + o->offset + i * o->type->size);
	}
	return good;
}

static void
release_options(const struct option *o, char *conf)
{
	for (; o->name != NULL; o++) {
		size_t n = o->list_max == 0 ? 1 : o->list_max;

		for (size_t i = 0; i < n && o->type->release != NULL; i++)
			o->type->release(conf + o->offset + i * o->type->size);
	}
}

/* Likewise, of what takes the values themselves: they are filled into a struct for it alone. */
static int
check_together(cfg_t *cfg, const struct section *s)
{
	char wrong[SCHEMA_WRONG_MAX];
	bool good;
	char *conf;

	if (s->complete == NULL)
		return 0;
	conf = mem_zalloc(loading.schema->size);
	snprintf(wrong, sizeof(wrong), "%s", changed);
	good = fill_options(s->options, cfg, conf) && s->complete(conf, wrong);
	release_options(s->options, conf);
	mem_free(conf);
	if (!good)
		cfg_error(cfg, "%s", wrong);
	return good ? 0 : -1;
}

/* A section was read to its closing brace. */
static int
on_section(cfg_t *cfg, cfg_opt_t *opt)
{
	const struct section *s = find_section(opt->name);
	unsigned n = cfg_opt_size(opt);
	cfg_t *sec = cfg_opt_getnsec(opt, n - 1);
	const char *wrong;

	if (s->title == NULL && n > 1) {
		cfg_error(cfg, "section %s stands a second time; expected one", s->name);
		return -1;
	}
	if (s->title != NULL) {
		wrong = check_value(s->title, cfg_title(sec));
		if (wrong != NULL) {
			cfg_error(cfg, "%s \"%s\": %s; expected %s", s->name, cfg_title(sec), wrong,
			    s->title->expected);
			return -1;
		}
	}
	return check_section(sec, s) < 0 ? -1 : check_together(sec, s);
}

/* What can only be missed when the whole file was read. */
static int
check_file(cfg_t *root)
{
	for (const struct section *s = loading.schema->sections; s->options != NULL; s++) {
		if (s->name == NULL) {
			if (check_section(root, s) < 0)
				return -1;
			continue;
		}
		if (is_given(root, s->name))
			continue;
		for (const struct option *o = s->options; o->name != NULL; o++) {
			if (!o->required || (s->title != NULL && !s->required))
				continue;
			cfg_error(root, "section %s with %s is missing; expected %s", s->name,
			    o->name, o->expected);
			return -1;
		}
	}
	return 0;
}

static void
declare_options(const struct section *s, cfg_opt_t *opts)
{
	for (const struct option *o = s->options; o->name != NULL; o++) {
		if (o->list_max != 0)
			*opts++ =
			    (cfg_opt_t)CFG_STR_LIST_CB(o->name, NULL, CFGF_NODEFAULT, on_value);
		else
			*opts++ = (cfg_opt_t)CFG_STR_CB(o->name, NULL, CFGF_NODEFAULT, on_value);
	}
	*opts = (cfg_opt_t)CFG_END();
}

/* libconfuse copies the declaration, so that it lives on this stack only. */
static cfg_t *
declare(const struct schema *schema)
{
	cfg_opt_t root[OPTIONS_MAX + SECTIONS_MAX], subs[SECTIONS_MAX][OPTIONS_MAX];
	cfg_opt_t *sec = root;
	size_t n = 0;
	cfg_t *cfg;

	for (const struct section *s = schema->sections; s->options != NULL; s++) {
		if (s->name == NULL) {
			declare_options(s, root);
			while (sec->name != NULL)
				sec++;
		}
	}
	for (const struct section *s = schema->sections; s->options != NULL; s++) {
		cfg_flag_t titled = s->title == NULL ? 0 : CFGF_TITLE | CFGF_NO_TITLE_DUPES;

		if (s->name == NULL)
			continue;
		declare_options(s, subs[n]);
		*sec++ = (cfg_opt_t)CFG_SEC(s->name, subs[n], CFGF_MULTI | titled);
		n++;
	}
	*sec = (cfg_opt_t)CFG_END();
	cfg = cfg_init(root, CFGF_NONE);
	if (cfg == NULL)
		abort();
	for (const struct section *s = schema->sections; s->options != NULL; s++) {
		if (s->name != NULL)
			cfg_set_validate_func(cfg, s->name, on_section);
	}
	cfg_set_error_function(cfg, on_error);
	return cfg;
}

static int
compare_titles(const void *a, const void *b)
{
	const char *x, *y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return strcmp(x, y);
}

static bool
fill_titled(const struct section *s, cfg_t *root, char *conf)
{
	bool good = true;
	size_t n = cfg_size(root, s->name);
	char *array = mem_calloc(n, s->struct_size);

	for (size_t i = 0; i < n; i++) {
		cfg_t *sec = cfg_getnsec(root, s->name, (unsigned)i);

		good &= fill_value(s->title, cfg_title(sec), array + i * s->struct_size);
		good &= fill_options(s->options, sec, array + i * s->struct_size);
	}
	qsort(array, n, s->struct_size, compare_titles); /* titles name no files */
	memcpy(conf + s->offset, &array, sizeof(array));
	memcpy(conf + s->n_offset, &n, sizeof(n));
	return good;
}

static bool
fill_section(const struct section *s, cfg_t *root, char *conf)
{
	bool given = s->name != NULL && is_given(root, s->name);
	char wrong[SCHEMA_WRONG_MAX];

	if (s->title != NULL)
		return fill_titled(s, root, conf);
	if (s->name == NULL)
		return fill_options(s->options, root, conf);
	if (!fill_options(s->options, given ? cfg_getnsec(root, s->name, 0) : NULL, conf))
		return false;
	return s->complete == NULL || !given || s->complete(conf, wrong);
}

/* NULL after an error was told. */
static void *
fill(cfg_t *root)
{
	char *conf = mem_zalloc(loading.schema->size);
	bool good = true;

	for (const struct section *s = loading.schema->sections; s->options != NULL; s++)
		good &= fill_section(s, root, conf);
	if (good)
		return conf;
	cfg_error(root, "%s", changed);
	schema_free(loading.schema, conf);
	return NULL;
}

/* Reads text, which is file's, as `loading` says. */
static int
parse(const char *file, char *text, void **out)
{
	FILE *f = fmemopen(text, strlen(text), "r");
	int err = ERR_MALFORMED;
	void *conf = NULL;
	cfg_t *cfg;

	if (f == NULL) /* an empty file, which lacks everything */
		f = fopen("/dev/null", "re");
	if (f == NULL)
		abort();
	cfg = declare(loading.schema);
	cfg->filename = strdup(file);
	if (cfg_parse_fp(cfg, f) == CFG_SUCCESS && check_file(cfg) == 0)
		conf = fill(cfg);
	if (conf != NULL) {
		*out = conf;
		err = 0;
	}
	cfg_free(cfg);
	fclose(f);
	return err;
}

int
schema_load(const struct schema *s, const char *file, void **out)
{
	char *text;
	int err;

	loading.schema = s;
	loading.failed = false;
	err = text_read(file, &text);
	if (err < 0)
		return err;
	err = text_prepare(file, text, &loading.last_line);
	if (err == 0)
		err = parse(file, text, out);
	mem_wipe_free(text, strlen(text));
	return err;
}

static void
release_titled(const struct section *s, char *conf)
{
	char *array;
	size_t n;

	memcpy(&array, conf + s->offset, sizeof(array));
	memcpy(&n, conf + s->n_offset, sizeof(n));
	for (size_t i = 0; i < n; i++) {
		s->title->type->release(array + i * s->struct_size);
		release_options(s->options, array + i * s->struct_size);
	}
	mem_free(array);
}

void
schema_free(const struct schema *s, void *conf)
{
	if (conf == NULL)
		return;
	for (const struct section *sec = s->sections; sec->options != NULL; sec++) {
		if (sec->title != NULL)
			release_titled(sec, conf);
		else
			release_options(sec->options, conf);
	}
	mem_free(conf);
}
