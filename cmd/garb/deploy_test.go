//go:build !small

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"garb/serve"
)

// findNumber returns the number that the group of a pattern matches in a file of deploy/.
func findNumber(t *testing.T, file, pattern string) int {
	t.Helper()
	m := regexp.MustCompile(pattern).FindSubmatch(readFile(t, filepath.Join("../../deploy", file)))
	if m == nil {
		t.Fatalf("%s has no %s", file, pattern)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestDeployWaitsLongEnough: whatever stops garb waits longer than garb waits for its
// requests.
func TestDeployWaitsLongEnough(t *testing.T) {
	grace := int(serve.Default().Grace / time.Second)
	if wait := findNumber(t, "garb.service", `(?m)^TimeoutStopSec=(\d+)$`); wait <= grace {
		t.Errorf("systemd waits %d s", wait)
	}
	const slack = 10 // seconds to close models and to send the last traces
	for _, file := range []string{"kubernetes.yaml", "kserve.yaml"} {
		wait, drain := findNumber(t, file, `terminationGracePeriodSeconds: (\d+)`),
			findNumber(t, file, `--drain-delay, (\d+)s`)
		if wait < drain+grace+slack {
			t.Errorf("%s: it waits %d s, for a delay of %d s and %d s of grace", file, wait, drain, grace)
		}
	}
}

// TestDeploySystemd: systemd accepts the units.
func TestDeploySystemd(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	folder := t.TempDir()
	args := []string{"verify", "--man=no"}
	for _, name := range []string{"garb.service", "garb.socket"} {
		text := string(readFile(t, filepath.Join("../../deploy", name)))
		text = strings.ReplaceAll(text, "/usr/local/bin/garb", "/bin/true") // it has to exist
		args = append(args, write(t, folder, name, []byte(text)))
	}
	// It reports unknown settings, but succeeds.
	if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestDeploySettings: the configuration file of the systemd unit is valid.
func TestDeploySettings(t *testing.T) {
	if _, err := readService(t, nil, "--config", "../../deploy/garb.yaml"); err != nil {
		t.Error(err)
	}
}

// TestDeployYAML: lines are indented by two spaces a level, never by tabs, and quotes and
// brackets close in their line. deploy/_check decodes the files with the types of Kubernetes.
func TestDeployYAML(t *testing.T) {
	for _, file := range append([]string{"kubernetes.yaml", "kserve.yaml"}, jobFiles...) {
		for i, line := range strings.Split(string(readFile(t, filepath.Join("../../deploy", file))), "\n") {
			text, _, _ := strings.Cut(line, "#")
			indent := len(text) - len(strings.TrimLeft(text, " "))
			if strings.Contains(text, "\t") || indent%2 != 0 && strings.TrimSpace(text) != "" ||
				strings.Count(text, `"`)%2 != 0 ||
				strings.Count(text, "{") != strings.Count(text, "}") ||
				strings.Count(text, "[") != strings.Count(text, "]") {
				t.Errorf("%s:%d: %s", file, i+1, line)
			}
		}
	}
}

// findArguments returns the lists of arguments of all containers in a value of YAML.
func findArguments(value any) (all [][]string) {
	switch v := value.(type) {
	case map[string]any:
		if list, ok := v["args"].([]any); ok {
			var args []string
			for _, a := range list {
				args = append(args, fmt.Sprint(a))
			}
			all = append(all, args)
		}
		for _, inner := range v {
			all = append(all, findArguments(inner)...)
		}
	case []any:
		for _, inner := range v {
			all = append(all, findArguments(inner)...)
		}
	}
	return all
}

// readDeployCommands returns the arguments of all containers in a file of deploy/, and those in its
// comments.
func readDeployCommands(text []byte) (all [][]string, err error) {
	documents := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var document any
		if err = documents.Decode(&document); err != nil {
			break
		}
		all = append(all, findArguments(document)...)
	}
	for _, m := range regexp.MustCompile(`(?m)^# +(\[.*\])$`).FindAllSubmatch(text, -1) {
		var args []string
		if failed := yaml.Unmarshal(m[1], &args); failed != nil {
			return nil, failed
		}
		all = append(all, args)
	}
	if !errors.Is(err, io.EOF) {
		return nil, err
	}
	return all, nil
}

// TestDeployCommands: garb accepts the arguments of every container, and of the commands in the
// comments of jobs.
func TestDeployCommands(t *testing.T) {
	t.Setenv(jobIndex, "3")
	for file, want := range map[string]int{"kubernetes.yaml": 1, "kserve.yaml": 1, "shards.yaml": 4, "sweep.yaml": 2} {
		all, err := readDeployCommands(readFile(t, filepath.Join("../../deploy", file)))
		if err != nil || len(all) != want {
			t.Errorf("%s has %d commands, %v", file, len(all), err)
		}
		for _, args := range all {
			c, rest, err := newRootCommand().Find(args)
			if err == nil {
				err = c.ParseFlags(rest)
			}
			if err == nil {
				err = c.ValidateArgs(c.Flags().Args())
			}
			if err != nil || !c.HasParent() {
				t.Errorf("%s: garb %v: %v", file, args, err)
			}
		}
	}
}

// TestDeployReleaseImage: the image of a release is the one that is built from the sources.
func TestDeployReleaseImage(t *testing.T) {
	var images [2][]string
	for i, file := range []string{"Dockerfile", "release.Dockerfile"} {
		_, image, _ := strings.Cut(string(readFile(t, "../../deploy/"+file)), "FROM scratch\n")
		for line := range strings.Lines(image) {
			for _, instruction := range []string{"USER ", "ENV ", "EXPOSE ", "HEALTHCHECK ", "ENTRYPOINT ", "CMD "} {
				if strings.HasPrefix(line, instruction) {
					images[i] = append(images[i], line)
				}
			}
		}
	}
	if len(images[0]) != 6 || !slices.Equal(images[0], images[1]) {
		t.Errorf("the images differ: %q and %q", images[0], images[1])
	}
}

// TestDeployImage: the image runs as nobody, and its health check is an existing command.
func TestDeployImage(t *testing.T) {
	text := string(readFile(t, "../../deploy/Dockerfile"))
	for _, line := range []string{"FROM scratch", "USER 65532:65532", "CGO_ENABLED=0 go build",
		`ENTRYPOINT ["/garb"]`, `CMD ["serve"]`, `CMD ["/garb", "health"]`} {
		if !strings.Contains(text, line) {
			t.Errorf("no %s", line)
		}
	}
	module := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(readFile(t, "../../go.mod")))
	if !strings.Contains(text, "FROM golang:"+module[1]+" AS build") {
		t.Errorf("it is not built with Go %s", module[1])
	}
}
