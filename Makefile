# What is done with garb beside `go build` and `go test`. CONTRIBUTING.md explains.

SHELL = bash
.SHELLFLAGS = -o pipefail -c

GOLANGCI = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GORELEASER = github.com/goreleaser/goreleaser/v2@v2.15.1
CYCLONEDX = github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
ACTIONLINT = github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
VALE = github.com/vale-cli/vale/v3/cmd/vale@v3.21.0
# Packages where goroutines share memory.
RACE = . ./model ./nn ./picture ./dataset ./augment ./train ./answers ./queue ./store ./serve/... ./cmd/garb
FUZZTIME ?= 30s
# The systems that garb is built for, beside Linux on amd64.
SYSTEMS_TO_CHECK = windows/amd64 darwin/arm64
# For course, lab and screens: the small clothing data set. For model: the folder of all data sets.
data = $(or $(DATA),$(GARB_DATA),$(error name the data set: make $@ DATA=folder))
# Of bench: a regular expression over the names of rows, and turns of each side.
ROWS ?=
ROUNDS ?= 7

.PHONY: check check-rest help build lambda try snapshot release release-tools workflows bench soak fuzz mutate model scenes-settings head seed card course lab generate format vet lint prose prose-help prose-code screens modules generated layout deploy cross test test-purego test-avx2 test-race

check: test check-rest ## everything that a change must pass

# .ci/run has run the tests themselves.
check-rest: format vet lint prose prose-help prose-code modules generated layout deploy test-purego test-avx2 test-race ## make check without make test

help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# One static binary, which knows its commit (garb version) if git does.
build: ## bin/garb, one static binary
	CGO_ENABLED=0 go build -buildvcs=auto -trimpath -ldflags '-s -w' -o bin/garb ./cmd/garb
	@ls -l bin/garb | awk '{ printf "bin/garb: %.1f MB\n", $$5 / 1e6 }'

# A page of static files for any web server; docs/browser.md describes it.
try: ## docs/try, a page that classifies pictures in the browser
	go run ./cmd/garb-wasm/make docs/try

# The tools are not tools of go.mod: their modules would be in it. One that is there in its version stays: go install
# would compile it again where the build cache was trimmed, which takes minutes.
TOOLS ?= $(CURDIR)/bin/tools
release-tools:
	@for tool in $(GORELEASER) $(CYCLONEDX) $(ACTIONLINT); do \
		name=$$(sed -E 's,(/v[0-9]+)?@.*,,; s,.*/,,' <<<"$$tool"); \
		go version -m $(TOOLS)/$$name 2>/dev/null | grep -E "^\s+mod\s.*\s$${tool#*@}\s" >/dev/null || \
			GOBIN=$(TOOLS) GOFLAGS= go install $$tool || exit; \
	done

# Archives an executable file under the name that Lambda starts, without its date: the same bytes each time.
define zip_bootstrap
import sys, zipfile
file = zipfile.ZipInfo("bootstrap")
file.external_attr = 0o755 << 16
file.compress_type = zipfile.ZIP_DEFLATED
with zipfile.ZipFile(sys.argv[1], "w") as archive, open(sys.argv[2], "rb") as program:
    archive.writestr(file, program.read())
endef
export zip_bootstrap

# The archives lie beside the folders, because sam deploy packs everything in a folder.
lambda: ## garb-lambda for AWS Lambda: bin/lambda/ARCH/bootstrap and bin/lambda/ARCH.zip
	for arch in arm64 amd64; do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch go build -tags lambda.norpc -buildvcs=auto -trimpath -ldflags '-s -w' \
			-o bin/lambda/$$arch/bootstrap ./cmd/garb-lambda || exit; \
		python3 -c "$$zip_bootstrap" bin/lambda/$$arch.zip bin/lambda/$$arch/bootstrap || exit; \
	done

snapshot: release-tools ## a release of the last commit in dist/, tried: make snapshot BUILDS=default
	PATH=$(TOOLS):$$PATH .ci/snapshot $(TOOLS)/goreleaser $(BUILDS)
	.ci/try-release

