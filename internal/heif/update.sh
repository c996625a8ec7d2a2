#!/bin/sh
# Makes the decoders out of the WebAssembly in the Go modules that publish them, and copies their
# licences; `go generate` runs it. The digests that are expected are in SHA256SUMS.
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
# lib/heif.c asks libheif for the Cr plane without a place for the distance of its rows, for which
# libheif returns nothing: the first change gives it one, the unused address 8. The second sets
# convert_hdr_to_8bit to 0, so that samples keep their bits.
(cd _generate && go run . -in "$heic/lib/heif.wasm" -out ../wasm/heic.wasm.gz -patch 66222=0:8,61216=1:0)
put "$avif/LICENSE" wasm/LICENSE.gen2brain
put "$avif/lib/LICENSE.libavif" wasm/LICENSE.libavif
put "$avif/lib/LICENSE.aom" wasm/LICENSE.aom
put "$heic/lib/LICENSE.libheif" wasm/LICENSE.libheif
put "$heic/lib/LICENSE.libde265" wasm/LICENSE.libde265
put "$avif/testdata/test8.avif" testdata/test8.avif
put "$avif/testdata/test10.avif" testdata/test10.avif
put "$heic/testdata/test8.heic" testdata/test8.heic
put "$heic/testdata/test12.heic" testdata/test12.heic
sha256sum -c SHA256SUMS
