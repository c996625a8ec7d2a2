package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"garb/internal/safefile"
)

// shell runs the commands of the pages.
type shell struct {
	data string // folder of the data set
	env  []string
}

func newShell(data string) (*shell, error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(root, "bin")
	if _, err := os.Stat(filepath.Join(bin, "garb")); err != nil {
		return nil, fmt.Errorf("run make build first: %w", err)
	}
	env := append(os.Environ(), "DATA="+data, "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return &shell{data, env}, os.MkdirAll(filepath.Join(kept, "printed"), 0o755)
}

// separator stands between the outputs of a block's commands.
const separator = "\x1e\n"

// outFolder matches the folder that a garb command writes.
var outFolder = regexp.MustCompile(`(?s)garb (train|explain) .*--out (` + kept + `/\S+)`)

// run runs the commands of a block in one bash and returns their outputs. It does not repeat
// a block that it has run before.
func (s *shell) run(ctx context.Context, commands []string) ([]string, error) {
	var script strings.Builder
	script.WriteString("set -eo pipefail\n")
	for _, c := range commands {
		script.WriteString(c + "\nprintf '\\036\\n'\n")
	}
	digest := sha256.Sum256([]byte(script.String()))
	record := filepath.Join(kept, "printed", fmt.Sprintf("%x.txt", digest[:8]))
	text, err := os.ReadFile(record)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = s.bash(ctx, script.String(), commands)
		if err == nil {
			err = safefile.Write(record, func(w io.Writer) error { return write(w, text) })
		}
	}
	if err != nil {
		return nil, err
	}
	printed := strings.Split(string(text), separator)
	if len(printed) != len(commands)+1 {
		return nil, fmt.Errorf("%s has the output of %d commands, not of %d", record, len(printed)-1, len(commands))
	}
	return printed, nil
}

// bash runs a script after it has removed what stopped runs of its commands left.
func (s *shell) bash(ctx context.Context, script string, commands []string) ([]byte, error) {
	for _, c := range commands {
		log.Printf("$ %s", c)
		// These runs take seconds, so they start again. A sweep resumes by itself.
		if m := outFolder.FindStringSubmatch(c); m != nil {
			if err := os.RemoveAll(m[2]); err != nil {
				return nil, err
			}
		}
	}
	bash := exec.CommandContext(ctx, "bash", "-c", script)
	bash.Env, bash.Stderr = s.env, os.Stderr
	bash.Cancel = func() error { return bash.Process.Signal(syscall.SIGTERM) }
	bash.WaitDelay = 10 * time.Second
	text, err := bash.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(commands, "; "), err)
	}
	// Pages must not name a folder of this machine.
	return []byte(strings.ReplaceAll(string(text), s.data, "$DATA")), nil
}

// write writes all of the text.
func write(w io.Writer, text []byte) error {
	_, err := w.Write(text)
	return err
}