# .goreleaser.yaml lists the variables that it needs.
release: release-tools
	PATH=$(TOOLS):$$PATH goreleaser release --clean

workflows: release-tools ## check the workflows in .github
	$(TOOLS)/actionlint

# garb beside its peers; needs a Python with numpy, onnx, onnxruntime and pillow
# (GARB_PYTHON names it). bench/README.md tells what is measured.
bench: build ## garb beside its peers: make bench ROWS=lite0 ROUNDS=15
	@mkdir -p bin
	go build -o bin/bench ./bench
	bin/bench -rows '$(ROWS)' -rounds $(ROUNDS) -json bin/bench.json

# The service under load for minutes, with faults all the while; docs/operate.md has figures.
soak: build ## the service under load and faults for DURATION (5m)
	go run ./bench/soak -duration $(or $(DURATION),5m)

fuzz: ## every fuzz target for FUZZTIME (30s)
	.ci/fuzz $(FUZZTIME)

# Mutation testing: a sample of changes to each package's source, and which of them its tests
# do not notice (one to thirty minutes a package). Another SEED draws another sample. A change
# may use up memory: ulimit ends it.
MUTATED ?= ./augment ./picture ./evaluate ./weights ./nn ./train ./model . ./answers ./drift ./serve ./serve/access ./serve/connection \
	./serve/engine ./serve/fetch ./serve/origin ./serve/registry ./serve/request ./serve/tensors
mutate: ## mutation testing of the core, with SEED
	ulimit -v 16000000; go run ./internal/mutate -sample 50 -seed $(SEED) -min 75 -short \
		-skip '^Test(Packages|Sources|Binary|Examples)' $(MUTATED)

# The models to build in, from the folder of data sets that MODEL_CARD.md lists: the same
# bytes on every CPU with AVX2 or AVX-512. It takes an hour or two on two cores, and can be
# stopped: give the command again. A network is trained on single garments as people
# photograph them at home, and goes on with garments as they are worn, seen from afar, turned
# or blurred: that is the backbone of both models, whose heads are trained on its features.
SEED ?= 11
HOME_RUN = runs/model/home-seed$(SEED)
SCENES_RUN = runs/model/scenes-seed$(SEED)
GARMENTS_RUN = runs/model/garments-seed$(SEED)
CLOTHING_RUN = runs/model/clothing-seed$(SEED)
MODEL_DATA = runs/model/data
OTHERS = --other $(MODEL_DATA)/other:3 --other $(MODEL_DATA)/empty:0.5 --other runs/model/drawn:0.5 --refusal "not clothing"
HOME_RECIPE = --data $(MODEL_DATA)/full --balance-sampling 0.3 \
	--fine-tune all --optimizer adamw --learning-rate 1e-3 --weight-decay 0.05 --schedule cosine --warm-up 1 \
	--train-size 192 --crop-min 0.35 --crop-aspect 1.33 --horizontal-flip --brightness 0.3 --contrast 0.3 --saturation 0.3 \
	--erasing 0.25 --mixup 0.2 --cutmix 1 --dropout 0.2 --label-smoothing 0.1 --average 0.995 --epochs 16 --acceptance none
SCENES_SETTINGS = --balance-sampling 0.4 --fine-tune all --probe-epochs 1 --optimizer adamw --learning-rate 5e-4 --weight-decay 0.05 \
	--schedule cosine --warm-up 1 --train-size 192 --crop-min 0.5 --crop-aspect 1.33 --horizontal-flip \
	--brightness 0.3 --contrast 0.3 --saturation 0.3 --quarter-turns 0.5 --rotation-range 20 --zoom-out 2.2 \
	--blur-max 2.5 --noise 20 --shrink 48 --dropout 0.1 --label-smoothing 0.1 --average 0.995
SCENES_RECIPE = --data $(MODEL_DATA)/full:1.5 --data $(MODEL_DATA)/worn:1.5 --train-data $(MODEL_DATA)/street:0.35 \
	--train-data $(MODEL_DATA)/named:12 $(OTHERS) \
	--background $(MODEL_DATA)/other/train --masks $(MODEL_DATA)/worn-masks --background-share 0.3 \
	$(SCENES_SETTINGS) --epochs 14
