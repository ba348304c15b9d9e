/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/sdp.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "sip/sdp_text.h"

#define HOSTS_MAX 8 /* different addresses of one phone that are hidden in other lines */

struct writer {
	const struct sdp_rewrite *rw;
	const struct sdp *sdp; /* what was parsed of the same text */
	struct buf *out;
	bool full;
	size_t streams_n;              /* m= lines written */
	bool rtcp_said;                /* the stream has its a=rtcp */
	char host[ADDR_HOST_MAX];      /* the agent's */
	struct span hidden[HOSTS_MAX]; /* the phone's */
	size_t hidden_n;
};

static void
put(struct writer *w, struct span s)
{
	if (buf_append(w->out, s.p, s.n) < 0)
		w->full = true;
}

static void
put_str(struct writer *w, const char *s)
{
	put(w, (struct span){ s, strlen(s) });
}

static void
put_line(struct writer *w, struct span s)
{
	put(w, s);
	put_str(w, "\r\n");
}

static void
put_number(struct writer *w, unsigned v)
{
	if (buf_printf(w->out, "%u", v) < 0)
		w->full = true;
}

/* The agent's address, or the zero of its family. */
static void
put_place(struct writer *w, bool zero)
{
	bool v6 = addr_is_v6(&w->rw->address);

	put_str(w, v6 ? "IN IP6 " : "IN IP4 ");
	if (zero)
		put_str(w, v6 ? "::" : "0.0.0.0");
	else
		put_str(w, w->host);
	put_str(w, "\r\n");
}

static void
put_rtcp(struct writer *w, uint16_t port)
{
	put_str(w, "a=rtcp:");
	put_number(w, port);
	put_str(w, "\r\n");
	w->rtcp_said = true;
}

static const struct sdp_stream *
stream_of(const struct writer *w)
{
	return w->streams_n == 0 ? NULL : &w->sdp->stream[w->streams_n - 1];
}

/* A phone looks for RTCP on the port after RTP's unless told otherwise (RFC 3605). */
static void
end_section(struct writer *w)
{
	uint16_t rtp, rtcp;

	if (w->streams_n == 0 || !stream_of(w)->rtp || w->rtcp_said)
		return;
	rtp = w->rw->port[w->streams_n - 1].rtp;
	rtcp = w->rw->port[w->streams_n - 1].rtcp;
	if (rtp != 0 && rtcp != 0 && rtcp != rtp + 1 && !stream_of(w)->mux)
		put_rtcp(w, rtcp);
}

static void
put_media(struct writer *w, struct span value)
{
	struct sdp_media_line m;

	end_section(w);
	w->streams_n++;
	w->rtcp_said = false;
	if (sdp_read_media(value, &m) < 0)
		return; /* not so: it was parsed before */
	put_str(w, "m=");
	put(w, m.kind);
	put_str(w, " ");
	put_number(w, w->rw->port[w->streams_n - 1].rtp);
	put_str(w, " ");
	put(w, m.proto);
	if (m.formats.n > 0)
		put_str(w, " ");
	put_line(w, m.formats);
}

/* a=rtcp of the phone: the port becomes the agent's, the address falls away, for it is that of c=. */
static void
put_phones_rtcp(struct writer *w, struct span attribute)
{
	const struct sdp_stream *s = stream_of(w);
	struct sdp_place place;
	uint16_t was, rtp, rtcp;

	if (s == NULL || w->rtcp_said || sdp_read_rtcp(attribute, &was, &place) < 0)
		return;
	rtp = w->rw->port[w->streams_n - 1].rtp;
	rtcp = w->rw->port[w->streams_n - 1].rtcp;
	if (s->mux && was == s->port)
		rtcp = rtp; /* RFC 8035: "RTCP is where RTP is" */
	if (rtp != 0 && rtcp != 0)
		put_rtcp(w, rtcp);
}

static bool
leads_around(struct span attribute)
{
	static const char *const name[] = { "candidate", "remote-candidates", "end-of-candidates",
		"ice-ufrag", "ice-pwd", "alt", "altc", "ccap", "source-filter" };
	struct span a = span_before(span_before(attribute, ':'), ' ');

	for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++)
		if (span_is(a, name[i]))
			return true;
	return span_starts(a, "ice-");
}

