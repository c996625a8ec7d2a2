# What is done with garb beside `go build` and `go test`. CONTRIBUTING.md explains.

SHELL = bash
.SHELLFLAGS = -o pipefail -c

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
# Packages where goroutines share memory.
RACE = . ./nn ./picture ./dataset ./augment ./train ./serve ./cmd/garb
FUZZTIME ?= 30s
# Of model, course and lab: the small clothing data set.
data = $(or $(DATA),$(GARB_DATA),$(error name the data set: make $@ DATA=folder))
# Of bench: a regular expression over the names of rows, and turns of each side.
ROWS ?=
ROUNDS ?= 7

.PHONY: check build bench soak fuzz model course lab generate format vet staticcheck modules generated layout test test-purego test-avx2 test-race

check: format vet staticcheck modules generated layout test test-purego test-avx2 test-race

# One static binary, which knows its commit (garb version) if git does.
build:
	CGO_ENABLED=0 go build -buildvcs=auto -trimpath -ldflags '-s -w' -o bin/garb ./cmd/garb
	@ls -l bin/garb | awk '{ printf "bin/garb: %.1f MB\n", $$5 / 1e6 }'

# garb beside its peers; needs a Python with numpy, onnx, onnxruntime and pillow
# (GARB_PYTHON names it). bench/README.md tells what is measured.
bench: build
	@mkdir -p bin
	go build -o bin/bench ./bench
	bin/bench -rows '$(ROWS)' -rounds $(ROUNDS) -json bin/bench.json

# The service under load for minutes, with faults all the while; docs/operate.md has figures.
soak: build
	go run ./bench/soak -duration $(or $(DURATION),5m)

# Every fuzz target in turn, each for FUZZTIME.
fuzz:
	@go test -run '^$$' -list '^Fuzz' ./... | \
	awk '/^Fuzz/ { names = names " " $$1 } /^ok/ { count = split(names, n); for (i = 1; i <= count; i++) print $$2, n[i]; names = "" }' | \
	while read -r package name; do \
		echo "$$package $$name"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
	done

# The classifier that is built in, from the data set: the same bytes on every CPU with AVX2
# or AVX-512. It takes ten minutes or twenty on two cores, and can be stopped: give the
# command again. MODEL_CARD.md tells what the seeds 11, 12 and 13 come to.
RECIPE = --fine-tune all --optimizer adamw --learning-rate 1e-3 --weight-decay 0.05 --schedule cosine --warm-up 1 \
	--crop-min 0.35 --crop-aspect 1.33 --horizontal-flip --brightness 0.3 --contrast 0.3 --saturation 0.3 \
	--erasing 0.25 --mixup 0.2 --cutmix 1 --dropout 0.2 --label-smoothing 0.1 --average 0.995 --epochs 20
SEED ?= 11
MODEL_RUN = runs/model/clothing-seed$(SEED)

model: build
	@if [ -f $(MODEL_RUN)/report.html ]; then echo "$(MODEL_RUN) is done"; \
	elif [ -f $(MODEL_RUN)/state.safetensors ]; then bin/garb train --resume $(MODEL_RUN); \
	else bin/garb train --data $(data) $(RECIPE) --seed $(SEED) --out $(MODEL_RUN); fi
	bin/garb convert --force --dtype int8 $(MODEL_RUN) $(MODEL_RUN)/model.safetensors
	@echo "to build it in: cp $(MODEL_RUN)/model.safetensors clothing.safetensors"

# docs/course.md, from the runs that it tells of: hours from nothing, seconds once
# runs/course has them.
course: build
	go run ./docs/_make/course $(data) $(or $(FULL),$(error name the full data set, too: make $@ FULL=folder))

# docs/lab: what its pages' commands print and draw. Ten minutes from nothing, seconds once
# runs/lab has it.
lab: build
	go run ./docs/lab $(data)

# Assembly and tables that programs write.
generate:
	go generate ./...

format:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "run gofmt on:" $$unformatted; exit 1; fi

# ./... leaves folders out that begin with an underscore.
UNDERSCORED = ./docs/_make ./docs/_make/course ./docs/_make/modeldata ./examples/_make

vet:
	go vet ./...
	go vet $(UNDERSCORED)
	go vet -tags purego ./...

staticcheck:
	go run $(STATICCHECK) ./...

# go.mod names what the code imports, and no more.
modules:
	go mod tidy -diff

# What programs wrote is what they write now.
generated:
	@sums() { grep -rlZ --include='*.go' --include='*.s' --exclude-dir=.git '^// Code generated' . | sort -z | xargs -0r sha256sum; }; \
	before=$$(sums); $(MAKE) --no-print-directory generate && after=$$(sums) && \
	if [ "$$before" != "$$after" ]; then echo "generated files were stale; commit what make generate wrote"; exit 1; fi

# The layout, the sources' hygiene and the binary's form; the binary is built
# anew, which the test cache cannot see.
layout:
	go test -count=1 -run '^Test(Packages|Sources|Binary)' .

test:
	go test ./...
	go test ./docs/_make/modeldata

# The portable kernels take twenty times as long.
test-purego:
	go test -timeout 40m -tags purego ./...

# The kernels' own tests run every level; these are answers at one that is not the
# best here.
test-avx2:
	GARB_CPU=avx2 go test -timeout 40m -count=1 . ./nn ./cmd/garb
	GARB_CPU=generic go test -timeout 40m -count=1 ./internal/jpeg ./picture

test-race:
	go test -timeout 40m -race -short $(RACE)
