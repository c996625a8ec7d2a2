package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"garb/internal/kernel"
	"garb/model"
)

// unknown stands for what the go command did not record: it records the commit when it
// builds in a repository, and not for go run or with -buildvcs=false.
const unknown = "unknown"

// build is where this program comes from.
type build struct {
	Version    string `json:"version"`
	Commit     string `json:"commit"`      // its hash, or "unknown"
	CommitDate string `json:"commit_date"` // RFC 3339, or "unknown"
	Dirty      *bool  `json:"dirty"`       // whether files differed from the commit; null: unknown
	Go         string `json:"go"`
	OS         string `json:"os"`
	Arch       string `json:"arch"`
}

// readBuild describes the running program.
func readBuild() build {
	info, _ := debug.ReadBuildInfo()
	return describeBuild(info)
}

// describeBuild describes a program by what the go command recorded in it; info may be nil.
func describeBuild(info *debug.BuildInfo) build {
	b := build{
		Version: model.Version, Commit: unknown, CommitDate: unknown,
		Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
	}
	if info == nil {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.CommitDate = s.Value
		case "vcs.modified":
			dirty := s.Value == "true"
			b.Dirty = &dirty
		}
	}
	return b
}

// shortCommit is the commit as people read it: twelve digits, and whether files differed.
func (b build) shortCommit() string {
	if b.Commit == unknown {
		return unknown
	}
	text := b.Commit[:min(len(b.Commit), 12)]
	if b.Dirty != nil && *b.Dirty {
		text += " with changes"
	}
	return text
}

// day is the date of the commit, without the time.
func (b build) day() string { return b.CommitDate[:min(len(b.CommitDate), len("2006-01-02"))] }

// line is what garb --version prints.
func (b build) line() string {
	return fmt.Sprintf("garb %s (commit %s, date %s, %s)", b.Version, b.shortCommit(), b.day(), b.Go)
}

// versionReport is what garb version --json prints.
type versionReport struct {
	build
	Kernels string         `json:"kernels"` // avx512, avx2 or generic
	Threads int            `json:"threads"`
	Models  []builtInModel `json:"models"`
}

type builtInModel struct {
	Name    string `json:"name"`
	Classes int    `json:"classes"`
	Digest  string `json:"digest"`
}

func newVersionCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "version",
		Short: "Show the version, the commit, and the models and kernels of this garb",
		Long: `Show which garb this is: its version, the commit that it was built from, the Go
version and platform, the kernels that this machine uses, and the digests of the
built-in models. A build outside a repository does not know its commit.`,
		Example: `  garb version
  garb version --json | jq -r .commit
  garb --version`,
		Args: refuseArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			v := versionReport{build: readBuild(), Kernels: kernel.ActiveLevel().String(),
				Threads: runtime.GOMAXPROCS(0)}
			for _, name := range model.BuiltInNames() {
				m, err := model.Open(name, model.Options{})
				if err != nil {
					return err
				}
				v.Models = append(v.Models, builtInModel{name, len(m.Classes()), m.Digest()})
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(v)
			}
			return v.print(c.OutOrStdout())
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return command
}

func (v versionReport) print(out io.Writer) error {
	fmt.Fprintf(out, "garb      %s\n", v.Version)
	fmt.Fprintf(out, "commit    %s, date %s\n", v.shortCommit(), v.day())
	fmt.Fprintf(out, "built by  %s for %s/%s\n", v.Go, v.OS, v.Arch)
	fmt.Fprintf(out, "kernels   %s, %s\n", v.Kernels, count(v.Threads, "thread"))
	for _, m := range v.Models {
		if _, err := fmt.Fprintf(out, "model     %s, %s, %s\n", m.Name, count(m.Classes, "class"), m.Digest); err != nil {
			return err
		}
	}
	return nil
}
