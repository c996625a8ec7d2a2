// Package check holds the tests of the files in deploy/.
package check
