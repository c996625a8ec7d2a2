package health_test

import (
	"fmt"

	"garb/serve/health"
)

// Probes call these procedures.
func Example() {
	fmt.Println("/" + health.Name + "/Check")
	fmt.Println(health.Watch)
	// Output:
	// /grpc.health.v1.Health/Check
	// /grpc.health.v1.Health/Watch
}
