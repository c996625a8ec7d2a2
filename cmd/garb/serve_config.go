//go:build !small

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"garb/internal/safefile"
	"garb/serve"
)

// The flags of serve that are about the configuration file itself. The file cannot set them.
const (
	configFlag      = "config"
	printConfigFlag = "print-config"
	checkConfigFlag = "check-config"
)

// reloadableFlags are the flags of serve that take effect when the configuration file is read
// again. All others need a restart.
var reloadableFlags = []string{
	"queue", "max-body", "max-bodies", "max-pictures", "max-pixels", "truncated", "timeout", "grace",
	"api-key-file", "allow-url-prefix", quietFlag, verboseFlag,
}

// settings are the values of a command's flags, and where they come from.
type settings struct {
	flags   *pflag.FlagSet
	path    string            // of the configuration file, or ""
	sources map[string]string // by flag; those that are missing have their default
	fixed   []string          // flags from the command line or the environment: no file changes them
}

// readSettings sets the flags that the command line does not set: from environment variables, or
// else from the file that --config names.
func readSettings(flags *pflag.FlagSet, lookup func(string) (string, bool)) (*settings, error) {
	s := &settings{flags: flags, sources: map[string]string{}}
	flags.Visit(func(f *pflag.Flag) { s.fix(f, "--"+f.Name) })
	if err := readEnvironment(flags, lookup); err != nil {
		return nil, err
	}
	flags.Visit(func(f *pflag.Flag) { s.fix(f, nameVariable(f.Name)) })
	if f := flags.Lookup(configFlag); f != nil {
		s.path = f.Value.String()
	}
	return s, s.readFile()
}

// fix records the source of a flag that a configuration file cannot change, unless it has one.
func (s *settings) fix(f *pflag.Flag, source string) {
	if _, ok := s.sources[f.Name]; !ok {
		s.sources[f.Name] = source
		s.fixed = append(s.fixed, f.Name)
	}
}

// readFile sets flags from the configuration file, if there is one.
func (s *settings) readFile() error {
	if s.path == "" {
		return nil
	}
	lines, err := readConfigLines(s.path)
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range lines {
		if err := s.set(l); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", s.path, l.number, err))
		}
	}
	return errors.Join(errs...)
}

// set sets the flag of a line, unless the command line or the environment has set it.
func (s *settings) set(l configLine) error {
	f := s.flags.Lookup(l.key)
	if f == nil || !isSetting(f) {
		var known []string
		s.flags.VisitAll(func(f *pflag.Flag) {
			if isSetting(f) {
				known = append(known, f.Name)
			}
		})
		text := fmt.Sprintf("unknown setting %q", l.key)
		if name := findNearest(l.key, known); name != "" {
			text += fmt.Sprintf("; did you mean %q?", name)
		}
		return errors.New(text)
	}
	list, repeatable := f.Value.(pflag.SliceValue)
	if repeatable != l.isList {
		return fmt.Errorf("%s: it must be %s", l.key, map[bool]string{true: "a list, such as [a, b]",
			false: "a single value"}[repeatable])
	}
	if slices.Contains(s.fixed, l.key) {
		return nil
	}
	s.sources[l.key] = fmt.Sprintf("%s:%d", s.path, l.number)
	if repeatable {
		return list.Replace(l.values)
	}
	if err := s.flags.Set(l.key, l.values[0]); err != nil {
		var invalid *pflag.InvalidValueError
		if errors.As(err, &invalid) {
			err = explainValueError(invalid)
		}
		return fmt.Errorf("%s: %q: %w", l.key, l.values[0], err)
	}
	return nil
}

// isSetting reports whether a configuration file can set a flag.
func isSetting(f *pflag.Flag) bool {
	return !slices.Contains([]string{configFlag, printConfigFlag, checkConfigFlag, "help"}, f.Name)
}

// configLine is a key of a configuration file with its value or values.
type configLine struct {
	number int
	key    string
	values []string
	isList bool
}

// readConfigLines reads a file of YAML: a mapping whose values are scalars and lists of scalars.
func readConfigLines(path string) ([]configLine, error) {
	data, err := safefile.Read(path, maxConfigBytes)
	if err != nil {
		return nil, fmt.Errorf("the configuration file cannot be read: %w", err)
	}
	lines, err := parseConfigLines(data)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	return lines, nil
}

