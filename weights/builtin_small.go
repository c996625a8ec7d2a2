//go:build small

package weights

// The small build has no weights in the binary.
var (
	packedLite     []byte
	builtInSources []Source
)
