/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/uplink/ticket.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"

#define TROUBLE_MAX 256

struct uplink_ticket {
	/* Of the thread until `done`. */
	CURL *easy;
	CURLcode code;
	char error[CURL_ERROR_SIZE], trouble[TROUBLE_MAX];

	pthread_mutex_t lock; /* of the two */
	bool done, abandoned;

	uplink_ticket_cb *cb;
	void *arg;
	int fd; /* readable when done */
	struct event over;
};

static void
ticket_free(struct uplink_ticket *t)
{
	if (t->easy != NULL)
		curl_easy_cleanup(t->easy);
	pthread_mutex_destroy(&t->lock);
	close(t->fd);
	mem_free(t);
	curl_global_cleanup();
}

static size_t
on_write(char *in, size_t size, size_t n, void *arg)
{
	(void)in;
	(void)arg;
	return size * n;
}

static int
on_debug(CURL *easy, curl_infotype type, char *text, size_t n, void *arg)
{
	static const char mark[] = "gss_init_sec_context() failed: ";
	struct uplink_ticket *t = arg;

	(void)easy;
	if (type != CURLINFO_TEXT || n < strlen(mark) || memcmp(text, mark, strlen(mark)) != 0)
		return 0;
	if (n >= sizeof(t->trouble))
		n = sizeof(t->trouble) - 1;
	memcpy(t->trouble, text, n);
	t->trouble[n] = '\0';
	return 0;
}

static void *
run(void *arg)
{
	struct uplink_ticket *t = arg;
	bool abandoned;

	t->code = curl_easy_perform(t->easy);
	pthread_mutex_lock(&t->lock);
	t->done = true;
	abandoned = t->abandoned;
	/* Below the lock: once it is free the other side may take everything away. */
	if (!abandoned)
		eventfd_write(t->fd, 1);
	pthread_mutex_unlock(&t->lock);
	if (abandoned)
		ticket_free(t);
	return NULL;
}

static void
on_over(evutil_socket_t fd, short what, void *arg)
{
	struct uplink_ticket *t = arg;
	struct uplink_ticket_result result;

	(void)fd;
	(void)what;
	/* The thread lets go of the lock. */
	pthread_mutex_lock(&t->lock);
	pthread_mutex_unlock(&t->lock);
	event_del(&t->over);
	/* What refers to this struct is taken out of the handle, which outlives it. */
	curl_easy_setopt(t->easy, CURLOPT_VERBOSE, 0L);
	curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, NULL);
	result = (struct uplink_ticket_result){ t->easy, t->code, t->error, t->trouble };
	t->easy = NULL;
	t->cb(t->arg, &result);
	ticket_free(t);
}

static CURL *
copy_of(CURL *easy, struct uplink_ticket *t)
{
	CURL *copy = curl_easy_duphandle(easy);

	if (copy == NULL)
		abort(); /* it is out of memory */
	curl_easy_setopt(copy, CURLOPT_SHARE, NULL);
	curl_easy_setopt(copy, CURLOPT_SOCKOPTFUNCTION, NULL);
	curl_easy_setopt(copy, CURLOPT_PREREQFUNCTION, NULL);
	curl_easy_setopt(copy, CURLOPT_HEADERFUNCTION, NULL);
	curl_easy_setopt(copy, CURLOPT_HEADERDATA, NULL);
	curl_easy_setopt(copy, CURLOPT_SSL_CTX_FUNCTION, NULL);
	curl_easy_setopt(copy, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(copy, CURLOPT_ERRORBUFFER, t->error);
	curl_easy_setopt(copy, CURLOPT_VERBOSE, 1L);
	curl_easy_setopt(copy, CURLOPT_DEBUGFUNCTION, on_debug);
	curl_easy_setopt(copy, CURLOPT_DEBUGDATA, t);
	return copy;
}

/* Signals are the loop's. */
static int
start_thread(struct uplink_ticket *t)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	err = pthread_create(&thread, &attr, run, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return err;
}

struct uplink_ticket *
uplink_ticket_get(struct event_base *base, CURL *easy, uplink_ticket_cb *cb, void *arg)
{
	struct uplink_ticket *t;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), err;

	if (fd < 0)
		return NULL;
	/* The thread may outlive all other users of libcurl. */
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
		close(fd);
		errno = ENOMEM;
		return NULL;
	}
	t = mem_zalloc(sizeof(*t));
	t->cb = cb;
	t->arg = arg;
	t->fd = fd;
	pthread_mutex_init(&t->lock, NULL);
	t->easy = copy_of(easy, t);
	err = start_thread(t);
	if (err != 0) {
		ticket_free(t);
		errno = err;
		return NULL;
	}
	event_assign(&t->over, base, fd, EV_READ, on_over, t);
	event_add(&t->over, NULL);
	return t;
}

void
uplink_ticket_abandon(struct uplink_ticket *t)
{
	bool done;

	event_del(&t->over);
	pthread_mutex_lock(&t->lock);
	t->abandoned = true;
	done = t->done;
	pthread_mutex_unlock(&t->lock);
	if (done)
		ticket_free(t);
}