/* Whether `s` has the address at `at` as a whole, not as the middle of a longer one. */
static bool
has_at(struct span s, size_t at, struct span host)
{
	size_t end = at + host.n;

	/* The first byte alone settles nearly all; digits and letters differ in case by 0x20 only. */
	if (((s.p[at] ^ host.p[0]) & ~0x20) != 0)
		return false;
	if (end > s.n || strncasecmp(s.p + at, host.p, host.n) != 0)
		return false;
	if (at > 0 && (isdigit((unsigned char)s.p[at - 1]) || s.p[at - 1] == '.'))
		return false;
	if (end < s.n && isxdigit((unsigned char)s.p[end]))
		return false;
	return end + 1 >= s.n || s.p[end] != '.' || !isdigit((unsigned char)s.p[end + 1]);
}

static size_t
hidden_len_at(const struct writer *w, struct span s, size_t at)
{
	for (size_t i = 0; i < w->hidden_n; i++)
		if (has_at(s, at, w->hidden[i]))
			return w->hidden[i].n;
	return 0;
}

/* Text that means nothing to us goes through, but the phone's address does not. */
static void
put_hiding(struct writer *w, struct span s)
{
	size_t from = 0, at = 0, n;

	while (at < s.n) {
		n = hidden_len_at(w, s, at);
		if (n == 0) {
			at++;
			continue;
		}
		put(w, (struct span){ s.p + from, at - from });
		put_str(w, w->host);
		at += n;
		from = at;
	}
	put(w, (struct span){ s.p + from, s.n - from });
}

static void
put_other(struct writer *w, struct span line)
{
	put_hiding(w, line);
	put_str(w, "\r\n");
}

static void
put_rewritten(struct writer *w, const struct sdp_line *l)
{
	struct sdp_place place;
	struct span head;

	switch (l->type) {
	case 'o':
		if (sdp_read_origin(l->value, &head, &place) < 0)
			return;
		put_str(w, "o=");
		put_hiding(w, head);
		put_place(w, false);
		break;
	case 'c':
		if (sdp_read_place(l->value, &place) < 0)
			return;
		put_str(w, "c=");
		put_place(w, addr_is_any(&place.addr));
		break;
	case 'm':
		put_media(w, l->value);
		break;
	case 'a':
		if (span_starts(l->value, "rtcp:"))
			put_phones_rtcp(w, l->value);
		else if (!leads_around(l->value))
			put_other(w, l->whole);
		break;
	default:
		put_other(w, l->whole);
	}
}

static void
hide(struct writer *w, const struct sdp_place *place)
{
	if (!addr_is_set(&place->addr) || addr_is_any(&place->addr) || w->hidden_n == HOSTS_MAX)
		return;
	for (size_t i = 0; i < w->hidden_n; i++)
		if (w->hidden[i].n == place->host.n &&
		    memcmp(w->hidden[i].p, place->host.p, place->host.n) == 0)
			return;
	w->hidden[w->hidden_n++] = place->host;
}

static void
collect_hidden(struct writer *w, struct span text)
{
	struct sdp_place place;
	struct span head;
	struct sdp_line l;

	while (sdp_cut_line(&text, &l) == 0)
		if ((l.type == 'o' && sdp_read_origin(l.value, &head, &place) == 0) ||
		    (l.type == 'c' && sdp_read_place(l.value, &place) == 0))
			hide(w, &place);
}

int
sdp_rewrite(const char *in, size_t n, const struct sdp_rewrite *rw, struct buf *out)
{
	struct writer w = { .rw = rw, .out = out };
	struct span text = { in, n };
	size_t len = buf_len(out);
	struct sdp sdp;
	struct sdp_line l;
	int err;

	err = sdp_parse(in, n, &sdp);
	if (err < 0)
		return err;
	if (sdp.n != rw->n)
		return ERR_MALFORMED;
	w.sdp = &sdp;
	addr_host(&rw->address, w.host);
	collect_hidden(&w, text);
	while (sdp_cut_line(&text, &l) == 0)
		put_rewritten(&w, &l);
	end_section(&w);
	if (w.full) {
		out->len = len;
		return ERR_FULL;
	}
	return 0;
}
