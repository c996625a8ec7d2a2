#!/bin/sh
# Builds ../wasm/heic.wasm.gz from libde265 and the changes in libde265.patch. It needs Emscripten 3.1.6 and
# Clang 14 (Debian 12: apt-get install emscripten) and Go. The same versions give the same bytes.
set -eu
cd "$(dirname "$0")"
here=$PWD
command -v em++ >/dev/null || { echo "build.sh: no em++ in PATH; install Emscripten 3.1.6" >&2; exit 1; }
sha256sum -c SHA256SUMS
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -xzf libde265-1.1.3.tar.gz -C "$work"
cd "$work/libde265-1.1.3"
patch -s -p1 <"$here/libde265.patch"
cp COPYING "$here/../wasm/LICENSE.libde265"
cat >libde265/de265-version.h <<END
#define LIBDE265_NUMERIC_VERSION 0x01010300
#define LIBDE265_VERSION "1.1.3"
END
# The kernels for SSE become vector instructions of WebAssembly.
flags="-O3 -std=c++17 -msimd128 -msse4.1 -DNDEBUG -DHAVE_SSE4_1=1 -I. -Ilibde265"
for f in alloc_pool bitstream cabac contextmodel de265 deblock decctx dpb fallback-dct fallback-deblk \
	fallback-intrapred fallback-motion fallback image intrapred md5 motion nal-parser nal pps quality refpic sao \
	scan sei slice sps threads transform util vps vui x86/sse x86/sse-dct x86/sse-intrapred x86/sse-deblk \
	x86/sse-motion; do
	echo "libde265/$f.cc"
done | xargs -P "$(nproc)" -I{} sh -c "em++ $flags -c {} -o \$(basename {}).o"
em++ $flags "$here/hevc.cc" ./*.o -o heic.wasm --no-entry -sSTANDALONE_WASM -sEXPORTED_FUNCTIONS=_decode,_malloc \
	-sALLOW_MEMORY_GROWTH -sINITIAL_MEMORY=1MB -sTOTAL_STACK=256KB -sMAXIMUM_MEMORY=4GB
cd "$here/../_generate"
go run . -in "$work/libde265-1.1.3/heic.wasm" -out ../wasm/heic.wasm.gz -export _initialize,malloc,decode
