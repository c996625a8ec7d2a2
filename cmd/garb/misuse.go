package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// refuseArguments returns an error if a command that takes no arguments has some. In a
// command with subcommands, the argument is a subcommand that does not exist.
func refuseArguments(c *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case !c.HasSubCommands():
		return fmt.Errorf("%s takes no arguments, but got %q", c.Name(), args[0])
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			names = append(names, sub.Name())
		}
	}
	text := fmt.Sprintf("unknown command \"%s %s\"", c.CommandPath(), args[0])
	if name := findNearest(args[0], names); name != "" {
		return fmt.Errorf("%s; did you mean \"%s %s\"?", text, c.CommandPath(), name)
	}
	return fmt.Errorf("%s; the commands of %s are %s", text, c.Name(), strings.Join(names, ", "))
}

// checkHelpTopics makes garb help refuse unknown commands.
func checkHelpTopics(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		if c.Name() == "help" {
			c.Short, c.Long = "Show the help of a command", "Show the help of a command, as its --help does."
			c.Example = "  garb help train\n  garb help data check"
			c.Args = func(_ *cobra.Command, args []string) error {
				found, rest, err := root.Find(args)
				if err != nil || !found.HasSubCommands() {
					return err
				}
				return refuseArguments(found, rest)
			}
		}
	}
}

// explainFlagError rewrites an error of package pflag, and suggests the flag that was
// probably meant.
func explainFlagError(c *cobra.Command, err error) error {
	var missing *pflag.NotExistError
	var value *pflag.InvalidValueError
	switch {
	case errors.As(err, &missing):
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		word, dashes := missing.GetSpecifiedName(), "--"
		if letters := missing.GetSpecifiedShortnames(); letters != "" { // such as -top for --top
			word, dashes = letters, "-"
		}
		name := strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")
		text := fmt.Sprintf("%s has no flag %s%s", name, dashes, word)
		if flag := findNearest(word, names); flag != "" {
			text += fmt.Sprintf("; did you mean --%s?", flag)
		}
		return errors.New(text)
	case errors.As(err, &value):
		return fmt.Errorf("--%s %q: %w", value.GetFlag().Name, value.GetValue(), explainValueError(value))
	}
	return err
}

// explainValueError says what the value of a flag must be. For numbers, it replaces messages
// about functions of package strconv.
func explainValueError(e *pflag.InvalidValueError) error {
	if _, ok := e.GetFlag().Value.(pixelsValue); ok {
		return errPixels
	}
	switch e.GetFlag().Value.Type() {
	case "int", "int64":
		return errors.New("it must be a whole number")
	case "uint", "uint64":
		return errors.New("it must be a whole number, not negative")
	case "float64":
		return errors.New("it must be a number")
	case "bool":
		return errors.New("it must be true or false")
	case "duration":
		return errors.New("it must be a duration such as 500ms, 30s or 2m")
	}
	return e.Unwrap()
}

// suggest returns a question whether the nearest of some names was meant. If none is near, it
// lists them all after a phrase.
func suggest(word string, names []string, phrase string) string {
	if name := findNearest(word, names); name != "" {
		return fmt.Sprintf("did you mean %s?", name)
	}
	return phrase + strings.Join(names, ", ")
}

// findNearest returns the name that was probably meant by a word: the one with the smallest
// edit distance, if that is at most a third of the word's length, or else the only name that
// starts with the word. It returns "" if there is none.
func findNearest(word string, names []string) string {
	word = strings.ToLower(strings.ReplaceAll(word, "_", "-"))
	best, least := "", max(1, len(word)/3)+1
	var completions []string
	for _, name := range names {
		plain := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		if d := countEdits(word, plain); d < least {
			best, least = name, d
		}
		if len(word) > 1 && strings.HasPrefix(plain, word) {
			completions = append(completions, name)
		}
	}
	if best == "" && len(completions) == 1 {
		return completions[0]
	}
	return best
}

// maxWordLength bounds the work of countEdits, in letters. All of garb's names are shorter.
const maxWordLength = 64

// countEdits returns the number of letters to insert, delete, replace or swap with their
// neighbour to turn a into b (optimal string alignment distance). A word longer than
// maxWordLength counts as far from all others.
func countEdits(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > maxWordLength || len(y) > maxWordLength {
		return max(len(x), len(y))
	}
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			replace := rows[i-1][j-1]
			if x[i-1] != y[j-1] {
				replace++
			}
			rows[i][j] = slices.Min([]int{replace, rows[i-1][j] + 1, rows[i][j-1] + 1})
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(x)][len(y)]
}
