// Package registry holds the models of a service: it opens them, watches a folder for new versions,
// and hands out the version that a request uses.
package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"garb/model"
	"garb/serve/engine"
	"garb/serve/observe"
)

// ErrNoModel is the error of a request for a model or version that is not served.
var ErrNoModel = errors.New("there is no such model")

// NamedModel is a model to serve, and the name that it is served under.
type NamedModel struct{ Name, Path string }

// Config holds the settings of a registry.
type Config struct {
	// Models are opened at the start. Folder, if not "", has folders NAME/VERSION/ that are
	// scanned every Interval: the highest version that can be used is served.
	Models   []NamedModel
	Folder   string
	Interval time.Duration
}

// DefaultConfig returns the default settings, without models.
func DefaultConfig() Config { return Config{Interval: 2 * time.Second} }

// modelName matches the names that a model may have, which are parts of URLs.
var modelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Validate reports settings that cannot work.
func (c Config) Validate() error {
	if len(c.Models) == 0 && c.Folder == "" {
		return errors.New("no model is named")
	}
	names := map[string]bool{}
	for _, m := range c.Models {
		switch {
		case !modelName.MatchString(m.Name):
			return fmt.Errorf("the model name %q: names are up to 64 letters, digits, dots, dashes and underscores",
				m.Name)
		case names[m.Name]:
			return fmt.Errorf("two models have the name %s", m.Name)
		}
		names[m.Name] = true
	}
	if c.Interval < 1 {
		return fmt.Errorf("interval of scans of the models' folder %v: must be above 0", c.Interval)
	}
	return nil
}

// Opener opens the model at a path, and checks it: its file, and its golden logits.
type Opener func(path string) (engine.Classifier, error)

// Version is a version of a model, which is served under the model's name.
type Version struct {
	Name   string
	Number int // 1 if there is no folder of versions
	Path   string
	Loaded time.Time
	*engine.Engine
	signature string // changes when the files do
}

// Registry holds the models of a service. One version of each is served at a time.
type Registry struct {
	config  Config
	engines engine.Config
	open    Opener
	metrics *observe.Metrics
	log     *slog.Logger

	mu          sync.RWMutex
	defaultName string // of the model for requests that name none
	current     map[string]*Version

	refused  map[string]string // signatures of versions that cannot be used, by their folder
	retiring sync.WaitGroup
}

// Open opens all models of the configuration, and runs each in an engine. log gets a record for each
// change of models. The caller ends the registry with Close.
func Open(
	c Config, engines engine.Config, open Opener, m *observe.Metrics, log *slog.Logger,
) (*Registry, error) {
	all := &Registry{
		config: c, engines: engines, open: open, metrics: m, log: log, current: map[string]*Version{},
		refused: map[string]string{},
	}
	for _, named := range c.Models {
		v, err := all.load(named.Name, 1, named.Path, "")
		if err != nil {
			all.Close()
			return nil, err
		}
		all.activate(v)
	}
	if c.Folder != "" {
		if err := all.scan(); err != nil {
			all.Close()
			return nil, err
		}
		if len(all.current) == len(c.Models) {
			all.Close()
			return nil, fmt.Errorf("%s has no model that can be used: it must have folders NAME/VERSION/, each with a "+
				"model file, where VERSION is a number", c.Folder)
		}
	}
	switch {
	case len(c.Models) > 0:
		all.defaultName = c.Models[0].Name
	default:
		all.defaultName = slices.Min(slices.Collect(maps.Keys(all.current)))
	}
	return all, nil
}

// load opens a model and classifies a test picture, which also warms it up for the first request.
func (m *Registry) load(name string, number int, path, signature string) (*Version, error) {
	classifier, err := m.open(path)
	if err != nil {
		return nil, err
	}
	v := &Version{
		Name: name, Number: number, Path: path, Loaded: time.Now(), signature: signature,
		Engine: engine.New(name, classifier, m.engines, m.metrics),
	}
	input := make([]float32, classifier.Spec().ValueCount())
	classifier.Spec().Tensor(model.DrawGoldenPicture(0), input)
	if err := v.WarmUp(context.Background(), input); err != nil {
		v.Retire()
		return nil, fmt.Errorf("the model cannot classify a test picture: %w", err)
	}
	return v, nil
}

// activate serves a version from now on. The previous one ends when the last request that uses it
// has its answer.
func (m *Registry) activate(v *Version) {
	m.mu.Lock()
	before := m.current[v.Name]
	m.current[v.Name] = v
	m.mu.Unlock()
	if before != nil {
		m.metrics.RemoveVersion(before.observed())
	}
	m.metrics.SetVersion(v.observed())
	if before != nil {
		m.retiring.Go(func() {
			before.Retire()
			m.metrics.ForgetVersion(before.observed())
		})
	}
}

// observed describes the version for metrics.
func (v *Version) observed() observe.Version {
	return observe.Version{Model: v.Name, Number: v.Number, Digest: v.Digest(), Classes: v.Classes(), Judges: v.Judges()}
}

