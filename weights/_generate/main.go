// Command main packs a file of float16 values for package weights: the second bytes of all
// 16-bit words, which hold signs and exponents and so compress well, before the first,
// which do not, and all of it as gzip. packed.go unpacks it.
//
//	go run main.go FILE.safetensors OUT
package main

import (
	"compress/gzip"
	"log"
	"os"
)

func main() {
	data, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	out, err := os.Create(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	w, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		log.Fatal(err)
	}
	half := len(data) / 2
	parted := make([]byte, len(data)) // of an odd number the last stays where it is
	parted[len(data)-1] = data[len(data)-1]
	for i := range half {
		parted[i], parted[half+i] = data[2*i+1], data[2*i]
	}
	if _, err := w.Write(parted); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	if err := out.Close(); err != nil {
		log.Fatal(err)
	}
}
