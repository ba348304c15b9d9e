/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "status/history.h"

#include <math.h>

#include "base/mem.h"

struct history {
	const char *const *names;
	size_t series_n;
	size_t next, points_n; /* where the next point goes; points there are */
	float value[];         /* point after point */
};

struct history *
history_new(const char *const *names, size_t n)
{
	struct history *h = mem_zalloc(sizeof(*h) + n * HISTORY_POINTS * sizeof(float));

	h->names = names;
	h->series_n = n;
	return h;
}

void
history_free(struct history *h)
{
	mem_free(h);
}

void
history_add(struct history *h, const double *values)
{
	for (size_t i = 0; i < h->series_n; i++)
		h->value[h->next * h->series_n + i] = (float)values[i];
	h->next = (h->next + 1) % HISTORY_POINTS;
	if (h->points_n < HISTORY_POINTS)
		h->points_n++;
}

static json_t *
point(float v)
{
	double rounded = round((double)v * 100) / 100;

	if (!isfinite(v))
		return json_null();
	/* "3" is shorter than "3.0", and there are thousands of them. */
	return rounded == trunc(rounded) && fabs(rounded) < 1e15 ?
	    json_integer((json_int_t)rounded) :
	    json_real(rounded);
}

static json_t *
series(const struct history *h, size_t i)
{
	size_t first = (h->next + HISTORY_POINTS - h->points_n) % HISTORY_POINTS;
	json_t *array = json_array();

	for (size_t p = 0; p < h->points_n; p++)
		json_array_append_new(array,
		    point(h->value[(first + p) % HISTORY_POINTS * h->series_n + i]));
	return array;
}

json_t *
history_json(const struct history *h)
{
	json_t *root = json_object();

	for (size_t i = 0; i < h->series_n; i++)
		json_object_set_new(root, h->names[i], series(h, i));
	return root;
}
