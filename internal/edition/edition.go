// Package edition says which parts a build of garb has. `go build -tags small` leaves parts out to
// make a small program, and `-tags cloud` adds parts to the default build.
package edition

// The builds of garb.
const (
	Default = "default"
	Cloud   = "cloud" // -tags cloud
	small   = "small" // -tags small
)

// MissingError says that this build of garb does not have a part.
type MissingError struct {
	Part  string // what is missing: "AVIF and HEIC"
	Build string // the build that has it: Default or Cloud
}

func (e *MissingError) Error() string {
	return "the " + Name + " build of garb has no " + e.Part + ": use the " + e.Build + " build"
}
