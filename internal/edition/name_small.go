//go:build small

package edition

// Name is the name of this build.
const Name = small
