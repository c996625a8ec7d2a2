package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
)

// process is a worker that was started.
type process struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	stdout  *bufio.Reader
}

// skipError says why a row cannot be measured here.
type skipError struct{ reason string }

func (e *skipError) Error() string { return e.reason }

// skipRow returns the result of a row that is skipped because of a *skipError, or any other error.
func skipRow(err error) (result, error) {
	var skip *skipError
	if errors.As(err, &skip) {
		return result{Skipped: skip.reason}, nil
	}
	return result{}, err
}

// startWorker starts a worker on the given number of cores.
func startWorker(ctx context.Context, cores int, name string, args ...string) (*process, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := startOnCores(command, cores); err != nil {
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			return nil, &skipError{
				fmt.Sprintf("there is no %s; GARB_PYTHON or -python names a Python with the peers", name)}
		}
		return nil, err
	}
	return &process{command, stdin, bufio.NewReader(stdout)}, nil
}

// ask sends one request and waits for its reply.
func (p *process) ask(r request) (reply, error) {
	var answer reply
	if err := json.NewEncoder(p.stdin).Encode(r); err != nil {
		return answer, fmt.Errorf("%s takes no request: %w", p.command.Path, err)
	}
	line, err := p.stdout.ReadBytes('\n')
	if err != nil {
		return answer, fmt.Errorf("%s ended during %q: %w", p.command.Path, r.Op, err)
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return answer, fmt.Errorf("%s answered %q: %w", p.command.Path, r.Op, err)
	}
	if answer.Absent != "" {
		return answer, &skipError{answer.Absent}
	}
	if answer.Error != "" {
		return answer, errors.New(answer.Error)
	}
	return answer, nil
}

// stop ends the worker and waits for its end.
func (p *process) stop() {
	p.stdin.Close()
	p.command.Wait()
}
