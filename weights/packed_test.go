package weights

import "testing"

func BenchmarkUnpack(b *testing.B) {
	for b.Loop() {
		if _, err := unpack(packedLite); err != nil {
			b.Fatal(err)
		}
	}
}
