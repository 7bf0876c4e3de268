# `make help` lists what can be done here.
SHELL := /bin/sh
.DELETE_ON_ERROR:
# What is installed comes before what needs it.
.NOTPARALLEL:

# Every cargo command takes the whole workspace and its tests, so that dependencies are built once, with the same features.
export CARGO_TERM_COLOR ?= auto
# Servers that tests start refuse a locale that the machine does not have.
export LC_ALL := C.UTF-8
CARGO ?= cargo
# All that is built of Go is built alike, so that what it has in common is compiled once.
export GOFLAGS += -trimpath
TOOLS := target/tools
CARGO_DENY := $(TOOLS)/bin/cargo-deny
CARGO_CYCLONEDX := $(TOOLS)/bin/cargo-cyclonedx
ACTIONLINT := $(TOOLS)/bin/actionlint
CARGO_FUZZ := $(TOOLS)/bin/cargo-fuzz
KUSTOMIZE := $(TOOLS)/bin/kustomize
HELM := $(TOOLS)/bin/helm
HELM_DOCS := $(TOOLS)/bin/helm-docs
PROMTOOL := $(TOOLS)/bin/promtool
TOXIPROXY := $(TOOLS)/bin/toxiproxy
MONITORING := $(TOOLS)/monitoring-crds/v0.85.0
VIRTIOFSD := $(TOOLS)/bin/virtiofsd
PYMONGO := $(TOOLS)/pymongo/4.10.1
MONGOSH := $(TOOLS)/mongosh/node_modules/.bin/mongosh

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: tools-demo control-plane ## The main job, on an embedded control plane: one Certificate, one Secret, one VM
	@echo 'building the issuer, tandem-vm and the demo (the first build takes some minutes)'
	@$(CARGO) build --locked --workspace --all-targets
	@exec target/debug/demo