HEAD_RECIPE = --data $(MODEL_DATA)/full --data $(MODEL_DATA)/worn --train-data $(MODEL_DATA)/street:0.7 \
	--train-data $(MODEL_DATA)/named:8 $(subst drawn:0.5,drawn-more:0.5,$(OTHERS)) \
	--optimizer adamw --learning-rate 3e-4 --schedule cosine --label-smoothing 0.1
TEN = --merge blouse=shirt,blazer=outwear --classes dress,hat,longsleeve,outwear,pants,shirt,shoes,shorts,skirt,t-shirt

# A run in a folder by a recipe: begun, resumed, or done before.
trained = if [ -f $(1)/report.html ]; then echo "$(1) is done"; \
	elif [ -f $(1)/state.safetensors ]; then bin/garb train --resume $(1); \
	else bin/garb train $(2) --seed $(SEED) --out $(1); fi

model: build ## the built-in models, an hour or two: make model DATA=folder; then make head
	go run ./docs/_make/modeldata $(data) $(MODEL_DATA)
	@[ -d runs/model/drawn ] || go run ./internal/drawn/make --seed 1 --count 400 runs/model/drawn
	@[ -d runs/model/drawn-more ] || go run ./internal/drawn/make --seed 2 --count 1600 runs/model/drawn-more
	@$(call trained,$(HOME_RUN),$(HOME_RECIPE))
	@$(call trained,$(SCENES_RUN),--backbone $(HOME_RUN) $(SCENES_RECIPE))
	@$(call trained,$(GARMENTS_RUN),--backbone $(SCENES_RUN) $(HEAD_RECIPE) --epochs 20)
	bin/garb convert --force --dtype int8 $(GARMENTS_RUN) model/garments.safetensors
	@echo "write the digest above to garmentsDigest in model/builtin.go, then: make head"

# How the second network is trained, without its data, for .ci/run.
scenes-settings: ## print the settings of the second network
	@echo '$(SCENES_SETTINGS)'

# The head of clothing, on the garments that are built in.
head: build ## the head of clothing, on the built-in garments
	@$(call trained,$(CLOTHING_RUN),--backbone garments $(HEAD_RECIPE) $(TEN) --epochs 20)
	bin/garb convert --force --dtype float16 $(CLOTHING_RUN) model/clothing.safetensors

# The whole recipe with another seed, for the spread between seeds: make seed SEED=12.
seed: build ## the whole recipe with another seed: make seed SEED=12
	@$(call trained,$(HOME_RUN),$(HOME_RECIPE))
	@$(call trained,$(SCENES_RUN),--backbone $(HOME_RUN) $(SCENES_RECIPE))
	@$(call trained,$(GARMENTS_RUN),--backbone $(SCENES_RUN) $(HEAD_RECIPE) --epochs 20)
	bin/garb convert --force --dtype int8 $(GARMENTS_RUN) $(GARMENTS_RUN)/garments.safetensors
	@$(call trained,$(CLOTHING_RUN),--backbone $(GARMENTS_RUN)/garments.safetensors $(HEAD_RECIPE) $(TEN) --epochs 20)

# MODEL_CARD.md, from what the built-in models do on what is set aside, and those of make seed.
card: ## measure the figures of MODEL_CARD.md
	go run ./docs/_make/card $(MODEL_DATA) --seeds clothing,runs/model/clothing-seed12,runs/model/clothing-seed13

# docs/course.md, from the runs that it tells of: hours from nothing, seconds once
# runs/course has them.
course: build ## docs/course.md: make course DATA=folder FULL=folder
	go run ./docs/_make/course $(data) $(or $(FULL),$(error name the full data set, too: make $@ FULL=folder))

# docs/lab: what its pages' commands print and draw. Ten minutes from nothing, seconds once
# runs/lab has it.
lab: build ## the output in docs/lab: make lab DATA=folder
	go run ./docs/lab $(data)

