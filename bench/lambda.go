package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"garb/serve/functiontest"
)

// measureLambdaTime measures the time from the start of garb-lambda to its first answer.
func measureLambdaTime(ctx context.Context, b *bench) (result, error) {
	return b.measureLambda(ctx, milliseconds, pickTime)
}

// measureLambdaMemory measures the peak resident memory of such a process.
func measureLambdaMemory(ctx context.Context, b *bench) (result, error) {
	return b.measureLambda(ctx, megabytes, pickMemory)
}

// measureLambda starts garb-lambda as often as was chosen. Of each run's time and peak memory, pick takes one.
func (b *bench) measureLambda(
	ctx context.Context, unit string, pick func(time.Duration, int64) float64,
) (result, error) {
	program := filepath.Join(filepath.Dir(b.garb), "lambda", runtime.GOARCH, "bootstrap")
	if _, err := os.Stat(program); err != nil {
		return result{Skipped: fmt.Sprintf("there is no %s: run make lambda", program)}, nil
	}
	path, err := b.findPicture(ctx, smallPicture)
	if err != nil {
		return result{}, err
	}
	photo, err := os.ReadFile(path)
	if err != nil {
		return result{}, err
	}
	event, err := json.Marshal(map[string]any{"version": "2.0", "rawPath": "/v1/classify", "isBase64Encoded": true,
		"body": photo, "requestContext": map[string]any{"http": map[string]string{"method": "POST"}}})
	if err != nil {
		return result{}, err
	}
	return b.measureStarts(unit, pick, func() (time.Duration, *os.ProcessState, error) {
		return startLambda(ctx, program, event)
	})
}

// startLambda starts garb-lambda with Lambda's smallest memory, and ends it after its first answer.
func startLambda(ctx context.Context, program string, event []byte) (time.Duration, *os.ProcessState, error) {
	lambda, err := functiontest.Start()
	if err != nil {
		return 0, nil, err
	}
	defer lambda.Close()
	command := exec.CommandContext(ctx, program)
	command.Env = []string{functiontest.Variable + "=" + lambda.Addr(), "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128"}
	began := time.Now()
	if err = command.Start(); err != nil {
		return 0, nil, err
	}
	_, err = lambda.Invoke(ctx, event)
	elapsed := time.Since(began)
	_ = command.Process.Kill()
	_ = command.Wait()
	return elapsed, command.ProcessState, err
}
