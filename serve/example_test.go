package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"garb/model"
	"garb/serve"
)

// open opens models for the service.
func open(path string) (serve.Classifier, error) {
	c, err := model.Open(path, model.Options{})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// The service is an http.Handler, so that it can run inside a server of your own. Here a test
// server answers a picture that is sent to it.
func ExampleServer_Handler() {
	config := serve.Default()
	config.Models.Models = []serve.NamedModel{{Name: "clothing", Path: model.Clothing}}
	server, err := serve.New(config, open, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	web := httptest.NewServer(server.Handler())
	defer web.Close()

	jpeg, err := os.ReadFile("../examples/t-shirt.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := web.Client().Post(web.URL+"/v1/classify", "image/jpeg", bytes.NewReader(jpeg))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	var result struct {
		Class    string
		Accepted bool
		Model    struct{ Name string }
	}
	if err := json.NewDecoder(answer.Body).Decode(&result); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.Status, result.Model.Name, result.Class, result.Accepted)
	// Output: 200 OK clothing t-shirt true
}

// An opener decides what a model's path stands for: here every model is opened with a threshold
// of its own.
func ExampleOpener() {
	strict := 0.9
	var open serve.Opener = func(path string) (serve.Classifier, error) {
		c, err := model.Open(path, model.Options{Accept: &strict})
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	c, err := open(model.Garments)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(c.Classes()), "classes, accepted from", c.AcceptanceThreshold(), "on")
	// Output: 17 classes, accepted from 0.9 on
}

// Settings that cannot work are an error before anything is opened.
func ExampleConfig() {
	config := serve.Default() // names no model
	fmt.Println(config.Validate() == nil)
	config.Models.Models = []serve.NamedModel{{Name: "clothing", Path: model.Clothing}}
	config.Engine.MaxBatch, config.Engine.Queue = 8, 64
	fmt.Println(config.Validate() == nil)
	// Output:
	// false
	// true
}

// With a file of keys only requests with one of them are answered.
func ExampleNew() {
	folder, err := os.MkdirTemp("", "keys")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	config := serve.Default()
	config.Models.Models = []serve.NamedModel{{Name: "clothing", Path: model.Clothing}}
	config.APIKeyFile = filepath.Join(folder, "keys")
	if err = os.WriteFile(config.APIKeyFile, []byte("a-long-secret\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	server, err := serve.New(config, open, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	for _, key := range []string{"a-guess", "a-long-secret"} {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Header.Set("Authorization", "Bearer "+key)
		w := httptest.NewRecorder()
		server.Handler().ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 401
	// 200
}

// A file that is no picture is refused with a reason for programs.
func ExampleServer() {
	config := serve.Default()
	config.Models.Models = []serve.NamedModel{{Name: "clothing", Path: model.Clothing}}
	server, err := serve.New(config, open, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	r := httptest.NewRequest(http.MethodPost, "/v1/classify", bytes.NewReader([]byte("this is text")))
	r.Header.Set("Content-Type", "image/jpeg")
	w := httptest.NewRecorder()
	server.Handler().ServeHTTP(w, r)
	var problem struct{ Title, Kind string }
	if err := json.NewDecoder(w.Body).Decode(&problem); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(w.Code, problem.Title, problem.Kind)
	// Output: 400 Bad Request not_a_picture
}

// Serve answers on a listener until its context ends, and lets requests that are in flight finish.
func ExampleServer_Serve() {
	config := serve.Default()
	config.Models.Models = []serve.NamedModel{{Name: "clothing", Path: model.Clothing}}
	server, err := serve.New(config, open, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println(err)
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background()) // or signal.NotifyContext
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, listener) }()

	answer, err := http.Get("http://" + listener.Addr().String() + "/healthz")
	if err != nil {
		fmt.Println(err)
	} else {
		fmt.Println(answer.Status)
		answer.Body.Close()
	}
	stop()
	fmt.Println("ended with", <-ended)
	// Output:
	// 200 OK
	// ended with <nil>
}
