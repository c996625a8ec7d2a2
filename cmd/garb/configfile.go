package main

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"garb/internal/safefile"
	"garb/train"
)

// maxConfigBytes is the maximum size of a settings file; those of runs have 2 kB.
const maxConfigBytes = 1 << 20

// configFile is a settings file: the config.json of a run, or YAML with the same keys.
type configFile struct {
	path string
	json []byte
	keys map[string]any
}

// readConfigFile reads a settings file. path may be a run's folder. Unknown keys are errors.
func readConfigFile(path string) (*configFile, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "config.json")
	}
	data, err := safefile.Read(path, maxConfigBytes)
	if err != nil {
		return nil, err
	}
	f := &configFile{path: path}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".json":
		f.json = data
		f.keys, err = readJSON(data)
	case ".yaml", ".yml":
		f.keys, f.json, err = readYAML(data)
	default:
		return nil, fmt.Errorf("%s: the name of a settings file must end in .json, .yaml or .yml", path)
	}
	if err == nil {
		err = checkKeys(f.keys, reflect.TypeFor[train.Config](), "")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// errNoSettings reports a file without settings.
var errNoSettings = errors.New("the file has no settings, such as epochs: 10")

func readJSON(data []byte) (map[string]any, error) {
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		return nil, err
	}
	keys, _ := tree.(map[string]any)
	if len(keys) == 0 {
		return nil, errNoSettings
	}
	return keys, nil
}

// has reports whether the file has a top-level key. A nil file has none.
func (f *configFile) has(key string) bool {
	if f == nil {
		return false
	}
	_, ok := f.keys[key]
	return ok
}

// apply copies the settings in the file to c.
func (f *configFile) apply(c *train.Config) error {
	if err := json.Unmarshal(f.json, c); err != nil {
		return fmt.Errorf("%s: %w", f.path, explainTypeError(err))
	}
	return nil
}

// checkKeys returns an error for the first key, in alphabetical order, that the JSON of a type
// does not have. path is the prefix of the keys, such as "augment.", or "".
func checkKeys(keys map[string]any, t reflect.Type, path string) error {
	known := listJSONFields(t)
	names := slices.Sorted(maps.Keys(known))
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		field, ok := known[key]
		if !ok {
			text := fmt.Sprintf("unknown key %q", path+key)
			if name := findNearest(key, names); name != "" {
				text += fmt.Sprintf("; did you mean %q?", path+name)
			}
			return errors.New(text)
		}
		inner, isMap := keys[key].(map[string]any)
		if isMap && field.Kind() == reflect.Struct {
			if err := checkKeys(inner, field, path+key+"."); err != nil {
				return err
			}
		}
	}
	return nil
}

// listJSONFields returns the types of a struct's fields by their JSON names.
func listJSONFields(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) { // includes embedded structs
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "-" && name != "" {
			fields[name] = f.Type
		}
	}
	return fields
}

// explainTypeError rewrites an error about the type of a value in the terms of the file.
func explainTypeError(err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) || wrong.Field == "" {
		return err
	}
	kind := wrong.Type.Kind()
	if reflect.PointerTo(wrong.Type).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		kind = reflect.String
	}
	must := "be an object"
	switch kind {
	case reflect.Int, reflect.Int64, reflect.Uint64:
		must = "be a whole number"
	case reflect.Float32, reflect.Float64:
		must = "be a number"
	case reflect.Bool:
		must = "be true or false"
	case reflect.String:
		must = "be text, in quotes"
	case reflect.Slice, reflect.Array:
		must = "be a list"
	}
	return fmt.Errorf("the value of %q is a %s; it must %s", wrong.Field, wrong.Value, must)
}

// givenFlags restores the values of the flags that were given.
type givenFlags []func() error

// rememberFlags remembers the values of the flags of c that were given, so that restore can
// set them again after their variables have changed.
func rememberFlags(c *cobra.Command) givenFlags {
	var given givenFlags
	c.Flags().Visit(func(f *pflag.Flag) {
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values := slices.Clone(list.GetSlice())
			given = append(given, func() error { return list.Replace(values) })
			return
		}
		text := f.Value.String()
		given = append(given, func() error { return f.Value.Set(text) })
	})
	return given
}

func (g givenFlags) restore() error {
	var errs []error
	for _, set := range g {
		errs = append(errs, set())
	}
	return errors.Join(errs...)
}
