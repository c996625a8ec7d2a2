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

// unknown replaces what the go command did not record. It records the commit when it builds
// in a repository, but not for go run or with -buildvcs=false.
const unknown = "unknown"

// build describes how this program was built.
type build struct {
	Version    string `json:"version"`
	Commit     string `json:"commit"`      // hash, or "unknown"
	CommitDate string `json:"commit_date"` // RFC 3339, or "unknown"
	Dirty      *bool  `json:"dirty"`       // whether files differed from the commit; null if unknown
	Go         string `json:"go"`
	OS         string `json:"os"`
	Arch       string `json:"arch"`
}

// readBuild returns the build of the running program.
func readBuild() build {
	info, _ := debug.ReadBuildInfo()
	return describeBuild(info)
}

// describeBuild returns the build that the go command recorded in a program; info may be nil.
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

// shortCommit returns twelve digits of the commit, and whether files differed from it.
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

// day returns the date of the commit, without the time.
func (b build) day() string { return b.CommitDate[:min(len(b.CommitDate), len("2006-01-02"))] }

// String returns what garb --version prints.
func (b build) String() string {
	return fmt.Sprintf("garb %s (commit %s, date %s, %s)", b.Version, b.shortCommit(), b.day(), b.Go)
}

// versionReport holds what garb version prints, and its JSON.
type versionReport struct {
	build
	Kernels string         `json:"kernels"` // avx512, avx2, neon or generic
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
		Short: "Print the version, the commit, the kernels and the built-in models",
		Long: `Print the version of garb, the commit it was built from, the Go version and platform,
the kernels that this machine uses, and the digests of the built-in models. The commit is
unknown if garb was not built in its repository.`,
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
	command.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return command
}

func (v versionReport) print(out io.Writer) error {
	fmt.Fprintf(out, "garb      %s\n", v.Version)
	fmt.Fprintf(out, "commit    %s, date %s\n", v.shortCommit(), v.day())
	fmt.Fprintf(out, "built by  %s for %s/%s\n", v.Go, v.OS, v.Arch)
	fmt.Fprintf(out, "kernels   %s, %s\n", v.Kernels, count(v.Threads, "thread"))
	for _, m := range v.Models {
		_, err := fmt.Fprintf(out, "model     %s, %s, %s\n", m.Name, count(m.Classes, "class"), m.Digest)
		if err != nil {
			return err
		}
	}
	return nil
}
