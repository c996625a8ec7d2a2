package connection_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"garb/serve/connection"
)

// A server that refuses a request tells its client why, although the client sends its whole body first.
func Example() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no key", http.StatusUnauthorized)
	})
	server, err := connection.New(connection.DefaultConfig(), handler)
	if err != nil {
		fmt.Println(err)
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()

	body := strings.NewReader(strings.Repeat("x", 10<<20))
	answer, err := http.Post("http://"+listener.Addr().String(), "text/plain", body)
	if err != nil {
		fmt.Println(err)
		return
	}
	answer.Body.Close()
	fmt.Println(answer.Status)

	fmt.Println(server.Shutdown(context.Background()), <-served)
	// Output:
	// 401 Unauthorized
	// <nil> <nil>
}

// A handler that waits for a body no longer than its own timeout.
func ExampleWithTimeout() {
	http.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
		r, cancel := connection.WithTimeout(w, r, 10*time.Second)
		defer cancel()
		if _, err := io.ReadAll(r.Body); errors.Is(err, context.DeadlineExceeded) {
			http.Error(w, "the body took too long", http.StatusGatewayTimeout)
		}
	})
}

// The events of a server start at 0 in its metrics.
func ExampleEvents() {
	for _, event := range connection.Events()[:3] {
		fmt.Println(event)
	}
	// Output:
	// evicted
	// client_limit
	// linger_limit
}
