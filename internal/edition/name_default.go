//go:build !small && !cloud

package edition

// Name is the name of this build.
const Name = Default
