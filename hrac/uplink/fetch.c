/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/uplink/fetch.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "hrac/uplink/poll.h"
#include "log/log.h"

#define REDIRECTS_MAX 3L

struct uplink_fetch {
	struct uplink_poll *poll;
	uplink_fetch_cb *cb;
	void *arg;
	CURL *easy;
	struct buf body;
	char error[CURL_ERROR_SIZE];
};

static size_t
on_write(char *in, size_t size, size_t n, void *arg)
{
	struct uplink_fetch *f = arg;

	return buf_append(&f->body, in, size * n) == 0 ? size * n : 0;
}

static void
fetch_free(struct uplink_fetch *f)
{
	curl_multi_remove_handle(uplink_poll_multi(f->poll), f->easy);
	curl_easy_cleanup(f->easy);
	uplink_poll_free(f->poll);
	buf_free(&f->body);
	mem_free(f);
}

static void
fetch_over(struct uplink_fetch *f, CURLcode code)
{
	char cause[CURL_ERROR_SIZE + 64] = "";
	long status = 0;

	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	if (code == CURLE_WRITE_ERROR)
		snprintf(cause, sizeof(cause), "it is too big");
	else if (code != CURLE_OK)
		snprintf(cause, sizeof(cause), "%s",
		    f->error[0] != '\0' ? f->error : curl_easy_strerror(code));
	else if (status != 200)
		snprintf(cause, sizeof(cause), "HTTP %ld", status);
	else if (buf_len(&f->body) == 0)
		snprintf(cause, sizeof(cause), "it is empty");
	if (cause[0] != '\0')
		f->cb(f->arg, NULL, 0, cause);
	else
		f->cb(f->arg, buf_data(&f->body), buf_len(&f->body), "");
	fetch_free(f);
}

static void
on_turn(void *arg)
{
	struct uplink_fetch *f = arg;
	CURLMsg *m;
	int left;

	m = curl_multi_info_read(uplink_poll_multi(f->poll), &left);
	if (m != NULL)
		fetch_over(f, m->data.result);
	else
		uplink_poll_apply(f->poll);
}

static void
configure(struct uplink_fetch *f, const char *url, const char *ca)
{
	curl_easy_setopt(f->easy, CURLOPT_URL, url);
	curl_easy_setopt(f->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(f->easy, CURLOPT_ERRORBUFFER, f->error);
	curl_easy_setopt(f->easy, CURLOPT_NOSIGNAL, 1L);
	/* Or the loop would wait here for a name server that does not answer. */
	curl_easy_setopt(f->easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(f->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(f->easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(f->easy, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(f->easy, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
	curl_easy_setopt(f->easy, CURLOPT_USERAGENT, "VoFW/1");
	curl_easy_setopt(f->easy, CURLOPT_TIMEOUT_MS, (long)UPLINK_FETCH_TIME_MS);
	curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
	curl_easy_setopt(f->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (ca != NULL) {
		curl_easy_setopt(f->easy, CURLOPT_CAINFO, ca);
		curl_easy_setopt(f->easy, CURLOPT_CAPATH, NULL);
	}
}

struct uplink_fetch *
uplink_fetch_start(struct event_base *base, const char *url, const char *ca, size_t max,
    uplink_fetch_cb *cb, void *arg)
{
	struct uplink_fetch *f = mem_zalloc(sizeof(*f));

	f->cb = cb;
	f->arg = arg;
	buf_init(&f->body, max);
	f->poll = uplink_poll_new(base, on_turn, f);
	if (f->poll == NULL) {
		log_error("uplink", "libcurl does not start");
		mem_free(f);
		return NULL;
	}
	f->easy = curl_easy_init();
	if (f->easy == NULL)
		abort(); /* it is out of memory */
	configure(f, url, ca);
	curl_multi_add_handle(uplink_poll_multi(f->poll), f->easy);
	uplink_poll_apply(f->poll);
	return f;
}

void
uplink_fetch_cancel(struct uplink_fetch *f)
{
	if (f != NULL)
		fetch_free(f);
}
