/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TEST_SIP_CORPUS_H
#define VOFW_TEST_SIP_CORPUS_H

#include <stddef.h>

/* A file of tests/fuzz/corpus/sip/, newly allocated at its exact size (free); fails the test when
 * it is not there. */
char *sip_corpus(const char *name, size_t *n);

#endif
