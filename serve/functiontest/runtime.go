// Package functiontest hands events to a function as the runtime API of AWS Lambda does, for tests and benchmarks.
package functiontest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Variable is the environment variable that has the address of the runtime API.
const Variable = "AWS_LAMBDA_RUNTIME_API"

// Failure is the error of an invocation, or of a function that cannot start.
type Failure struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

// Error returns the type and the message.
func (f *Failure) Error() string { return f.Type + ": " + f.Message }

// Runtime is a runtime API on a loopback address.
type Runtime struct {
	listener net.Listener
	server   http.Server
	waiting  chan *invocation
	ready    chan struct{} // closed when the function first asks for an event
	isReady  sync.Once
	failed   chan error // has the error of a function that cannot start

	mu      sync.Mutex
	count   int
	running map[string]*invocation
}

// invocation is an event, and what becomes of it.
type invocation struct {
	event    []byte
	deadline time.Time
	done     chan outcome
}

// outcome is the answer to an event.
type outcome struct {
	body []byte
	err  error
}

// Start starts a runtime API. The caller closes it.
func Start() (*Runtime, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Runtime{listener: listener, waiting: make(chan *invocation), ready: make(chan struct{}),
		failed: make(chan error, 1), running: map[string]*invocation{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", r.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", r.respond)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", r.fail)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", r.failInit)
	r.server.Handler = mux
	go r.server.Serve(listener)
	return r, nil
}

// Addr returns the value of Variable.
func (r *Runtime) Addr() string { return r.listener.Addr().String() }

// Close ends the runtime API.
func (r *Runtime) Close() error { return r.server.Close() }

// WaitReady waits until the function asks for an event. It returns a *Failure if the function cannot start.
func (r *Runtime) WaitReady(ctx context.Context) error {
	select {
	case <-r.ready:
		return nil
	case err := <-r.failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Invoke hands an event to the function, and returns the answer. Its error is a *Failure if it is the
// function's. ctx ends when the invocation must have an answer; without a deadline it has a minute.
func (r *Runtime) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Minute)
	}
	i := &invocation{event: event, deadline: deadline, done: make(chan outcome, 1)}
	select {
	case r.waiting <- i:
	case <-ctx.Done():
		return nil, fmt.Errorf("the function takes no event: %w", ctx.Err())
	}
	select {
	case o := <-i.done:
		return o.body, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("the function does not answer: %w", ctx.Err())
	}
}

// next hands an event to the function, once there is one.
func (r *Runtime) next(w http.ResponseWriter, q *http.Request) {
	r.isReady.Do(func() { close(r.ready) })
	var i *invocation
	select {
	case i = <-r.waiting:
	case <-q.Context().Done():
		return
	}
	r.mu.Lock()
	r.count++
	id := fmt.Sprintf("invocation-%d", r.count)
	r.running[id] = i
	r.mu.Unlock()
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(i.deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:garb")
	_, _ = w.Write(i.event)
}

// respond takes an answer.
func (r *Runtime) respond(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	r.end(w, q, outcome{body, err})
}

// fail takes the error of an invocation.
func (r *Runtime) fail(w http.ResponseWriter, q *http.Request) {
	r.end(w, q, outcome{err: readFailure(q)})
}

// end ends an invocation.
func (r *Runtime) end(w http.ResponseWriter, q *http.Request, o outcome) {
	r.mu.Lock()
	i := r.running[q.PathValue("id")]
	delete(r.running, q.PathValue("id"))
	r.mu.Unlock()
	if i == nil {
		http.Error(w, "there is no such invocation", http.StatusBadRequest)
		return
	}
	i.done <- o
	w.WriteHeader(http.StatusAccepted)
}

// failInit takes the error of a function that cannot start.
func (r *Runtime) failInit(w http.ResponseWriter, q *http.Request) {
	select {
	case r.failed <- readFailure(q):
	default: // it has failed before
	}
	w.WriteHeader(http.StatusAccepted)
}

// readFailure returns the *Failure in a request.
func readFailure(q *http.Request) error {
	f := new(Failure)
	if err := json.NewDecoder(q.Body).Decode(f); err != nil {
		return err
	}
	if f.Type == "" || f.Message == "" {
		return errors.New("functiontest: the function reports an error without a type or a message")
	}
	return f
}
