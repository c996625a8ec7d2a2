//go:build !small

package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func readOperatePage(t *testing.T) string {
	t.Helper()
	return string(readFile(t, "../../docs/operate.md"))
}

// TestOperateSettings: the table of settings in docs/operate.md has every flag of garb serve
// with its variable and its default, and no others.
func TestOperateSettings(t *testing.T) {
	rows := map[string][]string{}
	pattern := regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| `(\\w+)` \\| (.*?) \\|")
	for _, row := range pattern.FindAllStringSubmatch(readOperatePage(t), -1) {
		rows[row[1]] = row[2:]
	}
	newServeCommand().Flags().VisitAll(func(f *pflag.Flag) {
		row, ok := rows[f.Name]
		if !ok {
			t.Errorf("--%s is not in the table", f.Name)
			return
		}
		delete(rows, f.Name)
		if want := nameVariable(f.Name); row[0] != want {
			t.Errorf("--%s: variable %s, not %s", f.Name, row[0], want)
		}
		want := "`" + f.DefValue + "`"
		if f.DefValue == "" || f.DefValue == "[]" {
			want = "none"
		}
		if f.Name == "model" { // chosen from the other flags
			want = "`clothing`, without `--models`"
		}
		if row[1] != want {
			t.Errorf("--%s: default %s, not %s", f.Name, row[1], want)
		}
	})
	for name := range rows {
		t.Errorf("there is no --%s", name)
	}
}

// foreign lists flags of docker, curl and systemctl that the files below use.
var foreign = map[string]bool{"data-binary": true, "rm": true, "read-only": true, "cap-drop": true,
	"security-opt": true, "memory": true, "from": true, "now": true, "unix-socket": true}

// jobFiles are the files of deploy/ that run other commands than serve. TestDeployCommands checks them.
var jobFiles = []string{"shards.yaml", "sweep.yaml"}

// TestOperateFlags: the flags and variables in docs/operate.md and in the files of deploy/ are
// those of garb serve and garb health.
func TestOperateFlags(t *testing.T) {
	flags, variables := map[string]bool{}, map[string]bool{"GARB_CPU": true, "GARB_NAME": true}
	add := func(f *pflag.Flag) { flags[f.Name], variables[nameVariable(f.Name)] = true, true }
	for _, c := range []*cobra.Command{newServeCommand(), newHealthCommand()} {
		c.Flags().VisitAll(add)
	}
	newRootCommand().PersistentFlags().VisitAll(add)
	files := []string{"../../docs/operate.md"}
	folder, err := os.ReadDir("../../deploy")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folder {
		if !f.IsDir() && !slices.Contains(jobFiles, f.Name()) {
			files = append(files, "../../deploy/"+f.Name())
		}
	}
	for _, file := range files {
		used, usedVariables := findFlags(string(readFile(t, file)))
		for _, name := range used {
			if !flags[name] && !foreign[name] {
				t.Errorf("%s: there is no --%s", file, name)
			}
		}
		for _, name := range usedVariables {
			if !variables[name] {
				t.Errorf("%s: there is no %s", file, name)
			}
		}
	}
}

// findFlags returns the flags and variables that a text names.
func findFlags(text string) (flags, variables []string) {
	for line := range strings.Lines(text) {
		// Of the Dockerfile, what is for docker itself.
		if regexp.MustCompile(`^(HEALTHCHECK|COPY|FROM) `).MatchString(line) {
			_, line, _ = strings.Cut(line, "[")
		}
		for _, m := range regexp.MustCompile(`(?:^|[^\w-])--([a-z][a-z-]*)`).FindAllStringSubmatch(line, -1) {
			flags = append(flags, m[1])
		}
		variables = append(variables, regexp.MustCompile(`\bGARB_[A-Z_]*[A-Z]`).FindAllString(line, -1)...)
	}
	return flags, variables
}
