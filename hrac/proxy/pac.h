/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_PROXY_PAC_H
#define VOFW_HRAC_PROXY_PAC_H

#include <stddef.h>

/*
 * Asks a PAC script (proxy auto-configuration) for the way to a URL, by libpacparser. A script is a
 * program of somebody else's, perhaps fetched over plain http: so each evaluation is a process of
 * its own, which knows nothing of ours, has little memory and time, and is killed when it is not
 * done in PAC_TIME_MS. It can neither hold up nor crash the agent. It may ask the DNS, as scripts do.
 *
 * One thread, on the given event base.
 */
#define PAC_TIME_MS 3000
#define PAC_SCRIPT_MAX (1024 * 1024) /* bytes */
#define PAC_ANSWER_MAX 2048          /* a longer answer is cut there */

struct pac_job;
struct event_base;

/*
 * The evaluation is over; the job ends on return. `answer` is what FindProxyForURL gave, printable
 * ASCII; or NULL, and `cause` tells in plain words why there is none. Both borrowed until return.
 */
typedef void pac_cb(void *arg, const char *answer, const char *cause);

/*
 * Starts an evaluation of `script` (n bytes, borrowed until return) for `url`, which has been
 * checked, and its `host`. `program` is what to run: PAC_PROGRAM_SELF is this very program, whose
 * main must give itself to pac_child when its name is PAC_CHILD_NAME. NULL, and errno tells why,
 * when no process can be made. The callback comes later, from the loop.
 */
#define PAC_PROGRAM_SELF "/proc/self/exe"
#define PAC_CHILD_NAME "hrac-pac"
struct pac_job *pac_evaluate(struct event_base *base, const char *program, const char *script,
    size_t n, const char *url, const char *host, pac_cb *cb, void *arg);

void pac_cancel(struct pac_job *j); /* without the callback; NULL is fine */

/* The main of such a process: reads the question from stdin, writes the answer to stdout. */
int pac_child(void);

#endif