// Acquire returns the version of a model that is being served, and a function to call after its use.
// The name "" means the default model. A number other than 0 must be that of the version.
func (m *Registry) Acquire(name string, number int) (v *Version, release func(), err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if name == "" {
		name = m.defaultName
	}
	v, ok := m.current[name]
	switch {
	case !ok:
		return nil, nil, fmt.Errorf("%w: %q; the models are %s", ErrNoModel, name, strings.Join(m.names(), ", "))
	case number != 0 && number != v.Number:
		return nil, nil, fmt.Errorf("%w: version %d of %s; version %d is being served", ErrNoModel, number, name,
			v.Number)
	}
	return v, v.Use(), nil
}

// DefaultName returns the name of the model for requests that name none.
func (m *Registry) DefaultName() string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.defaultName
}

// names returns the names of the models. The caller holds the lock.
func (m *Registry) names() []string { return slices.Sorted(maps.Keys(m.current)) }

// List returns the versions that are being served, in the order of their names.
func (m *Registry) List() []*Version {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.SortedFunc(maps.Values(m.current), func(a, b *Version) int { return cmp.Compare(a.Name, b.Name) })
}

// Close ends all models once they are not used any more.
func (m *Registry) Close() {
	m.mu.Lock()
	for _, v := range m.current {
		m.retiring.Go(v.Retire)
	}
	m.current = map[string]*Version{}
	m.mu.Unlock()
	m.retiring.Wait()
}

// Watch scans for new versions until ctx ends.
func (m *Registry) Watch(ctx context.Context) {
	tick := time.NewTicker(m.config.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := m.scan(); err != nil {
				m.log.Error("the models' folder cannot be read; the loaded models are still being served", "error",
					err.Error())
			}
		}
	}
}

// candidate is a version in the models' folder.
type candidate struct {
	number          int
	path, signature string
}

// scan activates, for each model in the models' folder, the highest version that can be used, if it
// is not being served already. A version that cannot be used is tried again when its files change,
// as they do while they are being copied. A lower version replaces a higher one only when the higher
// one is gone from the folder.
func (m *Registry) scan() error {
	folders, err := os.ReadDir(m.config.Folder)
	if err != nil {
		return err
	}
	for _, f := range folders {
		name := f.Name()
		folder := filepath.Join(m.config.Folder, name)
		if strings.HasPrefix(name, ".") || !isFolder(folder) || m.isConfigured(name) {
			continue
		}
		now, all := m.currentVersion(name), listCandidates(folder)
		for _, c := range all {
			if now != nil && now.Path == c.path && now.signature == c.signature {
				break
			}
			if now != nil && c.number < now.Number &&
				slices.ContainsFunc(all, func(c candidate) bool { return c.number == now.Number }) {
				break
			}
			if m.refused[c.path] == c.signature {
				continue
			}
			v, err := m.load(name, c.number, c.path, c.signature)
			if err != nil {
				m.refused[c.path] = c.signature
				m.metrics.CountModelRefused(name)
				m.log.Error("a version cannot be used; the previous one is still being served",
					"model", name, "version", c.number, "error", err.Error())
				continue
			}
			delete(m.refused, c.path)
			m.activate(v)
			m.log.Info("a new version is being served", "model", name, "version", c.number, "digest", v.Digest())
			break
		}
	}
	return nil
}

// isConfigured reports whether a name is one of Config.Models.
func (m *Registry) isConfigured(name string) bool {
	return slices.ContainsFunc(m.config.Models, func(n NamedModel) bool { return n.Name == name })
}

// currentVersion returns the version of a model that is being served, nil if there is none.
func (m *Registry) currentVersion(name string) *Version {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.current[name]
}

// listCandidates returns the versions in a model's folder, the highest first.
func listCandidates(folder string) []candidate {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	var all []candidate
	for _, e := range entries {
		number, err := strconv.Atoi(e.Name())
		path := filepath.Join(folder, e.Name())
		if err != nil || number <= 0 || !isFolder(path) {
			continue
		}
		if file, signature, ok := findModel(path); ok {
			all = append(all, candidate{number, file, signature})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int { return cmp.Compare(b.number, a.number) })
	return all
}

// findModel finds the model in a version's folder: its only model file, or the folder itself if it is
// that of a training run. signature has the size and time of every file.
func findModel(folder string) (path, signature string, ok bool) {
	var text strings.Builder
	files, models := 0, []string{}
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		files++
		fmt.Fprintf(&text, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		if filepath.Dir(path) == filepath.Clean(folder) && filepath.Ext(path) == ".safetensors" {
			models = append(models, path)
		}
		return nil
	})
	if err != nil || files == 0 {
		return "", "", false
	}
	if len(models) == 1 {
		return models[0], text.String(), true
	}
	return folder, text.String(), true
}

// isFolder reports whether a path is a folder or a link to one, as versions often are.
func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
