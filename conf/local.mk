# SPDX-License-Identifier: GPL-3.0-or-later
config_files = conf/hrac.conf conf/hras.conf
unit_files = conf/vofw-hrac.service conf/vofw-hras.service

examplesdir = $(docdir)/examples
dist_examples_DATA = $(config_files) conf/examples/haproxy.cfg conf/examples/nginx.conf

EXTRA_DIST += conf/vofw-hrac.service.in conf/vofw-hras.service.in conf/vofw.sysusers
CLEANFILES += $(unit_files)

if SYSTEMD
systemdsystemunit_DATA = $(unit_files)
endif

# The directories of this configuration are known to make only.
$(unit_files): %: %.in Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(SED) -e 's|@sbindir[@]|$(sbindir)|g' \
		-e 's|@sysconfdir[@]|$(sysconfdir)|g' $(srcdir)/$@.in >$@.tmp && mv $@.tmp $@

# What an operator wrote is never overwritten, and removed only if he changed nothing. The user that
# the units run as is made at once when this is an installation into the running system.
install-data-hook:
	$(MKDIR_P) $(DESTDIR)$(sysconfdir)/vofw
	for f in $(config_files); do \
		to=$(DESTDIR)$(sysconfdir)/vofw/$${f#conf/}; \
		test -e "$$to" || $(INSTALL) -m 640 $(srcdir)/$$f "$$to" || exit 1; \
	done
if SYSTEMD
	$(MKDIR_P) $(DESTDIR)$(prefix)/lib/sysusers.d
	$(INSTALL_DATA) $(srcdir)/conf/vofw.sysusers $(DESTDIR)$(prefix)/lib/sysusers.d/vofw.conf
	case '$(DESTDIR)$(prefix)' in /usr|/usr/local) \
		test ! -d /run/systemd/system || test `id -u` != 0 || \
		{ systemd-sysusers $(prefix)/lib/sysusers.d/vofw.conf && \
		chgrp vofw $(sysconfdir)/vofw/*.conf && systemctl daemon-reload; };; \
	esac
endif

uninstall-hook:
	for f in $(config_files); do \
		to=$(DESTDIR)$(sysconfdir)/vofw/$${f#conf/}; \
		if cmp -s $(srcdir)/$$f "$$to"; then rm -f "$$to"; fi; \
	done
	rm -f $(DESTDIR)$(prefix)/lib/sysusers.d/vofw.conf
	-rmdir $(DESTDIR)$(sysconfdir)/vofw 2>/dev/null
