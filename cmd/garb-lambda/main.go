// Command garb-lambda is garb as an AWS Lambda function: the API and the page of `garb serve`, for events
// of function URLs and API Gateway. It is built with the tag lambda.norpc, and named bootstrap.
package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/aws/aws-lambda-go/lambda"

	"garb/internal/kernel"
	"garb/model"
	"garb/serve"
	"garb/serve/function"
)

// Exit codes, as of garb.
const (
	exitDone    = 0
	exitFailed  = 1
	exitMisused = 2 // wrong settings or arguments
)

func main() { os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr)) }

// run answers events until the process is told to stop, and returns the exit code.
func run(args, environment []string, out, errOut io.Writer) int {
	switch {
	case len(args) == 1 && (args[0] == "--help" || args[0] == "-h"):
		writeHelp(out)
		return exitDone
	case len(args) == 1 && args[0] == "--version":
		fmt.Fprintf(out, "garb-lambda %s, %s, %s/%s\n", model.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return exitDone
	case len(args) > 0:
		fmt.Fprintf(errOut, "garb-lambda: it takes no arguments, but environment variables; not %q\n"+
			"See garb-lambda --help.\n", args[0])
		return exitMisused
	case os.Getenv(runtimeVariable) == "":
		fmt.Fprintf(errOut, "garb-lambda: %s is not set: AWS Lambda or its runtime interface emulator starts this "+
			"program\nSee garb-lambda --help.\n", runtimeVariable)
		return exitMisused
	}
	server, err := open(environment, errOut)
	if err != nil {
		fmt.Fprintln(errOut, "garb-lambda:", err)
		if failed := reportInit(os.Getenv(runtimeVariable), err); failed != nil {
			fmt.Fprintln(errOut, "garb-lambda:", failed)
		}
		if errors.As(err, new(*settingError)) {
			return exitMisused
		}
		return exitFailed
	}
	go func() { // the library exits the process if Lambda does not answer it
		lambda.Start(function.New(server.Handler()))
	}()
	return waitForEnd(server, errOut)
}

// open opens the service that the environment describes.
func open(environment []string, log io.Writer) (*serve.Server, error) {
	if err := kernel.LevelError(); err != nil {
		return nil, &settingError{"GARB_CPU", err}
	}
	s, err := readSettings(environment)
	if err != nil {
		return nil, err
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(s.memory.limitHeap())
	}
	return serve.New(s.config, func(path string) (serve.Classifier, error) {
		return model.Open(path, model.Options{Threads: s.memory.countThreads(runtime.GOMAXPROCS(0)), Accept: s.accept})
	}, slog.New(slog.NewJSONHandler(log, nil)))
}

// waitForEnd waits for SIGTERM, which Lambda sends before it ends a function with extensions, and closes the
// server.
func waitForEnd(server *serve.Server, errOut io.Writer) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	<-signals
	signal.Stop(signals) // the second one kills
	if err := server.Close(); err != nil {
		fmt.Fprintln(errOut, "garb-lambda:", err)
		return exitFailed
	}
	return exitDone
}

// writeHelp writes what --help shows.
func writeHelp(out io.Writer) {
	fmt.Fprintf(out, help, runtimeVariable)
	for _, s := range settings {
		fmt.Fprintf(out, "  %-26s %s\n", s.name, s.help)
	}
}

const help = `garb-lambda is garb as an AWS Lambda function. It answers events of function URLs and of API
Gateway (payload formats 1.0 and 2.0) like garb serve: POST /v1/classify, the other APIs, and the
page. It answers the event {"url": "https://…"} with the logit of each class.

Lambda starts it as bootstrap; %s names Lambda's runtime API.

Usage:
  garb-lambda [--help | --version]

Examples:
  GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build -tags lambda.norpc -o bootstrap ./cmd/garb-lambda
  zip function.zip bootstrap
  aws lambda create-function --function-name garb --runtime provided.al2023 --architectures arm64 \
      --handler bootstrap --memory-size 512 --timeout 30 --role ROLE --zip-file fileb://function.zip

Environment variables (lists are comma-separated):
`