// parseConfigLines parses such a file. Its errors begin with the number of the line.
func parseConfigLines(data []byte) ([]configLine, error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	var document, more yaml.Node
	if err := d.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf(" %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New(" the file has several documents, separated by ---; only one is allowed")
	}
	root := document.Content[0]
	if root.Tag == "!!null" { // only comments
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%d: the file must have lines such as max-batch: 8", root.Line)
	}
	var lines []configLine
	seen := map[string]int{}
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if first, ok := seen[key.Value]; ok {
			return nil, fmt.Errorf("%d: %s is already set in line %d", key.Line, key.Value, first)
		}
		seen[key.Value] = key.Line
		l := configLine{number: key.Line, key: key.Value, isList: value.Kind == yaml.SequenceNode}
		scalars := []*yaml.Node{value}
		if l.isList {
			scalars = value.Content
		}
		for _, v := range scalars {
			if v.Kind != yaml.ScalarNode || v.Tag == "!!null" {
				return nil, fmt.Errorf("%d: %s has no value that is text or a number", v.Line, key.Value)
			}
			l.values = append(l.values, v.Value)
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// print writes the settings as a configuration file. A comment has the source of each.
func (s *settings) print(w io.Writer) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	var unset []string
	s.flags.VisitAll(func(f *pflag.Flag) {
		if !isSetting(f) {
			return
		}
		source, ok := s.sources[f.Name]
		if !ok {
			source = "default"
		}
		key, value := &yaml.Node{Kind: yaml.ScalarNode, Value: f.Name}, &yaml.Node{Kind: yaml.ScalarNode}
		list, repeatable := f.Value.(pflag.SliceValue)
		switch {
		case repeatable && len(list.GetSlice()) > 0:
			value.Kind, value.Style = yaml.SequenceNode, yaml.FlowStyle
			for _, v := range list.GetSlice() {
				value.Content = append(value.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: v})
			}
		case repeatable || f.Value.String() == "":
			unset = append(unset, f.Name)
			return
		default:
			value.Value = f.Value.String()
		}
		value.LineComment = source
		root.Content = append(root.Content, key, value)
	})
	root.FootComment = "not set: " + strings.Join(unset, ", ")
	e := yaml.NewEncoder(w)
	return errors.Join(e.Encode(root), e.Close())
}

// newServiceFlags returns a service with default settings and its flags, including those that all
// commands have.
func newServiceFlags() (*service, *pflag.FlagSet) {
	s := &service{config: serve.Default()}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	s.addFlags(flags)
	root := new(cobra.Command)
	addNoteFlags(root)
	flags.AddFlagSet(root.PersistentFlags())
	return s, flags
}

// reread returns the settings that the service would start with now: those of the command line and
// the environment as they were, and those of the file as it is.
func (s *settings) reread() (*service, error) {
	next, flags := newServiceFlags()
	next.settings = &settings{flags: flags, path: s.path, fixed: s.fixed, sources: map[string]string{}}
	for _, name := range s.fixed {
		next.settings.sources[name] = s.sources[name]
		if err := copyFlag(flags, s.flags, name); err != nil {
			return nil, err
		}
	}
	if err := next.settings.readFile(); err != nil {
		return nil, err
	}
	return next, next.finish()
}

// copyFlag sets a flag to its value in other flags.
func copyFlag(to, from *pflag.FlagSet, name string) error {
	target, source := to.Lookup(name), from.Lookup(name)
	if target == nil || source == nil || target.Value.String() == source.Value.String() {
		return nil
	}
	if list, ok := source.Value.(pflag.SliceValue); ok {
		return target.Value.(pflag.SliceValue).Replace(list.GetSlice())
	}
	return target.Value.Set(source.Value.String())
}

// reloader reads the configuration file of a running service again.
type reloader struct {
	current *service                  // with the settings in effect
	apply   func(next *service) error // applies the values of reloadableFlags
	count   func(err error)           // counts reloads; nil is a success
	around  func(reload func())       // calls reload, and whatever else a signal needs; nil calls reload only
	log     *slog.Logger
}

// watch reloads at each signal until ctx ends.
func (r *reloader) watch(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			switch {
			case r.around != nil:
				r.around(r.reload)
			default:
				r.reload()
			}
		}
	}
}

// reload reads the file, applies the settings that can change, and logs their names. Settings that
// need a restart keep their values, and are logged too. If anything is wrong with the file, all
// settings stay as they are, and the log has the error.
func (r *reloader) reload() {
	if r.current.settings.path == "" { // there is no file
		return
	}
	changed, restart, err := r.tryReload()
	r.count(err)
	if err != nil {
		r.log.Error("the configuration could not be reloaded; the previous settings stay",
			"file", r.current.settings.path, "error", err.Error())
		return
	}
	r.log.Info("configuration reloaded", "file", r.current.settings.path, "changed", changed)
	if len(restart) > 0 {
		r.log.Warn("changed settings need a restart", "file", r.current.settings.path, "settings", restart)
	}
}

func (r *reloader) tryReload() (changed, restart []string, err error) {
	file, err := r.current.settings.reread()
	if err != nil {
		return nil, nil, err
	}
	next, flags := newServiceFlags()
	next.settings = file.settings
	var errs []error
	file.settings.flags.VisitAll(func(f *pflag.Flag) {
		from, before := file.settings.flags, r.current.settings.flags.Lookup(f.Name)
		differs := before != nil && before.Value.String() != f.Value.String()
		switch {
		case differs && slices.Contains(reloadableFlags, f.Name):
			changed = append(changed, f.Name)
		case differs:
			restart = append(restart, f.Name)
			from = r.current.settings.flags
		}
		errs = append(errs, copyFlag(flags, from, f.Name))
	})
	next.settings.flags = flags
	errs = append(errs, next.finish())
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	if err := r.apply(next); err != nil {
		return nil, nil, err
	}
	r.current = next
	return changed, restart, nil
}