# Those that need no cluster. They and end-to-end tests wait as well as work: two of them for each processor keep it busy.
QUICK := --lib --bins --test core --test offline --test vm
AT_ONCE := $(shell echo $$((2 * $$(nproc))))
.PHONY: test
test: tools lint release go-tests guest-tools $(KUSTOMIZE) $(TOXIPROXY) $(HELM) $(HELM_DOCS) $(PROMTOOL) $(MONITORING) $(ACTIONLINT) ## All tests, with what they need installed
	shellcheck --external-sources tests/*.sh tests/guest/*.sh tests/planted/run.sh deploy/*.sh release/*.sh .ci/run
	$(ACTIONLINT)
	$(MAKE) -C tests/control-plane smoke OUT=$(CURDIR)/target/control-plane
	TANDEM_REQUIRE_TOOLS=1 RUST_TEST_THREADS=$(AT_ONCE) $(CARGO) test --locked --workspace $(QUICK)
	TANDEM_REQUIRE_TOOLS=1 RUST_TEST_THREADS=$(AT_ONCE) $(CARGO) test --locked --workspace --test e2e
	TANDEM_REQUIRE_TOOLS=1 $(CARGO) test --locked --workspace --test guests
	@$(MAKE) --no-print-directory demo

# Programs for one more processor take another seven minutes to build; `make test ARCHES='amd64 arm64'` has them tested as well.
test: export ARCHES := amd64

.PHONY: test-image
test-image: export ARCHES := amd64 arm64
test-image: tools release go-tests ## The tests of what is released, for both architectures, and a second build that gives the same bytes
	TANDEM_REQUIRE_TOOLS=1 $(CARGO) test --locked --workspace --test e2e -- image:: release::
	@$(MAKE) --no-print-directory image-check

.PHONY: check
check: lint ## The quick part: format, lints, docs, unit and property tests; no cluster
	$(CARGO) test --locked --workspace $(QUICK)

.PHONY: lint
lint: cargo ## Format, lints and docs alone
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps --document-private-items
	tests/planted/run.sh --check

.PHONY: planted
planted: tools go-tests ## Plant the faults of tests/planted one after the other, and see each test go red (hours); PLANTED='NAME…' for some
	@tests/planted/run.sh $(PLANTED)

.PHONY: conformance
conformance: go-tests ## cert-manager's own conformance suites alone; `make test` runs them as well
	$(CARGO) test --locked --workspace --test e2e conformance::

.PHONY: guests
guests: tools go-tests ## Real guests under QEMU alone (some 15 minutes); `make test` runs them as well; TANDEM_KVM=1 for /dev/kvm
	TANDEM_REQUIRE_TOOLS=1 $(CARGO) test --locked --workspace --test guests

.PHONY: deny
deny: $(CARGO_DENY) ## Licences, sources and banned crates of all dependencies
	$(CARGO_DENY) --locked check bans licenses sources

.PHONY: advisories
advisories: $(CARGO_DENY) ## Known faults of all dependencies; asks the network, and so is no test
	$(CARGO_DENY) --locked check advisories

# Static programs and the image that is made of them, for arm64 as well where its compiler is; ARCHES=amd64 for that alone.
# TARGET is where cargo puts what it builds.
ARCHES ?= amd64 $(shell command -v aarch64-linux-gnu-gcc >/dev/null && echo arm64)
TARGET ?= $(CURDIR)/target
IMAGE := $(TARGET)/image/tandem-issuer.oci.tar
.PHONY: binaries image image-check
binaries: cargo tools-image
	@for arch in $(ARCHES); do release/binaries.sh $$arch $(TARGET) || exit 1; done
image: binaries ## The container image as an OCI archive, target/image/tandem-issuer.oci.tar
	@release/image.sh $(IMAGE) $(TARGET) $(ARCHES)
image-check: $(if $(COMPARE),cargo tools-image,image) ## Build the image again from nothing, elsewhere, and compare the bytes; or with those of COMPARE=FILE
	@release/check.sh $(or $(COMPARE),$(IMAGE)) $(TARGET)/image-check $(ARCHES)

.PHONY: release
release: image deny $(CARGO_CYCLONEDX) $(HELM) ## What is published, in target/release-artifacts: image, programs, chart, SBOMs, checksums
	@tests/tools.sh jq:jq
	@release/artifacts.sh $(TARGET)/release-artifacts $(IMAGE) $(TARGET) $(CURDIR)/$(TOOLS)/bin $(ARCHES)

.PHONY: cluster
cluster: tools-demo control-plane $(HELM) ## Leave a control plane running for work by hand; Ctrl-C stops it
	@echo 'building the issuer and what runs it (the first build takes some minutes)'
	@$(CARGO) build --locked --workspace --all-targets
	@exec target/debug/cluster

.PHONY: crds
crds: cargo ## Write the CRDs from the Rust types into the chart
	@$(CARGO) run --quiet --locked -p tandem-issuer -- crds > target/crds.yaml
	@mv target/crds.yaml charts/tandem-issuer/files/crds.yaml
	@$(MAKE) --no-print-directory chart

.PHONY: chart
chart: $(HELM) $(HELM_DOCS) ## Write what is made of the chart: deploy/tandem-issuer.yaml and docs/chart.md, both below OUT=.
	@mkdir -p $(OUT)/deploy $(OUT)/docs target
	@HELM=$(HELM) deploy/render.sh > target/chart.part && mv target/chart.part $(OUT)/deploy/tandem-issuer.yaml
	@$(HELM_DOCS) --chart-search-root charts --template-files docs.md.gotmpl --sort-values-order file --log-level warning \
	    --dry-run > target/chart.part && mv target/chart.part $(OUT)/docs/chart.md
chart: OUT ?= .

.PHONY: facts
facts: cargo ## Write into docs/facts.md which tests show which fact
	@$(CARGO) build --quiet --locked --workspace --all-targets
	@exec target/debug/facts

.PHONY: measure
measure: control-plane ## Time to the first certificate and idle memory of the issuer
	@$(CARGO) build --locked --release --workspace
	@exec target/release/measure

.PHONY: bench
# What is measured is the program that is released.
bench: control-plane ## What a certificate costs, beside cert-manager's CA issuer and the ceiling; BENCH=--help for less
	@$(MAKE) --no-print-directory binaries ARCHES=amd64
	@$(CARGO) build --locked --release --workspace
	@target/release/bench --issuer $(TARGET)/x86_64-unknown-linux-musl/release/tandem-issuer $(BENCH)
	@$(MAKE) --no-print-directory bench-core

.PHONY: bench-core
bench-core: cargo ## The core alone: parse, decide, sign and issue, beside raw signing
	$(CARGO) bench --locked --workspace --bench core

.PHONY: bench-render
bench-render: $(HELM) ## What rendering one VM and a thousand costs, beside `helm template` on a chart of the same objects
	HELM=$(CURDIR)/$(HELM) $(CARGO) bench --locked --workspace --bench render

# The core is safe Rust: what is looked for are panics, for which no sanitizer is needed, and so no nightly Rust. The
# targets are built with the versions of the workspace's own lock file.
FUZZ_SECONDS ?= 300
FUZZ_TARGETS ?= request decision secret
.PHONY: fuzz
fuzz: $(CARGO_FUZZ) ## Look for bytes that the core panics on, FUZZ_SECONDS=300 for each of FUZZ_TARGETS
	@cp Cargo.lock issuer/core/fuzz/Cargo.lock
	@for target in $(FUZZ_TARGETS); do \
	    mkdir -p target/fuzz/$$target && \
	    $(CARGO_FUZZ) fuzz run --fuzz-dir issuer/core/fuzz --target-dir target/fuzz/build --sanitizer none $$target \
	        $(CURDIR)/target/fuzz/$$target $(CURDIR)/issuer/core/fuzz/corpus/$$target -- \
	        -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -artifact_prefix=$(CURDIR)/target/fuzz/$$target- || exit 1; \
	done

.PHONY: control-plane
control-plane: cargo
	@$(MAKE) --no-print-directory -C tests/control-plane OUT=$(CURDIR)/target/control-plane

# What tests run that is written in Go; they would build it themselves, but without a word.
.PHONY: go-tests
go-tests: control-plane
	@$(MAKE) --no-print-directory -C tests/judges OUT=$(CURDIR)/target/judges
	@$(MAKE) --no-print-directory -C tests/telemetry OUT=$(CURDIR)/target/telemetry
	@$(MAKE) --no-print-directory -C tests/conformance OUT=$(CURDIR)/target/conformance

# What real guests are made of, beside packages; the last line says where the image is.
.PHONY: guest-tools
guest-tools: $(VIRTIOFSD) $(PYMONGO)
	@tests/guest/image.sh target/guests

# What `make test` and `make demo` need besides Rust, Go and make; installed as root, else named in one line.
.PHONY: tools tools-image tools-demo
tools:
	@tests/tools.sh cc:gcc /usr/include/stdlib.h:libc6-dev openssl:openssl xorrisofs:xorriso shellcheck:shellcheck cloud-init:cloud-init \
	    mkfs.xfs:xfsprogs blkid:util-linux systemd-analyze:systemd \
	    redis-server:redis-server nginx:nginx pg_lsclusters:postgresql busybox:busybox pgrep:procps npm:npm faketime:faketime
	@tests/tools.sh mmdebstrap:mmdebstrap mkfs.ext4:e2fsprogs qemu-system-x86_64:qemu-system-x86 psql:postgresql-client \
	    pkg-config:pkg-config /usr/include/cap-ng.h:libcap-ng-dev /usr/include/seccomp.h:libseccomp-dev \
	    python3:python3 '/usr/lib/python3*/ensurepip:python3-venv'
	@$(MAKE) --no-print-directory tools-image $(MONGOSH)
	@tests/tools.sh bwrap:bubblewrap skopeo:skopeo setpriv:util-linux readelf:binutils
	@case ' $(ARCHES) ' in *' arm64 '*) tests/tools.sh qemu-aarch64-static:qemu-user-static ;; esac