# The screenshots in README.md.
screens: build ## docs/page.png and docs/report.png: make screens DATA=folder
	go run ./docs/_make/screens $(data)

# Assembly and tables that programs write.
generate: ## assembly and tables that programs write
	go generate ./...

format: ## check the formatting
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "run gofmt on:" $$unformatted; exit 1; fi

# ./... leaves folders out that begin with an underscore.
UNDERSCORED = ./docs/_make ./docs/_make/card ./docs/_make/course ./docs/_make/modeldata ./docs/_make/scale ./docs/_make/screens ./examples/_make

vet: ## go vet, also of folders that ./... leaves out and with purego
	go vet ./...
	go vet $(UNDERSCORED)
	go vet -tags purego ./...

lint: ## golangci-lint, as .golangci.yml says
	go run $(GOLANGCI) run ./... $(UNDERSCORED)

# The documentation's spelling, terms and sentences, by the rules in styles/garb.
prose: ## check the prose of the documentation
	git ls-files -z '*.md' | xargs -0r go run $(VALE)

prose-help: build ## check the prose of the help texts
	styles/help bin/garb >bin/help.md
	go run $(VALE) bin/help.md

prose-code: ## check the phrases and terms in the code's comments
	git ls-files -z '*.go' | xargs -0r go run $(VALE)

# go.mod names what the code imports, and no more.
modules: ## check that go.mod names what the code imports
	go mod tidy -diff

# What programs wrote is what they write now.
generated: ## check that generated files are current
	@sums() { { grep -rlZ --include='*.go' --include='*.s' --exclude-dir=.git '^// Code generated' . | sort -z; printf 'internal/kernel/simd128.wasm\0'; } | xargs -0r sha256sum; }; \
	before=$$(sums); $(MAKE) --no-print-directory generate && after=$$(sums) && \
	if [ "$$before" != "$$after" ]; then echo "generated files were stale; commit what make generate wrote"; exit 1; fi

# The tests are compiled, too, but not linked or run. -trimpath shares what is compiled with the release.
cross: export GOFLAGS += -trimpath
cross: ## build and vet garb and its tests for other systems
	@for s in $(SYSTEMS_TO_CHECK); do echo "$$s"; \
	GOOS=$${s%/*} GOARCH=$${s#*/} CGO_ENABLED=0 go vet ./... && \
	GOOS=$${s%/*} GOARCH=$${s#*/} CGO_ENABLED=0 go build -o /dev/null ./cmd/garb || exit 1; done
	@echo js/wasm; GOOS=js GOARCH=wasm go vet -tags small,simd128 ./cmd/garb-wasm ./internal/kernel

# The layout, the sources' hygiene and the binary's form; the binary is built
# anew, which the test cache cannot see.
layout: ## check the packages' imports, the sources and the binary
	go test -count=1 -run '^Test(Packages|Sources|Binary)' .

# A module of its own, with the types of Kubernetes and the parser of Prometheus.
deploy: ## check the manifests, the dashboard and the alert rules
	cd deploy/_check && go mod tidy -diff && go vet . && go test -count=1 .

test: ## all tests
	go test ./...
	go test ./docs/_make/modeldata

# The portable kernels take twenty times as long: these are the packages whose results depend on them.
PORTABLE = . ./accept ./augment ./backbone ./convert ./evaluate ./explain ./features ./internal/... ./model ./nn \
	./onnx ./picture ./tensor ./tflite ./torch ./train ./weights
test-purego: ## tests without assembly (slow)
	go test -timeout 40m -tags purego $(PORTABLE)

# The kernels' own tests run every level; these are answers at one that is not the
# best here.
test-avx2: ## answers at a kernel level that is not the best here
	GARB_CPU=avx2 go test -timeout 40m -count=1 . ./model ./nn
	GARB_CPU=generic go test -timeout 40m -count=1 ./internal/jpeg ./internal/inflate ./internal/png ./internal/vp8 ./internal/vp8l ./internal/webp ./picture

test-race: ## tests with the race detector
	go test -timeout 40m -race -short $(RACE)
