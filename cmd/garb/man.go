//go:build man

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"garb/model"
)

// The man pages are written by a build of their own (-tags man), so that the program does not
// contain their renderer.
func init() { extraCommands = append(extraCommands, newManCommand) }

func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR SECONDS",
		Short:  "Write the man pages, dated SECONDS after 1970",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			seconds, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil {
				return fmt.Errorf("the date of the man pages: %w", err)
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root := c.Root()
			root.DisableAutoGenTag = true
			root.InitDefaultHelpCmd()
			return writeManPages(root, args[0], time.Unix(seconds, 0).UTC())
		},
	}
}

// writeManPages writes the man page of a command, and those of its subcommands.
func writeManPages(c *cobra.Command, dir string, date time.Time) error {
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && !sub.IsAdditionalHelpTopicCommand() {
			if err := writeManPages(sub, dir, date); err != nil {
				return err
			}
		}
	}
	var page bytes.Buffer
	header := &doc.GenManHeader{Section: "1", Source: "garb " + model.Version, Manual: "garb", Date: &date}
	if err := doc.GenMan(c, header, &page); err != nil {
		return err
	}
	name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
	return os.WriteFile(filepath.Join(dir, name), []byte(mendManPage(page.String(), date)), 0o644)
}

// optionLine matches a flag as cobra writes it: its default, which for a switch and for an empty value says
// nothing, and its description on the next line after a tab.
var optionLine = regexp.MustCompile(`(?m)(?:^\.PP\n)?^(\\fB-[^=\[\n]*)(?:\[=\S*\]|=(?:""|\[\])?)?(=.+)?\n\t`)

// mendManPage makes each flag of a page that cobra wrote a tagged paragraph, with the description indented below
// it, and gives the page its full date.
func mendManPage(page string, date time.Time) string {
	page = strings.Replace(page, date.Format(`"Jan 2006"`), date.Format(`"2006-01-02"`), 1)
	return optionLine.ReplaceAllString(page, ".TP\n$1$2\n")
}
