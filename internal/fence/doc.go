// Package fence gives tests memory that a kernel must not leave: a read or write beside it stops the
// program. It works on Linux.
package fence
