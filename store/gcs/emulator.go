package gcs

import "os"

// emulated reports whether a local server stands in for Google's, which needs no credentials.
// Google's library reads the same variable.
func emulated() bool { return os.Getenv("STORAGE_EMULATOR_HOST") != "" }
