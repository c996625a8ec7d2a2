package main

import (
	"fmt"
	"strconv"

	"garb/picture"
)

// memory is the memory of a function, in MiB. Lambda gives a function its share of the cores by it.
type memory int

// memoryVariable has the memory of the function.
const memoryVariable = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"

// smallestMemory is the smallest that Lambda offers.
const smallestMemory memory = 128

// parseMemory parses the value of memoryVariable. It is the smallest where Lambda does not say.
func parseMemory(text string) (memory, error) {
	if text == "" {
		return smallestMemory, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || memory(n) < smallestMemory || n > 1<<20 {
		return 0, &settingError{memoryVariable,
			fmt.Errorf("%q: it must be the function's memory in MB, at least %d", text, smallestMemory)}
	}
	return memory(n), nil
}

const mebibyte = 1 << 20

// programMemory is what the program takes beside its heap: its code, the built-in weights and stacks, in MiB.
const programMemory = 40

// limitHeap returns the limit of Go's memory in bytes, at which it collects garbage more often.
func (m memory) limitHeap() int64 { return int64(m-programMemory) * mebibyte }

// coreMemory is the memory for which a function has one core: "Configuring memory" in Lambda's
// documentation.
const coreMemory = 1769

// countThreads returns the number of threads that compute a picture. A thread that waits for another spins,
// which would waste a share of a core.
func (m memory) countThreads(cores int) int { return max(1, min(int(m)/coreMemory, cores)) }

// limitPictures returns the limits of a picture that fits into the memory.
func (m memory) limitPictures() picture.Limits {
	l := picture.DefaultLimits()
	spare := int64(m-modelMemory) * mebibyte
	l.MaxDecodedPixels = int(min(int64(l.MaxDecodedPixels), spare/pixelBytes))
	l.MaxBytes = min(l.MaxBytes, spare/4)
	return l
}

const (
	// modelMemory is what the function takes with the built-in model and a small picture, in MiB: measured,
	// see docs/lambda.md.
	modelMemory = 80
	// pixelBytes is what a decoded pixel takes.
	pixelBytes = 12
)