tools-image:
	@tests/tools.sh cc:gcc /usr/include/stdlib.h:libc6-dev musl-gcc:musl-tools buildah:buildah
	@case ' $(ARCHES) ' in *' arm64 '*) tests/tools.sh aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu \
	    /usr/aarch64-linux-gnu/include/stdlib.h:libc6-dev-arm64-cross ;; esac
tools-demo:
	@tests/tools.sh cc:gcc /usr/include/stdlib.h:libc6-dev xorrisofs:xorriso

.PHONY: cargo
cargo:
	@command -v $(CARGO) >/dev/null || { echo 'Rust is missing: install it from https://rustup.rs' >&2; exit 1; }

# MongoDB's own shell, which runs what a guest's replica set is initiated with. It wants a Node.js newer than Debian 12's:
# npm installs one beside it, which its folder in PATH puts before the machine's. Debian 12's npm makes no link to it there.
$(MONGOSH): tests/mongosh/package.json tests/mongosh/package-lock.json
	@echo 'installing mongosh (half a minute, once)'
	@rm -rf $(TOOLS)/mongosh && mkdir -p $(TOOLS)/mongosh && cp $^ $(TOOLS)/mongosh
	@npm ci --prefix $(TOOLS)/mongosh --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	@cd $(TOOLS)/mongosh/node_modules && ln -sf "../$$(echo node-linux-*/bin/node)" .bin/node
	@PATH="$(CURDIR)/$(@D):$$PATH" $@ --version >/dev/null 2>&1 || { \
	    echo 'mongosh does not run: it needs Node.js 20, which npm has for x64 and arm64; elsewhere put one into PATH' >&2; exit 1; }
	@touch $@

