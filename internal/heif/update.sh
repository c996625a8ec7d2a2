#!/bin/sh
# Makes the AVIF decoder out of the WebAssembly in the Go module that publishes it, and copies its licences
# and the modules' pictures; `go generate` runs it. _libde265/build.sh makes the HEIC decoder. The digests that
# are expected are in SHA256SUMS.
set -eu
cd "$(dirname "$0")"
folder() { go mod download -json "$1" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p'; }
avif=$(folder github.com/gen2brain/avif@v0.6.0)
heic=$(folder github.com/gen2brain/heic@v0.5.0)
put() { cp "$1" "$2" && chmod 644 "$2"; }
mkdir -p wasm
# The encoder, libaom, is left out.
(cd _generate && go run . -in "$avif/lib/avif.wasm" -out ../wasm/avif.wasm.gz \
	-export _initialize,malloc,avifDecoderCreate,avifDecoderSetIOMemory,avifDecoderParse,avifDecoderNextImage,avifResultToString \
	-drop avifCodecVersionAOM..avifFindAOMScalingMode,aom_codec_version..av1_haar_ac_sad_mxn_uint8_input)
put "$avif/LICENSE" wasm/LICENSE.gen2brain
put "$avif/lib/LICENSE.libavif" wasm/LICENSE.libavif
put "$avif/lib/LICENSE.aom" wasm/LICENSE.aom
put "$avif/testdata/test8.avif" testdata/test8.avif
put "$avif/testdata/test10.avif" testdata/test10.avif
put "$heic/testdata/test8.heic" testdata/test8.heic
put "$heic/testdata/test12.heic" testdata/test12.heic
sha256sum -c SHA256SUMS
