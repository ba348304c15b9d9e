# SPDX-License-Identifier: GPL-3.0-or-later
dist_man_MANS = docs/hrac.8 docs/hras.8 docs/hrac.conf.5 docs/hras.conf.5
dist_doc_DATA = README.md

# Those that are read in the repository, whatever they are.
dist-hook:
	cp -p $(srcdir)/docs/*.md $(distdir)/docs/
	mkdir -p $(distdir)/docs/plots
	cp -p $(srcdir)/docs/plots/*.svg $(distdir)/docs/plots/
	find $(distdir) -name __pycache__ -prune -exec rm -rf {} +