$(CARGO_DENY): | cargo
	@echo 'building cargo-deny (some minutes, once)'
	@$(CARGO) install --quiet --debug --locked --version 0.20.2 --root $(TOOLS) --target-dir $(TOOLS)/build cargo-deny

$(CARGO_CYCLONEDX): | cargo
	@echo 'building cargo-cyclonedx (a minute or two, once)'
	@$(CARGO) install --quiet --debug --locked --version 0.5.9 --root $(TOOLS) --target-dir $(TOOLS)/build cargo-cyclonedx

# Reads the workflows of the forge as the forge does.
$(ACTIONLINT): | cargo
	@echo 'building actionlint (half a minute, once)'
	@GOBIN=$(CURDIR)/$(TOOLS)/bin go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

# Runs tandem-vm as a KRM function, in tests.
.PHONY: kustomize
kustomize: $(KUSTOMIZE)
$(KUSTOMIZE):
	@echo 'building kustomize (a minute or two, once)'
	@GOBIN=$(CURDIR)/$(TOOLS)/bin go install sigs.k8s.io/kustomize/kustomize/v5@v5.8.1

# Harms the connections between issuer and API server, in tests. The command is called `server` by its makers.
$(TOXIPROXY):
	@echo 'building toxiproxy (a minute, once)'
	@mkdir -p $(@D) && folder=$$(mktemp -d) && \
	    GOBIN=$$folder go install github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0 && \
	    mv $$folder/server $@ && rmdir $$folder

$(CARGO_FUZZ): | cargo
	@echo 'building cargo-fuzz (some minutes, once)'
	@$(CARGO) install --quiet --locked --version 0.13.1 --root $(TOOLS) --target-dir $(TOOLS)/build cargo-fuzz

$(HELM): | cargo
	@echo 'building helm (some minutes, once)'
	@cd /tmp && GOBIN=$(CURDIR)/$(TOOLS)/bin go install helm.sh/helm/v4/cmd/helm@v4.3.1

$(HELM_DOCS):
	@echo 'building helm-docs (half a minute, once)'
	@cd /tmp && GOBIN=$(CURDIR)/$(TOOLS)/bin go install github.com/norwoodj/helm-docs/cmd/helm-docs@v1.14.2

# Prometheus' own judge of the chart's alerts, without what finds targets in clouds.
.PHONY: promtool
promtool: $(PROMTOOL)
$(PROMTOOL):
	@echo 'building promtool (some minutes, once)'
	@cd /tmp && GOBIN=$(CURDIR)/$(TOOLS)/bin go install -tags remove_all_sd github.com/prometheus/prometheus/cmd/promtool@v0.316.0

# The Prometheus operator's kinds, which tests install to have what the chart renders checked.
.PHONY: monitoring-crds
monitoring-crds: $(MONITORING)
$(MONITORING):
	@echo 'fetching the CRDs of the Prometheus operator (once)'
	@rm -rf $(@D) && mkdir -p $(@D)
	@folder=$$(cd /tmp && go mod download -json github.com/prometheus-operator/prometheus-operator@$(@F) | sed -n 's/^\t"Dir": "\(.*\)",*$$/\1/p') && \
	    cp -r "$$folder/example/prometheus-operator-crd" $@ && chmod -R u+w $@

# It serves guests the few files of a Secret: quick to build is better than quick.
$(VIRTIOFSD): | cargo
	@echo 'building virtiofsd (a minute or two, once)'
	@$(CARGO) install --quiet --debug --locked --version 1.13.2 --root $(TOOLS) --target-dir $(TOOLS)/build virtiofsd

$(PYMONGO):
	@echo 'installing pymongo $(@F)'
	@python3 -m venv --clear $(@D)
	@$(@D)/bin/pip install --quiet --disable-pip-version-check pymongo==$(@F)
	@touch $@
