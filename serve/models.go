package serve

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"garb/model"
)

// Opener opens the model at a path, and checks it: its file, and its golden logits.
type Opener func(path string) (Classifier, error)

// version is a version of a model, which is served under the model's name.
type version struct {
	name   string
	number int // 1 if there is no folder of versions
	path   string
	Classifier
	*engine
	loaded    time.Time
	signature string // changes when the files do
}

// models are the models of a server. One version of each is served at a time.
type models struct {
	config  Config
	open    Opener
	metrics *metrics
	log     *slog.Logger

	mu          sync.RWMutex
	defaultName string // of the model for requests that name none
	current     map[string]*version

	refused  map[string]string // signatures of versions that cannot be used, by their folder
	retiring sync.WaitGroup
}

// openModels opens all models of the configuration.
func openModels(c Config, open Opener, m *metrics, log *slog.Logger) (*models, error) {
	all := &models{
		config: c, open: open, metrics: m, log: log, current: map[string]*version{}, refused: map[string]string{},
	}
	for _, named := range c.Models {
		v, err := all.load(named.Name, 1, named.Path, "")
		if err != nil {
			all.close()
			return nil, err
		}
		all.activate(v)
	}
	if c.ModelsFolder != "" {
		if err := all.scan(); err != nil {
			all.close()
			return nil, err
		}
		if len(all.current) == len(c.Models) {
			all.close()
			return nil, fmt.Errorf("%s has no model that can be used: it must have folders NAME/VERSION/, each with a "+
				"model file, where VERSION is a number", c.ModelsFolder)
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
func (m *models) load(name string, number int, path, signature string) (*version, error) {
	classifier, err := m.open(path)
	if err != nil {
		return nil, err
	}
	v := &version{
		name: name, number: number, path: path, Classifier: classifier, signature: signature, loaded: time.Now(),
		engine: newEngine(name, classifier, m.config, m.metrics),
	}
	input := make([]float32, classifier.Spec().ValueCount())
	classifier.Spec().Tensor(model.DrawGoldenPicture(0), input)
	if err := v.infer(&job{ctx: context.Background(), input: input}); err != nil {
		v.retire()
		return nil, fmt.Errorf("the model cannot classify a test picture: %w", err)
	}
	return v, nil
}

// activate serves a version from now on. The previous one ends when the last request that uses it
// has its answer.
func (m *models) activate(v *version) {
	m.mu.Lock()
	before := m.current[v.name]
	m.current[v.name] = v
	m.mu.Unlock()
	m.metrics.setVersion(before, v)
	if before != nil {
		m.retiring.Go(before.retire)
	}
}

// acquire returns the version of a model that is being served, and a function to call after its use.
// The name "" means the default model. A number other than 0 must be that of the version.
func (m *models) acquire(name string, number int) (v *version, release func(), err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if name == "" {
		name = m.defaultName
	}
	v, ok := m.current[name]
	switch {
	case !ok:
		return nil, nil, fmt.Errorf("%w: %q; the models are %s", errNoModel, name, strings.Join(m.names(), ", "))
	case number != 0 && number != v.number:
		return nil, nil, fmt.Errorf("%w: version %d of %s; version %d is being served", errNoModel, number, name,
			v.number)
	}
	v.users.Add(1)
	return v, v.users.Done, nil
}

// names returns the names of the models. The caller holds the lock.
func (m *models) names() []string { return slices.Sorted(maps.Keys(m.current)) }

// list returns the versions that are being served, in the order of their names.
func (m *models) list() []*version {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.SortedFunc(maps.Values(m.current), func(a, b *version) int { return cmp.Compare(a.name, b.name) })
}

// close ends all models once they are not used any more.
func (m *models) close() {
	m.mu.Lock()
	for _, v := range m.current {
		m.retiring.Go(v.retire)
	}
	m.current = map[string]*version{}
	m.mu.Unlock()
	m.retiring.Wait()
}

// watch scans for new versions until ctx ends.
func (m *models) watch(ctx context.Context) {
	tick := time.NewTicker(m.config.ModelsInterval)
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
func (m *models) scan() error {
	folders, err := os.ReadDir(m.config.ModelsFolder)
	if err != nil {
		return err
	}
	for _, f := range folders {
		name := f.Name()
		folder := filepath.Join(m.config.ModelsFolder, name)
		if strings.HasPrefix(name, ".") || !isFolder(folder) || m.isConfigured(name) {
			continue
		}
		now, all := m.currentVersion(name), listCandidates(folder)
		for _, c := range all {
			if now != nil && now.path == c.path && now.signature == c.signature {
				break
			}
			if now != nil && c.number < now.number &&
				slices.ContainsFunc(all, func(c candidate) bool { return c.number == now.number }) {
				break
			}
			if m.refused[c.path] == c.signature {
				continue
			}
			v, err := m.load(name, c.number, c.path, c.signature)
			if err != nil {
				m.refused[c.path] = c.signature
				m.metrics.count(modelRefused, name)
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
func (m *models) isConfigured(name string) bool {
	return slices.ContainsFunc(m.config.Models, func(n NamedModel) bool { return n.Name == name })
}

// currentVersion returns the version of a model that is being served, nil if there is none.
func (m *models) currentVersion(name string) *version {
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
