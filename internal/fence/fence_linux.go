package fence

import (
	"syscall"
	"testing"
	"unsafe"
)

// Make returns n zero values of a type without pointers. They begin where memory that may be used begins,
// or end where it ends.
func Make[T any](t testing.TB, n int, atEnd bool) []T {
	t.Helper()
	var zero T
	size := n * int(unsafe.Sizeof(zero))
	page := syscall.Getpagesize()
	body := (size + page - 1) / page * page
	all, err := syscall.Mmap(-1, 0, page+body+page, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(all) })
	for _, p := range [][]byte{all[:page], all[page+body:]} {
		if err := syscall.Mprotect(p, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	low := page
	if atEnd {
		low = page + body - size
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&all[low])), n)
}
